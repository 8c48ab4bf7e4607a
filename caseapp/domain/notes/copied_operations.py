"""Operations on answers that a draft takes from the last time: copy the rest, confirm what was copied."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.core.actor import Actor, require
from caseapp.core.permissions import Action
from caseapp.domain.notes.copied_rules import check_confirm, check_rest
from caseapp.domain.notes.operations import save_draft
from caseapp.domain.notes.schemas import DraftChange
from caseapp.domain.screening.current import get_current_safety

if TYPE_CHECKING:
    from caseapp.domain.notes.queries import LockedNote


def copy_rest(actor: Actor, note: LockedNote, expected_version: int) -> int:
    """Copy the last answers for the blank questions of the actor's own draft, and return its new version.

    They don't count until they are confirmed. Raises RuleBroken and Stale.
    """
    require(actor, Action.NOTE_WRITE)
    rest = check_rest(note, get_current_safety(note.key).state.answers)
    return save_draft(actor, note, DraftChange(copied=rest), expected_version)


def confirm_copied(actor: Actor, note: LockedNote, expected_version: int) -> int:
    """Confirm the copied answers of the actor's own draft, which makes them answers, and return its new version.

    Raises RuleBroken, also when one is no longer the last answer, and Stale.
    """
    require(actor, Action.NOTE_WRITE)
    answers = check_confirm(note, get_current_safety(note.key).state.answers)
    return save_draft(actor, note, DraftChange(screening=answers), expected_version)
