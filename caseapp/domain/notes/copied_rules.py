"""Rules for answers that a draft copies from the last time, and that count once confirmed. Pure functions."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from caseapp.core.errors import Invalid, Reason, refuse_for
from caseapp.domain.notes.rules import NOT_CONFIRMED, list_draft_blockers
from caseapp.domain.screening.protocol import ITEMS, ITEMS_BY_KEY
from caseapp.domain.screening.records import is_valid
from caseapp.domain.screening.rules import opens_safety_hold

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from caseapp.domain.notes.queries import LockedNote
    from caseapp.domain.notes.records import DraftScreening
    from caseapp.domain.notes.schemas import DraftChange
    from caseapp.domain.screening.records import Answer

NOTHING_TO_COPY = Reason(
    "nothing_to_copy",
    "There is no blank question with an answer to copy from last time.",
    "Ask the questions that are left.",
)
NOTHING_COPIED = Reason(
    "nothing_copied",
    "No answer is copied from last time.",
    "Choose the levels, or copy them first.",
)


def list_rest(
    draft: DraftScreening, last: Mapping[str, Answer], session_at: datetime
) -> dict[str, int]:
    """List, by item, the levels of the last time for the questions that a draft leaves blank.

    The last time is a session before this one, within the validity of a screening. The questions about safety are not
    among them, nor is a level that opens a safety hold: they are asked each time. Product proposal, awaiting sign-off.
    """
    return {
        item.key: last[item.key].level
        for item in ITEMS
        if not item.safety
        and item.key not in draft.answers
        and item.key in last
        and _is_copyable(item.key, last[item.key], session_at)
    }


def _is_copyable(key: str, last: Answer, session_at: datetime) -> bool:
    return (
        last.asked_at is not None
        and last.asked_at < session_at
        and is_valid(last.asked_at, session_at)
        and not opens_safety_hold(key, last.level)
    )


def list_outdated(
    draft: DraftScreening, last: Mapping[str, Answer], session_at: datetime
) -> list[str]:
    """List the items whose copied level would not be copied now: asked again since, in error, or too long before."""
    rest = list_rest(draft, last, session_at)
    return [key for key, level in draft.copied.items() if rest.get(key) != level]


def check_rest(note: LockedNote, last: Mapping[str, Answer]) -> dict[str, int]:
    """Check that the rest can be copied from the last time, and return the levels by item.

    Raises RuleBroken for a signed note, and when there is nothing to copy.
    """
    refuse_for(list_draft_blockers(note.row, has_signature=note.has_signature))
    found = note.record
    if not (rest := list_rest(found.draft, last, found.session_at)):
        refuse_for([NOTHING_TO_COPY])
    return rest


def check_confirm(note: LockedNote, last: Mapping[str, Answer]) -> DraftScreening:
    """Check that copied answers can be confirmed, and return the draft's answers with them.

    `last` are the answers that count now. Raises RuleBroken for a signed note, when none is copied, and when one is
    no longer the last answer, so that nothing old is put over what was asked since.
    """
    refuse_for(list_draft_blockers(note.row, has_signature=note.has_signature))
    found = note.record
    draft = found.draft
    if not draft.copied:
        refuse_for([NOTHING_COPIED])
    if outdated := list_outdated(draft, last, found.session_at):
        refuse_for([explain_outdated(outdated)])
    return replace(draft, answers={**draft.copied, **draft.answers})


def explain_outdated(outdated: Iterable[str]) -> Reason:
    """Explain which copied answers can't be confirmed."""
    labels = ", ".join(ITEMS_BY_KEY[key].label for key in outdated)
    return Reason(
        "copies_outdated",
        f"These copied answers are no longer the last ones before this session: {labels}.",
        "Choose a level for each, or copy the last answers again.",
    )


def check_copied(note: LockedNote) -> None:
    """Check that a draft in which nothing is answered has no copied answers either.

    Raises Invalid naming each one.
    """
    draft = note.record.draft
    if draft.copied and draft.highest_level is None and not draft.circumstances:
        raise Invalid({key: [NOT_CONFIRMED] for key in draft.copied})


def keep_between_saves(before: DraftScreening, change: DraftChange) -> DraftScreening:
    """Return the answers of a draft after a change, with what it keeps: what was recorded, and copies for blanks."""
    sent = before if change.screening is None else change.screening
    copied = before.copied if change.copied is None else change.copied
    left = {key: level for key, level in copied.items() if key not in sent.answers}
    return replace(sent, recorded=before.recorded, copied=left)
