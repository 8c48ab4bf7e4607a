"""API of bulk assignments: one handout to several cases, in the background."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from caseapp.api.blueprint import ApiBlueprint
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
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
    "bulk_assignments",
    "Assign one handout to several cases. Each case is checked when you send the request and again when the handout is "
    "assigned.",
)


@blueprint.route("/handouts/<string:slug>/bulk-assignments", "POST")
@needs(Action.ASSIGNMENT_CREATE)
@blueprint.response_schema(
    BulkAssignmentResponseSchema(),
    HTTPStatus.ACCEPTED,
    location=lambda created: f"/bulk-assignments/{created['id']}",
)
@blueprint.request_schema(BulkAssignmentSchema())
def create_bulk_assignment(slug: str, body: NewBulkAssignment) -> BulkAssignmentRecord:
    """Assign the newest version to up to 500 cases; cases that can’t receive it are skipped, with the reasons."""
    actor = current_actor()
    with transaction():
        bulk_assignment_id = run_api_once(lambda: start_bulk_assignment(actor, slug, body))
    return get_bulk_assignment(actor, bulk_assignment_id)


@blueprint.route("/bulk-assignments/<uuid:bulk_assignment_id>")
@needs(Action.ASSIGNMENT_READ)
@blueprint.response_schema(BulkAssignmentResponseSchema())
def show_bulk_assignment(bulk_assignment_id: UUID) -> BulkAssignmentRecord:
    """Get the progress of a bulk assignment and the cases in it that the user may see."""
    actor = current_actor()
    return get_bulk_assignment(actor, bulk_assignment_id)
