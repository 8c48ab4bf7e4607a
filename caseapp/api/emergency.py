"""API for emergency access to the record of a client whom one doesn't see otherwise."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from caseapp.api.blueprint import ApiBlueprint, ListQuerySchema, ListRequest
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.dashboard.emergencies import list_emergencies
from caseapp.domain.staffing import emergency_operations
from caseapp.domain.staffing.denials import lock_access
from caseapp.domain.staffing.emergencies import lock_emergency, lock_reviewed_emergency
from caseapp.domain.staffing.schemas import (
    AccessReviewSchema,
    EmergencyResponseSchema,
    NewEmergencyAccess,
    NewEmergencyAccessSchema,
    Recorded,
    RecordedResponseSchema,
)
from caseapp.http.guard import current_actor, needs
from caseapp.http.idempotency import run_api_once

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.core.pagination import Page
    from caseapp.domain.dashboard.schemas import EmergencyRecord

blueprint = ApiBlueprint(
    "emergency",
    "Reading the record of a client you don’t normally see, for 60 minutes. Nothing can be changed, the coach is "
    "told, and another supervisor reviews it.",
)


@blueprint.route("/emergency-access")
@needs(Action.EMERGENCY_OPEN)
@blueprint.list_response_schema(EmergencyResponseSchema())
@blueprint.query_params(ListQuerySchema())
def read_accesses(query: ListRequest) -> Page[EmergencyRecord]:
    """List your uses of emergency access and those that you may review, newest first."""
    return list_emergencies(current_actor(), query.cursor, query.limit)


@blueprint.route("/emergency-access", "POST")
@needs(Action.EMERGENCY_OPEN)
@blueprint.response_schema(RecordedResponseSchema(), HTTPStatus.CREATED)
@blueprint.request_schema(NewEmergencyAccessSchema())
def open_access(body: NewEmergencyAccess) -> Recorded:
    """Open a client’s record for reading, by case number; `words` say why it can’t wait."""
    actor = current_actor()

    def change() -> UUID:
        access = lock_access(actor, body.number, Action.EMERGENCY_OPEN)
        return emergency_operations.open_emergency_access(actor, access, body)

    with transaction():
        return Recorded(run_api_once(change))


@blueprint.route("/emergency-access/<uuid:emergency_id>/end", "POST")
@needs(Action.EMERGENCY_OPEN)
@blueprint.response_schema(RecordedResponseSchema())
def end_access(emergency_id: UUID) -> Recorded:
    """End your emergency access now."""
    actor = current_actor()
    with transaction():
        emergency_operations.end_emergency_access(actor, lock_emergency(actor, emergency_id))
    return Recorded(emergency_id)


@blueprint.route("/emergency-access/<uuid:emergency_id>/review", "POST", error_statuses=(409,))
@needs(Action.EMERGENCY_REVIEW)
@blueprint.response_schema(RecordedResponseSchema())
@blueprint.request_schema(AccessReviewSchema())
def review(emergency_id: UUID, body: str) -> Recorded:
    """Record, as another supervisor, whether an emergency access was needed."""
    actor = current_actor()
    with transaction():
        locked = lock_reviewed_emergency(actor, emergency_id)
        emergency_operations.review_emergency_access(actor, locked, body)
    return Recorded(emergency_id)
