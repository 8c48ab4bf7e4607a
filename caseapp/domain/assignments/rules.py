"""Rules for assignments: what can be assigned, replaced, withdrawn and read, and what PDFs say about a client.

Pure functions. A `check_…` function decides a change, so it takes a locked record.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from caseapp.core.errors import Reason, RuleBroken, refuse_for
from caseapp.core.fonts import name_missing_glyphs
from caseapp.core.i18n import lazy_gettext
from caseapp.domain.cases.rules import CASE_CLOSED
from caseapp.domain.handouts.printing import NOT_PERSONALIZED, Personalization
from caseapp.domain.suitability.rules import (
    assess_suitability,
    list_suitability_blockers,
    situation_in_case,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from caseapp.domain.assignments.queries import LockedAssignment
    from caseapp.domain.assignments.schemas import AssignmentRecord
    from caseapp.domain.cases.queries import CaseContext, LockedCase
    from caseapp.domain.clients.schemas import SafeContact
    from caseapp.domain.handouts.library import Handout
    from caseapp.domain.handouts.queries import LibraryItem
    from caseapp.domain.practice.queries import HelpLines
    from caseapp.domain.suitability.schemas import Recipient, Situation

# Channels that leave something behind which another person at home can find and read, as paper does.
WRITTEN_CHANNELS = ("text", "email", "post", "portal")
BY_HAND = "Give it to the client yourself."
ALREADY_WITHDRAWN = Reason(
    "already_withdrawn",
    "This handout is already withdrawn.",
    "Assign it again if the client needs it.",
)
ALREADY_NEWEST = Reason(
    "already_newest",
    "The client already has the newest version.",
    "There is nothing to replace. Open the case to see what the client has.",
)
CLIENT_MARKS_IT = Reason(
    "client_marks_it",
    "In the portal only the client can mark it as read.",
    "Ask about it in the next session.",
)
NOT_AVAILABLE = Reason(
    "not_available",
    lazy_gettext("This handout isn’t available at the moment."),
    lazy_gettext("You can ask your coach about it the next time you talk."),
)
"""Why a client can't read a handout of theirs: the same words, whether it was withdrawn, recalled or is suspended."""


@dataclass(frozen=True)
class WantedHandout:
    """A handout version that is to be assigned, and how.

    `already_assigned` tells whether the client has it through this channel, `confirmed` whether the cautions were read.
    """

    item: LibraryItem
    channel: str
    already_assigned: bool
    confirmed: bool


def list_assignment_blockers(
    context: CaseContext, wanted: WantedHandout, help_lines: HelpLines
) -> list[Reason]:
    """List why a handout can't be assigned in a case now; empty when it can.

    `confirmation_required` comes first when only a confirmation of the cautions is missing.
    """
    if context.case.status != "open":
        return [CASE_CLOSED]
    situation = situation_in_case(context)
    suitability = assess_suitability(wanted.item.handout, situation, help_lines, context.case.stage)
    return list_suitability_blockers(
        wanted.item,
        suitability,
        wanted.channel,
        situation,
        already_assigned=wanted.already_assigned,
        confirmed=wanted.confirmed,
    )


def check_assign(case: LockedCase, wanted: WantedHandout, help_lines: HelpLines) -> None:
    """Check that a handout can be assigned in a case.

    Raises RuleBroken with every blocker.
    """
    refuse_for(list_assignment_blockers(case, wanted, help_lines))


def check_assign_several(
    case: LockedCase, wanted: Iterable[WantedHandout], help_lines: HelpLines
) -> list[LibraryItem]:
    """Check which handouts can be assigned in a case in one step, each on its own, and return them.

    Blocked ones are left out. Raises RuleBroken with the reasons, each naming its handout, while a caution is
    unconfirmed, so that the coach checks again, and when none can be assigned.
    """
    if case.case.status != "open":
        raise RuleBroken(CASE_CLOSED)
    eligible, unconfirmed, blocked = [], [], []
    for one in wanted:
        found = list_assignment_blockers(case, one, help_lines)
        title = one.item.handout.title
        named = [Reason(r.code, f"{title}: {r.message}", r.way_out) for r in found]
        if not found:
            eligible.append(one.item)
        elif found[0].code == "confirmation_required":
            unconfirmed += named
        else:
            blocked += named
    if unconfirmed or not eligible:
        raise RuleBroken(*unconfirmed, *blocked)
    return eligible


def list_withdrawal_blockers(record: AssignmentRecord) -> list[Reason]:
    """List why an assignment can't be withdrawn; empty when it can."""
    return [] if record.withdrawn_at is None else [ALREADY_WITHDRAWN]


def check_withdraw(assignment: LockedAssignment) -> None:
    """Check that an assignment can be withdrawn.

    Raises RuleBroken.
    """
    refuse_for(list_withdrawal_blockers(assignment.record))


