"""Screenings, the flags they raise and the holds they open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from marshmallow import fields

from caseapp.api.blueprint import ApiBlueprint, ListQuerySchema, ListRequest
from caseapp.api.serialization import single_page
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.reading import list_client_suspended_assignments
from caseapp.domain.assignments.schemas import AssignmentResponseSchema
from caseapp.domain.audit.operations import record_read
from caseapp.domain.screening.operations import record_screening, release_hold
from caseapp.domain.screening.queries import (
    get_hold,
    get_screening,
    list_flags,
    list_holds,
    list_release_blockers,
    list_screenings,
)
from caseapp.domain.screening.schemas import (
    FlagResponseSchema,
    HoldDetailResponseSchema,
    HoldResponseSchema,
    NewScreening,
    ReasonSchema,
    ScreeningRecord,
    ScreeningResponseSchema,
    ScreeningSchema,
)
from caseapp.http.guard import current_actor, needs
from caseapp.http.idempotency import run_api_once

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.core.pagination import Page
    from caseapp.domain.screening.models import Flag, Hold

blueprint = ApiBlueprint(
    "screenings",
    "Screenings, flags and holds. They support a coach's judgement; the protocol awaits clinical sign-off.",
)


class NewScreeningResponseSchema(ScreeningResponseSchema):
    """Show a new screening with every sheet of the open case that may not reach the client now."""

    suspended = fields.List(fields.Nested(AssignmentResponseSchema), required=True)


@blueprint.route("/clients/<uuid:client_id>/screenings")
@needs(Action.SCREENING_READ)
@blueprint.list_response_schema(ScreeningResponseSchema())
@blueprint.query_params(ListQuerySchema())
def screening_list(client_id: UUID, query: ListRequest) -> Page[ScreeningRecord]:
    """List a client's screenings, newest first."""
    actor = current_actor()
    page = list_screenings(actor, client_id, query.cursor, query.limit)
    record_read(actor, Action.SCREENING_READ, "client", client_id, client_id)
    return page


@blueprint.route("/clients/<uuid:client_id>/screenings", "POST")
@needs(Action.SCREENING_RECORD)
@blueprint.response_schema(NewScreeningResponseSchema(), 201)
@blueprint.request_schema(ScreeningSchema())
def screen(client_id: UUID, body: NewScreening) -> dict[str, Any]:
    """Record a screening with the holds, flags and follow-ups that it demands; `resting` lists what it stops."""
    actor = current_actor()
    with transaction():
        screening_id = run_api_once(lambda: record_screening(actor, client_id, body))
    found = get_screening(actor, screening_id)
    shown = {name: getattr(found, name) for name in ScreeningResponseSchema().fields}
    return shown | {"suspended": list_client_suspended_assignments(actor, client_id)}


@blueprint.route("/clients/<uuid:client_id>/flags")
@needs(Action.SCREENING_READ)
@blueprint.list_response_schema(FlagResponseSchema())
def flag_list(client_id: UUID) -> Page[Flag]:
    """List the flags that are up for a client."""
    actor = current_actor()
    page = single_page(list_flags(actor, client_id))
    record_read(actor, Action.SCREENING_READ, "flags", client_id, client_id)
    return page


@blueprint.route("/clients/<uuid:client_id>/holds")
@needs(Action.HOLD_READ)
@blueprint.list_response_schema(HoldResponseSchema())
def hold_list(client_id: UUID) -> Page[Hold]:
    """List a client's holds, open ones first."""
    actor = current_actor()
    page = single_page(list_holds(actor, client_id))
    record_read(actor, Action.HOLD_READ, "client", client_id, client_id)
    return page


@blueprint.route("/holds/<uuid:hold_id>")
@needs(Action.HOLD_READ)
@blueprint.response_schema(HoldDetailResponseSchema())
def hold(hold_id: UUID) -> dict[str, Any]:
    """Show one hold and what still keeps it."""
    actor = current_actor()
    found = _whole(hold_id)
    record_read(actor, Action.HOLD_READ, "hold", hold_id, found["client_id"])
    return found


def _whole(hold_id: UUID) -> dict[str, Any]:
    actor = current_actor()
    found = get_hold(actor, hold_id)
    blockers = [] if found.released_at else list_release_blockers(found, actor)
    shown = {name: getattr(found, name) for name in HoldResponseSchema().fields}
    return shown | {"blockers": blockers}


@blueprint.route("/holds/<uuid:hold_id>/release", "POST", error_statuses=(409,))
@needs(Action.HOLD_RELEASE)
@blueprint.response_schema(HoldDetailResponseSchema())
@blueprint.request_schema(ReasonSchema())
@blueprint.requires_if_match
def clear(hold_id: UUID, body: dict[str, str], version: int) -> dict[str, Any]:
    """End a hold with a written reason, once nothing keeps it any more."""
    with transaction():
        release_hold(current_actor(), hold_id, body["reason"], version)
    return _whole(hold_id)
