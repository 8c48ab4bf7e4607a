"""The operation that brings the plan of the last signed note forward into a draft."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.core.actor import Actor, require
from caseapp.core.permissions import Action
from caseapp.domain.notes.operations import save_draft
from caseapp.domain.notes.plan_rules import check_bring_forward
from caseapp.domain.notes.queries import find_previous_plan
from caseapp.domain.notes.schemas import DraftChange
from caseapp.domain.practice.queries import local_day

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.domain.notes.queries import LockedNote


def bring_plan_forward(
    actor: Actor, note: LockedNote, expected_version: int, shown: UUID | None = None
) -> int:
    """Put the plan of the last signed note before the session into the actor's own draft, and return its new version.

    It is marked as brought forward, and the author edits it like any other words. `shown` is the note whose plan a
    page has shown: no other one is brought. Raises RuleBroken, Invalid when the note becomes too long, Stale.
    """
    require(actor, Action.NOTE_WRITE)
    previous = find_previous_plan(actor, note.record)
    plan = check_bring_forward(note, previous, local_day, shown)
    return save_draft(actor, note, DraftChange(sections={"plan": plan}), expected_version)
