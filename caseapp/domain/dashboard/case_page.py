"""What every page about a case shows in its header, loaded once for each request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from caseapp.domain.cases.queries import (
    CaseContext,
    CaseEventRecord,
    get_case_context_by_number,
    list_case_events,
)
from caseapp.domain.followups.queries import list_page_followups

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.core.actor import Actor
    from caseapp.domain.followups.schemas import FollowUpRecord

MAX_EVENTS = 200


@dataclass(frozen=True)
class CasePage(CaseContext):
    """A case with what the header of its pages shows: its newest events and the tasks of its open holds."""

    events: tuple[CaseEventRecord, ...]
    followups: tuple[FollowUpRecord, ...]

    def list_required_actions(self, hold_id: UUID) -> list[FollowUpRecord]:
        """List the tasks that a hold requires, by due time."""
        return [task for task in self.followups if task.origin_id == hold_id]


def get_case_page(actor: Actor, number: str) -> CasePage:
    """Load a case by its number with what the header of its pages shows.

    Raises NotFound.
    """
    context = get_case_context_by_number(actor, number)
    holds = [hold.id for hold in context.safety.holds]
    return CasePage(
        **vars(context),
        events=tuple(list_case_events(context, limit=MAX_EVENTS)),
        followups=tuple(list_page_followups(context.client, context.key, holds) if holds else ()),
    )
