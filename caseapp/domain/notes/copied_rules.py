"""Rules for answers that a draft copies from the last time, and that count once confirmed. Pure functions."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from caseapp.core.errors import Invalid, Reason, refuse_for
from caseapp.domain.notes.rules import NOT_CONFIRMED, list_draft_blockers
from caseapp.domain.screening.protocol import ITEMS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from caseapp.domain.notes.queries import LockedNote
    from caseapp.domain.notes.records import DraftScreening
    from caseapp.domain.screening.records import Answer

NOTHING_TO_COPY = Reason(
    "nothing_to_copy",
    "There is no blank question that can be answered as last time.",
    "Ask the questions that are left: those about safety are asked each time.",
)
NOTHING_COPIED = Reason(
    "nothing_copied",
    "No answer is copied from last time.",
    "Choose the levels, or copy them first.",
)


def list_rest(draft: DraftScreening, last: Mapping[str, Answer]) -> dict[str, int]:
    """List, by item, the levels of the last time for the questions that a draft leaves blank.

    The questions about safety are not among them: they are asked each time. Product proposal, awaiting sign-off.
    """
    return {
        item.key: last[item.key].level
        for item in ITEMS
        if not item.safety and item.key not in draft.answers and item.key in last
    }


def check_rest(note: LockedNote, last: Mapping[str, Answer]) -> DraftScreening:
    """Check that the rest can be copied from the last time, and return the draft's answers with it.

    Raises RuleBroken for a signed note, and when there is nothing to copy.
    """
    refuse_for(list_draft_blockers(note.row, has_signature=note.has_signature))
    draft = note.record.draft
    if not (rest := list_rest(draft, last)):
        refuse_for([NOTHING_TO_COPY])
    return replace(draft, copied=rest)


def check_confirm(note: LockedNote) -> DraftScreening:
    """Check that copied answers can be confirmed, and return the draft's answers with them.

    Raises RuleBroken for a signed note, and when none is copied.
    """
    refuse_for(list_draft_blockers(note.row, has_signature=note.has_signature))
    draft = note.record.draft
    if not draft.copied:
        refuse_for([NOTHING_COPIED])
    return replace(draft, answers={**draft.copied, **draft.answers}, copied={})


def check_copied(note: LockedNote) -> None:
    """Check that no answer of a draft is copied and not confirmed.

    Raises Invalid naming each one.
    """
    if copied := note.record.draft.copied:
        raise Invalid({key: [NOT_CONFIRMED] for key in copied})


def keep_between_saves(before: DraftScreening, sent: DraftScreening) -> DraftScreening:
    """Return answers that were sent, with what the draft keeps: what was recorded, and copies for what is blank."""
    copied = {
        key: level
        for key, level in (before.copied | sent.copied).items()
        if key not in sent.answers
    }
    return replace(sent, recorded=before.recorded, copied=copied)
