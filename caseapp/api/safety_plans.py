"""API for safety plans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from caseapp.api.blueprint import ApiBlueprint, ListQuerySchema, ListRequest
from caseapp.core.pagination import page_in_memory
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.safety_plans import operations
from caseapp.domain.safety_plans.queries import get_plan_version, list_plan_versions, lock_plan
from caseapp.domain.safety_plans.schemas import (
    ClientPlan,
    ClientPlanSchema,
    NewReview,
    PlanResponseSchema,
    PortalWishSchema,
    ReviewSchema,
)
from caseapp.http.guard import current_actor, needs
from caseapp.http.idempotency import run_api_once

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from caseapp.core.pagination import Page
    from caseapp.domain.safety_plans.schemas import PlanVersion

blueprint = ApiBlueprint(
    "safety_plans",
    "Safety plans and exit plans. A version never changes; each change is a new one.",
)


@blueprint.route("/clients/<uuid:client_id>/safety-plans")
@needs(Action.PLAN_READ)
@blueprint.list_response_schema(PlanResponseSchema())
@blueprint.query_params(ListQuerySchema())
def list_safety_plans(client_id: UUID, query: ListRequest) -> Page[PlanVersion]:
    """List every version of a client’s plans, newest first."""
    actor = current_actor()
    found = list_plan_versions(actor, client_id)
    return page_in_memory(found, lambda one: (-one.seq,), query.cursor, query.limit)


@blueprint.route("/clients/<uuid:client_id>/safety-plans", "POST")
@needs(Action.PLAN_WRITE)
@blueprint.response_schema(PlanResponseSchema(), 201)
@blueprint.request_schema(ClientPlanSchema())
@blueprint.requires_if_match
def write_safety_plan(client_id: UUID, body: ClientPlan, version: int) -> PlanVersion:
    """Write a safety plan or exit plan, or replace its text; send `"0"` as If-Match for the first version."""
    actor = current_actor()
    return _run(
        client_id,
        lambda: operations.write_plan(
            actor, lock_plan(actor, client_id, body.kind), body.plan, version
        ),
    )


PLAN = "/clients/<uuid:client_id>/safety-plans/<uuid:plan_id>"


@blueprint.route(f"{PLAN}/review", "POST", error_statuses=(409,))
@needs(Action.PLAN_WRITE)
@blueprint.response_schema(PlanResponseSchema(), 201)
@blueprint.request_schema(ReviewSchema())
@blueprint.requires_if_match
def review_safety_plan(
    client_id: UUID, plan_id: UUID, body: NewReview, version: int
) -> PlanVersion:
    """Record a review of the plan with the client in which nothing changed."""
    actor = current_actor()
    return _run(
        client_id,
        lambda: operations.record_review(
            actor, lock_plan(actor, client_id, plan_id), body, version
        ),
    )


@blueprint.route(f"{PLAN}/portal", "POST", error_statuses=(409,))
@needs(Action.PLAN_WRITE)
@blueprint.response_schema(PlanResponseSchema(), 201)
@blueprint.request_schema(PortalWishSchema())
@blueprint.requires_if_match
def show_safety_plan(
    client_id: UUID, plan_id: UUID, body: dict[str, Any], version: int
) -> PlanVersion:
    """Show a plan in the portal, after the client has said that they want it there.

    Refused with 409 for an exit plan, and while somebody else may read what the client keeps.
    """
    actor = current_actor()
    del body
    return _run(
        client_id,
        lambda: operations.show_in_portal(actor, lock_plan(actor, client_id, plan_id), version),
    )


@blueprint.route(f"{PLAN}/portal/remove", "POST", error_statuses=(409,))
@needs(Action.PLAN_WRITE)
@blueprint.response_schema(PlanResponseSchema(), 201)
@blueprint.requires_if_match
def remove_safety_plan(client_id: UUID, plan_id: UUID, version: int) -> PlanVersion:
    """Remove a plan from the portal."""
    actor = current_actor()
    return _run(
        client_id,
        lambda: operations.remove_from_portal(actor, lock_plan(actor, client_id, plan_id), version),
    )


def _run(client_id: UUID, change: Callable[[], UUID]) -> PlanVersion:
    actor = current_actor()
    with transaction():
        version_id = run_api_once(change)
    return get_plan_version(actor, client_id, version_id)
