"""Paper: what a client's PDFs say about them, one sheet or several, and what discretion leaves out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from caseapp.core.actor import Actor, require
from caseapp.core.clock import week_of
from caseapp.core.errors import Invalid, NotFound, Reason, RuleBroken
from caseapp.core.fonts import missing_signs
from caseapp.core.permissions import Action
from caseapp.domain.assignments.queries import some_of
from caseapp.domain.assignments.reading import reading_list
from caseapp.domain.assignments.recipients import recipient_in
from caseapp.domain.handouts.packets import MOST_SHEETS, PackPart, pack_pdf
from caseapp.domain.handouts.printing import NOBODY, Personal, sheet_pdf
from caseapp.domain.practice.queries import today

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date
    from uuid import UUID

    from caseapp.domain.assignments.schemas import AssignmentRecord, Recipient
    from caseapp.domain.assignments.suitability import Situation
    from caseapp.domain.cases.queries import CaseHead
    from caseapp.domain.clients.schemas import SafeContact
    from caseapp.domain.handouts.library import Handout
    from caseapp.domain.practice.queries import Letterhead

# Ways that leave something behind which another person at home can find and read, as paper does.
LEAVES_A_TRACE = ("text", "email", "post", "portal")


def discretion(
    handouts: Iterable[Handout], situation: Situation, safe: SafeContact
) -> tuple[Reason, ...]:
    """List why one file with these sheets names nobody; empty when it may say "For Ana, from Ines" and bear a line.

    A pure function, and the one place of the rule. Paper and files are found by others. Content map, section (f), and
    SAFE-12 keep it unsaid what a sensitive sheet is about, so no name may say whose it is; nor may a name be on paper
    where nothing may travel, where the safety questions were left out the last time, or where the client lets nothing
    written reach them. One sensitive sheet makes the whole file nameless. Awaiting clinical sign-off.
    """
    found = []
    if any(handout.alias for handout in handouts):
        found.append(
            Reason("neutral_title", "The PDF names nobody, since a sheet goes by a neutral title.")
        )
    if situation.by_hand_only:
        found.append(Reason("by_hand_only", "The PDF names nobody, since nothing may travel."))
    elif not situation.safety_known:
        found.append(
            Reason(
                "safety_screen_unknown",
                "The PDF names nobody, since it is not known whether home is safe.",
                "Record a full screening with the three safety questions asked in private.",
            )
        )
    elif not any(safe.allows(way) for way in LEAVES_A_TRACE):
        found.append(
            Reason(
                "nothing_written",
                "The PDF names nobody, since no written way to reach the client is safe.",
                "Ask again what is safe, and note it under Details.",
            )
        )
    return tuple(found)


def unprintable(personal: Personal) -> tuple[Personal, tuple[Reason, ...]]:
    """Leave out what our fonts cannot print, names and line each for itself, and say so."""
    told: list[Reason] = []
    called, coach, line = personal.called, personal.coach, personal.line
    if strange := missing_signs(called + coach):
        called = coach = ""
        told.append(_cannot_print("names", strange))
    if strange := missing_signs(line):
        line = ""
        told.append(_cannot_print("line", strange))
    return Personal(called, coach, line), tuple(told)


def _cannot_print(what: str, strange: list[str]) -> Reason:
    return Reason(
        "missing_glyphs",
        f"The PDF leaves out the {what}: our fonts cannot print {' '.join(strange[:10])}",
    )


def personal_of(
    records: Sequence[AssignmentRecord], recipient: Recipient
) -> tuple[list[Personal], tuple[Reason, ...]]:
    """Say what stands on each of these sheets in one file, and why something is left out."""
    reasons = discretion((r.handout for r in records), recipient.situation, recipient.client.safe)
    if reasons:
        return [NOBODY for _ in records], reasons
    found: list[Personal] = []
    told: list[Reason] = []
    for record in records:
        coach = record.giver.partition(" ")[0]
        called = recipient.client.called if coach else ""
        personal, left_out = unprintable(Personal(called, coach, record.line))
        found.append(personal)
        told += left_out
    return found, tuple(dict.fromkeys(told))


def unsaid_on(head: CaseHead, records: Sequence[AssignmentRecord]) -> dict[UUID, list[Reason]]:
    """Say for each of a case's assignments what its PDF leaves out and why."""
    recipient = recipient_in(head)
    return {
        record.id: [*personal_of([record], recipient)[1]]
        for record in records
        if not record.stopped and record.withdrawn_at is None
    }


