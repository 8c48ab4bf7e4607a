"""Rules for clients: who decides about a possible conflict, and which ways of contact are safe. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from caseapp.core.errors import Reason
from caseapp.domain.clients.codes import (
    COACH_DECIDES,
    MATCH_REASONS,
    MOST_QUESTIONS,
    QUESTION_HOURS,
)
from caseapp.domain.clients.schemas import CHANNELS

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from caseapp.domain.clients.queries import ClientRecord
    from caseapp.domain.clients.schemas import ClientDetails

# With one of these flags, somebody else may read what is sent. Content map, sections (e) and (f).
UNSAFE_FLAGS = frozenset({"violence_flag", "unsafe_delivery"})
# An order or a wish for no contact sets the first; violence or coercion in either direction bars contact too. Content
# map, section (d), "The hold".
CONTACT_BARRING_FLAGS = frozenset({"contact_block", "violence_flag", "client_harm_flag"})
ASK_SUPERVISOR = Reason(
    "possible_conflict",
    "Talk to your supervisor before saving.",
    "Your answers are still in the form. Your supervisor sees the records and decides who can be coached by whom.",
)
MUST_NOT_SEE = Reason(
    "must_not_see",
    "This person must not see the client’s record.",
    "Choose somebody else.",
)
ONLY_COVERS = Reason(
    "only_covers",
    "While you only cover for the coach, you can’t give or take on a role that lasts longer than the cover.",
    "Ask the coach or their supervisor to do it.",
)
CONTACT_FROZEN = Reason(
    "contact_frozen",
    "Nothing may be sent to this client until the safe ways of contact are confirmed again in person.",
    "Ask the client in person, with nobody else present, which ways are still safe, and confirm them under Details.",
)
CONSENT_WITHDRAWN = Reason(
    "consent_withdrawn",
    "The client has withdrawn consent, so they get no handouts, and no email except a link that they ask for.",
    "If they give consent again, record it under Details, Consent.",
)
NO_VOICEMAIL = Reason(
    "no_voicemail",
    "There is violence at home, so don’t leave a voicemail: somebody else may listen to it.",
    "Call again at a safe time, or use another safe way.",
)


@dataclass(frozen=True)
class OwnMatch:
    """A client whom somebody sees and whom other details fit: the name, a case's number, a code of MATCH_REASONS."""

    name: str
    number: str | None
    reason: str


def list_match_blockers(
    own: Sequence[OwnMatch], *, has_foreign: bool, agreed: bool
) -> list[Reason]:
    """List why a coach can't save details that fit other records.

    A client of their own is named, another coach's never. `agreed` says that the coach has looked at their own records
    and that this is somebody else; where a supervisor has to decide, it changes nothing.
    """
    needs_supervisor = has_foreign or any(match.reason not in COACH_DECIDES for match in own)
    if agreed and not needs_supervisor:
        return []
    named = [
        Reason(
            "possible_duplicate",
            f"You already have a client, {', '.join(filter(None, (match.name, match.number)))}, who "
            f"{MATCH_REASONS[match.reason]}.",
            "Open that record if it is the same person. Otherwise tick the box to save.",
        )
        for match in own
    ]
    return [*named, ASK_SUPERVISOR] if needs_supervisor else named


def list_question_blockers(questions: int) -> list[Reason]:
    """List why somebody can't enter anything now that would be compared.

    `questions` is how often they were told of a possible conflict in the last QUESTION_HOURS. Past the limit nothing is
    compared, so that nobody can find out name by name who is a client here.
    """
    if questions < MOST_QUESTIONS:
        return []
    return [
        Reason(
            "too_many_conflicts",
            f"You were told of {questions} possible conflicts in the last {QUESTION_HOURS} hours, so no new names, "
            "email addresses or phone numbers can be saved for now.",
            "You can still remove what is there. Ask a supervisor to save what is new, or try again tomorrow.",
        )
    ]


def is_contact_frozen(flags: Collection[str], confirmed_at: datetime | None) -> bool:
    """Tell whether nothing may be sent to a client until the safe ways of contact are confirmed in person.

    `flags` are the client's active flags, `confirmed_at` their `contact_confirmed_at`. A confirmation is withdrawn
    whenever one of `UNSAFE_FLAGS` is set, also when it was set already, so that an earlier one never counts. Content
    map, section (e), "What the app must enforce", number 8. Awaiting clinical sign-off.
    """
    return confirmed_at is None and not UNSAFE_FLAGS.isdisjoint(flags)


def list_channel_blockers(
    client: ClientRecord, flags: Collection[str], channel: str
) -> list[Reason]:
    """List why nothing may reach a client through one of `CHANNELS` now; empty when it may.

    While nothing may be sent, a safe phone call is still possible: the client answers it, and safety checks need it.
    Where there is violence at home, nobody leaves a voicemail: anybody may play it. Content map, section (e), domain
    4c. Awaiting clinical sign-off.
    """
    if not client.safe.allows(channel):
        return [describe_unsafe_channel(channel)]
    if channel == "voicemail" and "violence_flag" in flags:
        return [NO_VOICEMAIL]
    frozen = is_contact_frozen(flags, client.contact_confirmed_at)
    return [CONTACT_FROZEN] if frozen and channel != "call" else []


def list_usable_channels(client: ClientRecord, flags: Collection[str]) -> tuple[str, ...]:
    """List those of `CHANNELS` through which a client may be contacted now; empty when only in person."""
    return tuple(
        channel for channel in CHANNELS if not list_channel_blockers(client, flags, channel)
    )


def describe_unsafe_channel(channel: str) -> Reason:
    """Say that a client hasn't called one of `CHANNELS` safe, and how to make sure."""
    label = CHANNELS[channel]
    return Reason(
        f"{channel}_not_safe",
        f"The client has not said that this is safe: {label}.",
        f"Ask in private who else could read or hear it. If it is safe, tick {label} under Details.",
    )


def may_be_mailed(
    client: ClientRecord, flags: Collection[str], *, is_requested: bool = False
) -> bool:
    """Tell whether mail may be sent to a client now: they have an address, email is safe, and consent stands.

    A link that they request themselves needs no consent: it leads to the help lines and safety plans of the portal.
    """
    if client.consent_withdrawn_on is not None and not is_requested:
        return False
    return bool(client.email) and not list_channel_blockers(client, flags, "email")


def needs_new_confirmation(before: ClientRecord, after: ClientDetails) -> bool:
    """Tell whether new details lead to somewhere that a confirmation of the safe ways of contact did not cover."""
    added = set(after.safe.channels) - set(before.safe.channels)
    return bool(added) or (after.email, after.phone) != (before.email, before.phone)
