"""Follow-ups: tasks with a due time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from marshmallow import fields

from caseapp.api.blueprint import Door, ListQuery, Wanted
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.audit.operations import record_read
from caseapp.domain.followups.operations import add_followup, complete_followup
from caseapp.domain.followups.queries import followup_shown, list_followups
from caseapp.domain.followups.schemas import (
    FollowUpAbout,
    FollowUpAboutSchema,
    FollowUpInList,
    FollowUpView,
    OutcomeSchema,
)
from caseapp.http.guard import needs, the_actor
from caseapp.http.idempotency import api_once

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.core.pagination import Page

door = Door("followups", "Tasks with a due time, made by people and by the screening protocol.")


class FollowUpQuery(ListQuery):
    """Narrow the list of follow-ups."""

    done = fields.Boolean(load_default=False)
    client = fields.UUID()


@door.at("/followups")
@needs(Action.FOLLOWUP_READ)
@door.lists(FollowUpView())
@door.asks(FollowUpQuery())
def followup_list(query: Wanted) -> Page[FollowUpInList]:
    """List open or done follow-ups of your clients, newest first."""
    actor, client_id = the_actor(), query.filters.get("client")
    page = list_followups(
        actor,
        done=query.filters["done"],
        client_id=client_id,
        cursor=query.cursor,
        limit=query.limit,
    )
    record_read(actor, Action.FOLLOWUP_READ, "followup", None, None)
    return page


@door.at("/followups", "POST", also=(404,))
@needs(Action.FOLLOWUP_WRITE)
@door.gives(FollowUpView(), 201, at=lambda task: f"/followups/{task['id']}")
@door.takes(FollowUpAboutSchema())
def add(body: FollowUpAbout) -> FollowUpInList:
    """Add a follow-up of your own about one of your clients."""
    actor = the_actor()
    with transaction():
        task_id = api_once(lambda: add_followup(actor, body.client_id, body.task))
    return followup_shown(actor, task_id)


@door.at("/followups/<uuid:followup_id>")
@needs(Action.FOLLOWUP_READ)
@door.gives(FollowUpView())
def followup(followup_id: UUID) -> FollowUpInList:
    """Show one follow-up."""
    actor = the_actor()
    found = followup_shown(actor, followup_id)
    record_read(actor, Action.FOLLOWUP_READ, "followup", followup_id, found.client_id)
    return found


@door.at("/followups/<uuid:followup_id>", "PATCH", also=(409,))
@needs(Action.FOLLOWUP_WRITE)
@door.gives(FollowUpView())
@door.takes(OutcomeSchema())
@door.changes
def complete(followup_id: UUID, body: dict[str, str], version: int) -> FollowUpInList:
    """Close a follow-up with words about what came of it."""
    actor = the_actor()
    with transaction():
        complete_followup(actor, followup_id, body["outcome"], version)
    return followup_shown(actor, followup_id)