def check_replace(
    assignment: LockedAssignment, case: LockedCase, newest: WantedHandout, help_lines: HelpLines
) -> None:
    """Check that an assignment can be replaced by the newest version of its handout, which is assessed again.

    Raises RuleBroken when it is withdrawn, already the newest version, or the newest is blocked.
    """
    refuse_for(list_withdrawal_blockers(assignment.record))
    if newest.item.handout.version <= assignment.record.handout.version:
        refuse_for([ALREADY_NEWEST])
    check_assign(case, newest, help_lines)


def list_marking_blockers(record: AssignmentRecord) -> list[Reason]:
    """List why staff can't mark an assignment as read; empty for what was handed over or read together."""
    if record.channel == "portal":
        return [CLIENT_MARKS_IT]
    return list_withdrawal_blockers(record)


def check_mark_read(assignment: LockedAssignment) -> None:
    """Check that staff can mark an assignment as read.

    Raises RuleBroken.
    """
    refuse_for(list_marking_blockers(assignment.record))


def list_reading_blockers(record: AssignmentRecord) -> list[Reason]:
    """List why a client can't read a handout of theirs now, without saying what lies behind it."""
    return [NOT_AVAILABLE] if record.withdrawn_at or record.blockers else []


def select_readable(records: Iterable[AssignmentRecord]) -> list[AssignmentRecord]:
    """Select what a client can read now."""
    return [record for record in records if not list_reading_blockers(record)]


def check_mark_own_read(assignment: LockedAssignment) -> None:
    """Check that a client can mark a handout of their list as read.

    Raises RuleBroken with a neutral reason.
    """
    refuse_for(list_reading_blockers(assignment.record))


def discretion_reasons(
    handouts: Iterable[Handout], situation: Situation, safe: SafeContact
) -> tuple[Reason, ...]:
    """List why one file with these handouts names nobody; empty when it may show names and the coach's message.

    Other people find paper and files. Content map, section (f), and SAFE-12 keep it private what a sensitive handout is
    about, so no name may show whose it is. No name may be on paper either where nothing may be sent, where the safety
    questions have no answer, or where no written channel is safe. One sensitive handout makes
    the whole file anonymous. Awaiting clinical sign-off.
    """
    found = []
    if any(handout.alias for handout in handouts):
        found.append(
            Reason(
                "neutral_title",
                "The PDF doesn’t show any names because a handout in it has a neutral title.",
                BY_HAND,
            )
        )
    if situation.is_discreet:
        found.append(
            Reason(
                "by_hand_only",
                "The PDF doesn’t show any names because nothing may be sent to this client.",
                BY_HAND,
            )
        )
    elif not situation.safety_known:
        found.append(
            Reason(
                "safety_screen_unknown",
                "The PDF doesn’t show any names because we don’t know whether the client is safe at home.",
                "Ask the safety questions in private and record the screening.",
            )
        )
    elif not any(safe.allows(way) for way in WRITTEN_CHANNELS):
        found.append(
            Reason(
                "nothing_written",
                "The PDF doesn’t show any names because there is no safe way to write to the client.",
                "Ask the client again what is safe, and record it under Details.",
            )
        )
    return tuple(found)


def remove_unprintable(
    personalization: Personalization,
) -> tuple[Personalization, tuple[Reason, ...]]:
    """Remove names or message when our fonts can't print them, each on its own, and give the reasons."""
    reasons: list[Reason] = []
    preferred_name, coach, message = (
        personalization.preferred_name,
        personalization.coach,
        personalization.message,
    )
    if strange := name_missing_glyphs(preferred_name + coach):
        preferred_name = coach = ""
        reasons.append(_cannot_print("names", strange))
    if strange := name_missing_glyphs(message):
        message = ""
        reasons.append(_cannot_print("message", strange))
    return Personalization(preferred_name, coach, message), tuple(reasons)


def _cannot_print(what: str, strange: str) -> Reason:
    return Reason(
        "missing_glyphs",
        f"The PDF leaves out the {what}: our fonts can’t print {strange}",
        "Use other characters.",
    )


def printed_details(
    records: Sequence[AssignmentRecord], recipient: Recipient
) -> tuple[list[Personalization], tuple[Reason, ...]]:
    """Give the personal details to print on each handout of one file, and why details are left out."""
    anonymous = discretion_reasons(
        (r.handout for r in records), recipient.situation, recipient.client.safe
    )
    if anonymous:
        return [NOT_PERSONALIZED for _ in records], anonymous
    found: list[Personalization] = []
    reasons: list[Reason] = []
    for record in records:
        coach = record.assigned_by_name.partition(" ")[0]
        preferred_name = recipient.client.preferred_name if coach else ""
        personalization, left_out = remove_unprintable(
            Personalization(preferred_name, coach, record.message)
        )
        found.append(personalization)
        reasons += left_out
    return found, tuple(dict.fromkeys(reasons))