def assignment_pdf(record: AssignmentRecord, *, large: bool, code: bool) -> bytes:
    """Give the PDF of one assignment, in the edition that was given; `code` is False where a QR code has no use.

    Kept sealed under the client's key as soon as it says anything about them. Raises what `sheet_pdf` raises.
    """
    recipient = record.recipient
    (personal,), _ = personal_of([record], recipient)
    return sheet_pdf(
        record.handout,
        _letter(recipient, code=code),
        recipient.office.numbers,
        faith=recipient.faith,
        large=large,
        personal=personal,
        key=recipient.key if personal else None,
    )


def _letter(recipient: Recipient, *, code: bool) -> Letterhead:
    """Give the letterhead; a QR code leads nowhere for a client to whom the portal is not open, and may betray them."""
    found = recipient.office.letterhead
    allowed = recipient.client.safe.allows("portal") and not recipient.situation.by_hand_only
    return found if code and allowed else found.without_code()


@dataclass(frozen=True)
class Pack:
    """Show what goes into one PDF, what is left out of it and why, and what it does not say."""

    records: tuple[AssignmentRecord, ...]
    left_out: tuple[tuple[AssignmentRecord, tuple[Reason, ...]], ...]
    unsaid: tuple[Reason, ...]


def pack_of(actor: Actor, head: CaseHead, ids: Iterable[UUID]) -> Pack:
    """Judge some of a case's assignments for one PDF, at this moment, in the order in which they were given.

    Raises NotFound when one is not of this case, Invalid when there are too many.
    """
    wanted = set(ids)
    if len(wanted) > MOST_SHEETS:
        raise Invalid({"sheet": [f"Choose at most {MOST_SHEETS} handouts for one PDF."]})
    judged = [(record, _against(record)) for record in some_of(actor, head, wanted)]
    fit = tuple(record for record, reasons in judged if not reasons)
    unsaid = personal_of(fit, recipient_in(head))[1]
    return Pack(fit, tuple((r, why) for r, why in judged if why), unsaid)


def _against(record: AssignmentRecord) -> tuple[Reason, ...]:
    if record.withdrawn_at is not None:
        return (Reason("already_withdrawn", "This handout is withdrawn."),)
    return record.stopped


def case_pack_pdf(actor: Actor, head: CaseHead, ids: Iterable[UUID], *, large: bool) -> bytes:
    """Give some of a case's assignments as one PDF.

    Whoever asks has read what is left out, so nothing is left out here in silence. Raises NotFound, Invalid, and
    RuleBroken with the reasons when none was chosen or one of them may not go out now.
    """
    pack = pack_of(actor, head, ids)
    if pack.left_out:
        raise RuleBroken(
            *(
                Reason(why.code, f"{record.title}: {why.message}", why.how)
                for record, reasons in pack.left_out
                for why in reasons
            )
        )
    return _pack_pdf(pack.records, large=large, code=True)


def own_pack(actor: Actor) -> list[AssignmentRecord]:
    """List what a client's pack holds now: their reading list in its order, the newest sheets when it is long.

    Raises NotFound when there are not two.
    """
    found = sorted(reading_list(actor), key=lambda record: record.place)[-MOST_SHEETS:]
    if len(found) < 2:  # noqa: PLR2004 - one sheet is no pack
        raise NotFound
    return found


def own_pack_pdf(actor: Actor, records: Sequence[AssignmentRecord]) -> bytes:
    """Give a client their pack as one PDF."""
    require(actor, Action.PORTAL_READ)
    return _pack_pdf(records, large=False, code=False)


def _pack_pdf(records: Sequence[AssignmentRecord], *, large: bool, code: bool) -> bytes:
    if not records:
        raise RuleBroken(Reason("nothing_chosen", "Choose the handouts that go into one PDF."))
    recipient = records[0].recipient
    personal, _ = personal_of(records, recipient)
    # The newest of them was given by whoever hands over the whole.
    last = personal[-1]

    return pack_pdf(
        [
            PackPart(record.handout, record.place, _week_ahead(record), own.line)
            for record, own in zip(records, personal, strict=True)
        ],
        _letter(recipient, code=code),
        recipient.office.numbers,
        recipient.key,
        faith=recipient.faith,
        large=large,
        personal=Personal(last.called, last.coach),
    )


def _week_ahead(record: AssignmentRecord) -> date | None:
    """Give the week that a sheet is meant for, until it is over: nothing is ever late on paper either."""
    return record.week if record.week and record.week >= week_of(today()) else None
