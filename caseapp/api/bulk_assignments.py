"""Givings: one sheet to several cases, carried out in the background."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from caseapp.api.blueprint import ApiBlueprint
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.audit.operations import record_read
from caseapp.domain.bulk_assignments.operations import start_bulk_assignment
from caseapp.domain.bulk_assignments.queries import get_bulk_assignment
from caseapp.domain.bulk_assignments.schemas import (
    BulkAssignmentRecord,
    BulkAssignmentResponseSchema,
    BulkAssignmentSchema,
    NewBulkAssignment,
)
from caseapp.http.guard import current_actor, needs
from caseapp.http.idempotency import run_api_once

if TYPE_CHECKING:
    from uuid import UUID

blueprint = ApiBlueprint(
    "givings",
    "One sheet to several cases. Each case is judged when it is asked for, and anew at the moment it is given.",
)


@blueprint.route("/handouts/<string:slug>/givings", "POST")
@needs(Action.ASSIGNMENT_CREATE)
@blueprint.response_schema(BulkAssignmentResponseSchema(), HTTPStatus.ACCEPTED, location=lambda bulk_assignment: f"/givings/{bulk_assignment['id']}")
@blueprint.request_schema(BulkAssignmentSchema())
def give_to_several(slug: str, body: NewBulkAssignment) -> BulkAssignmentRecord:
    """Give the newest edition to up to 500 cases; those that may not get it are left out, with the reasons."""
    actor = current_actor()
    with transaction():
        bulk_assignment_id = run_api_once(lambda: start_bulk_assignment(actor, slug, body))
    return get_bulk_assignment(actor, bulk_assignment_id)


@blueprint.route("/givings/<uuid:bulk_assignment_id>")
@needs(Action.ASSIGNMENT_READ)
@blueprint.response_schema(BulkAssignmentResponseSchema())
def bulk_assignment(bulk_assignment_id: UUID) -> BulkAssignmentRecord:
    """Show how far it is, and of its cases those that the reader may see."""
    actor = current_actor()
    found = get_bulk_assignment(actor, bulk_assignment_id)
    record_read(actor, Action.ASSIGNMENT_READ, "giving", bulk_assignment_id, None)
    return found
