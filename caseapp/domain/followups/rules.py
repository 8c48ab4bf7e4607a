"""Rules for follow-ups: when one can be completed. Pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.core.errors import Reason, refuse_for

if TYPE_CHECKING:
    from caseapp.domain.followups.models import FollowUp
    from caseapp.domain.followups.queries import LockedFollowUp
    from caseapp.domain.followups.schemas import FollowUpRecord

ALREADY_COMPLETED = Reason(
    "already_completed",
    "This follow-up is already completed.",
    "Its outcome is under Follow-ups. Add a new follow-up for anything that is left to do.",
)


def list_completion_blockers(task: FollowUp | FollowUpRecord) -> list[Reason]:
    """List why a task can't be completed now; empty when it can."""
    return [] if task.completed_at is None else [ALREADY_COMPLETED]


def check_complete(task: LockedFollowUp) -> None:
    """Check that a task can be completed.

    Raises RuleBroken.
    """
    refuse_for(list_completion_blockers(task.row))
