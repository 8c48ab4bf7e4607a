"""Rules for what a client's PDFs say about them, and what discretion leaves out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.core.errors import Reason
from caseapp.core.fonts import name_missing_glyphs
from caseapp.domain.handouts.printing import NOT_PERSONALIZED, Personalization

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from caseapp.domain.assignments.schemas import AssignmentRecord
    from caseapp.domain.clients.schemas import SafeContact
    from caseapp.domain.handouts.library import Handout
    from caseapp.domain.suitability.schemas import Recipient, Situation

# Channels that leave something behind which another person at home can find and read, as paper does.
WRITTEN_CHANNELS = ("text", "email", "post", "portal")


def discretion_reasons(
    handouts: Iterable[Handout], situation: Situation, safe: SafeContact
) -> tuple[Reason, ...]:
    """List why one file with these handouts names nobody; empty when it may show names and the coach's message.

    Other people find paper and files. Content map, section (f), and SAFE-12 keep it private what a sensitive handout is
    about, so no name may show whose it is. No name may be on paper either where nothing may be sent, where the safety
    questions were not answered in the last screening, or where no written channel is safe. One sensitive handout makes
    the whole file anonymous. Awaiting clinical sign-off.
    """
    found = []
    if any(handout.alias for handout in handouts):
        found.append(
            Reason(
                "neutral_title",
                "The PDF doesn't show any names because a handout in it has a neutral title.",
            )
        )
    if situation.by_hand_only:
        found.append(
            Reason(
                "by_hand_only",
                "The PDF doesn't show any names because nothing may be sent to this client.",
            )
        )
    elif not situation.safety_items_asked:
        found.append(
            Reason(
                "safety_screen_unknown",
                "The PDF doesn't show any names because we don't know whether the client is safe at home.",
                "Record a full screening and ask the three safety questions in private.",
            )
        )
    elif not any(safe.allows(way) for way in WRITTEN_CHANNELS):
        found.append(
            Reason(
                "nothing_written",
                "The PDF doesn't show any names because there is no safe way to write to the client.",
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
        f"The PDF leaves out the {what}: our fonts can't print {strange}",
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
