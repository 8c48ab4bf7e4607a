"""API for follow-ups."""

from __future__ import annotations

from typing import TYPE_CHECKING

from marshmallow import fields

from caseapp.api.blueprint import ApiBlueprint, ListQuerySchema, ListRequest
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.followups import operations, queries
from caseapp.domain.followups.queries import lock_followup
from caseapp.domain.followups.schemas import (
    ClientFollowUp,
    ClientFollowUpSchema,
    FollowUpRecord,
    FollowUpResponseSchema,
    NewResult,
    ResultSchema,
)
from caseapp.domain.safety_plans.operations import complete_task
from caseapp.http.guard import current_actor, needs
from caseapp.http.idempotency import run_api_once

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.core.pagination import Page

blueprint = ApiBlueprint(
    "followups", "Tasks with a due time, created by people and by the screening protocol."
)


class FollowUpQuery(ListQuerySchema):
    """Filters of the list of follow-ups."""

    done = fields.Boolean(load_default=False)
    client = fields.UUID()


@blueprint.route("/followups")
@needs(Action.FOLLOWUP_READ)
@blueprint.list_response_schema(FollowUpResponseSchema())
@blueprint.query_params(FollowUpQuery())
def list_followups(query: ListRequest) -> Page[FollowUpRecord]:
    """List open or completed follow-ups of your clients, newest first."""
    actor, client_id = current_actor(), query.filters.get("client")
    return queries.list_followups(
        actor,
        done=query.filters["done"],
        client_id=client_id,
        cursor=query.cursor,
        limit=query.limit,
    )


@blueprint.route("/followups", "POST", error_statuses=(404,))
@needs(Action.FOLLOWUP_WRITE)
@blueprint.response_schema(
    FollowUpResponseSchema(), 201, location=lambda task: f"/followups/{task['id']}"
)
@blueprint.request_schema(ClientFollowUpSchema())
def create_followup(body: ClientFollowUp) -> FollowUpRecord:
    """Create a follow-up for yourself about one of your clients."""
    actor = current_actor()
    with transaction():
        task_id = run_api_once(
            lambda: operations.create_followup(actor, lock_client(actor, body.client_id), body.task)
        )
    return queries.get_followup_record(actor, task_id)


@blueprint.route("/followups/<uuid:followup_id>")
@needs(Action.FOLLOWUP_READ)
@blueprint.response_schema(FollowUpResponseSchema())
def get_followup(followup_id: UUID) -> FollowUpRecord:
    """Get one follow-up."""
    actor = current_actor()
    return queries.get_followup_record(actor, followup_id)


@blueprint.route("/followups/<uuid:followup_id>", "PATCH", error_statuses=(409,))
@needs(Action.FOLLOWUP_WRITE)
@blueprint.response_schema(FollowUpResponseSchema())
@blueprint.request_schema(ResultSchema())
@blueprint.requires_if_match
def update_followup(followup_id: UUID, body: NewResult, version: int) -> FollowUpRecord:
    """Complete a follow-up with a result; `allowed_results` and `allowed_methods` list the choices.

    "Not reached" adds the next attempt, and so does a decision about a welfare check; list the client’s follow-ups to
    see it. Refused with 409 before `not_before_at`, and where a safety plan has to be on file first.
    """
    actor = current_actor()
    with transaction():
        complete_task(actor, lock_followup(actor, followup_id), body, version)
    return queries.get_followup_record(actor, followup_id)
