"""API of assignments: handouts assigned to a client in a case."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from marshmallow import fields, validate

from caseapp.api.blueprint import ApiBlueprint, ListQuerySchema, ListRequest, PdfQuerySchema
from caseapp.core.pagination import Page, make_page
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.operations import (
    assign_handout,
    assign_handouts,
    replace_assignment,
    withdraw,
)
from caseapp.domain.assignments.printing import assignment_pdf, case_packet_pdf
from caseapp.domain.assignments.queries import (
    get_assignment_record,
    get_printable_assignment,
    list_assigned_together,
    list_assignments,
    list_skipped_handouts,
    lock_assignment,
)
from caseapp.domain.assignments.reading import list_suspended_cases
from caseapp.domain.assignments.schemas import (
    AssignHandoutSchema,
    AssignHandoutsSchema,
    AssignmentRecord,
    AssignmentResponseSchema,
    AssignmentsResponseSchema,
    NewAssignment,
    NewAssignments,
    ReplaceAssignmentSchema,
    Replacement,
    SuspendedCase,
    SuspendedCaseResponseSchema,
)
from caseapp.domain.cases.queries import get_case_context, lock_case
from caseapp.domain.handouts.packets import MAX_HANDOUTS
from caseapp.domain.worksheets.queries import get_shared_answers
from caseapp.domain.worksheets.schemas import SharedAnswers, SharedAnswersResponseSchema
from caseapp.http.downloads import pdf_response
from caseapp.http.guard import current_actor, needs
from caseapp.http.idempotency import run_api_once

if TYPE_CHECKING:
    from uuid import UUID

    from flask import Response

blueprint = ApiBlueprint(
    "assignments",
    "Handouts assigned to a client. An assignment keeps its handout version when the handout is updated later.",
)


class PacketQuerySchema(PdfQuerySchema):
    """The assignments to put into one packet."""

    assignment = fields.List(
        fields.UUID(),
        required=True,
        validate=validate.Length(1, MAX_HANDOUTS, error=f"Name 1 to {MAX_HANDOUTS} assignments."),
        metadata={"description": "The id of an assignment of this case; repeat it for each."},
    )


@blueprint.route("/cases/<uuid:case_id>/assignments")
@needs(Action.ASSIGNMENT_READ)
@blueprint.list_response_schema(AssignmentResponseSchema())
@blueprint.query_params(ListQuerySchema())
def list_case_assignments(case_id: UUID, query: ListRequest) -> Page[AssignmentRecord]:
    """List the assignments of a case, newest first, each with its blockers."""
    actor = current_actor()
    context = get_case_context(actor, case_id)
    found = list_assignments(actor, context, before=query.cursor, limit=query.limit + 1)
    return make_page(found, query.limit, lambda record: (record.assigned_at, record.id))


@blueprint.route("/cases/<uuid:case_id>/assignments", "POST")
@needs(Action.ASSIGNMENT_CREATE)
@blueprint.response_schema(
    AssignmentResponseSchema(), 201, location=lambda record: f"/assignments/{record['id']}"
)
@blueprint.request_schema(AssignHandoutSchema())
def create_assignment(case_id: UUID, body: NewAssignment) -> AssignmentRecord:
    """Assign a handout that suits the client now."""
    actor = current_actor()
    with transaction():
        made = run_api_once(lambda: assign_handout(actor, lock_case(actor, case_id), **vars(body)))
    return get_assignment_record(actor, made)


@blueprint.route("/cases/<uuid:case_id>/assignments/batch", "POST")
@needs(Action.ASSIGNMENT_CREATE)
@blueprint.response_schema(
    AssignmentsResponseSchema(), 201, location=lambda made: f"/assignments/{made['items'][0]['id']}"
)
@blueprint.request_schema(AssignHandoutsSchema())
def create_assignments(case_id: UUID, body: NewAssignments) -> dict[str, Any]:
    """Assign several handouts in one step; blocked ones are skipped, with the reasons."""
    actor = current_actor()
    with transaction():
        first = run_api_once(lambda: assign_handouts(actor, lock_case(actor, case_id), body)[0])
    context = get_case_context(actor, case_id)
    assigned = list_assigned_together(actor, context, first)
    skipped = list_skipped_handouts(context, body.slugs, assigned, body.channel, body.language)
    return {
        "items": assigned,
        "skipped": [{"slug": handout.id, "reasons": reasons} for handout, reasons in skipped],
    }


@blueprint.route("/cases/<uuid:case_id>/assignments/packet", error_statuses=(409,))
@needs(Action.ASSIGNMENT_READ)
@blueprint.file_response("application/pdf")
@blueprint.query_params(PacketQuerySchema())
def download_packet(case_id: UUID, query: dict[str, Any]) -> Response:
    """Download several handouts of a case as one PDF; refused with the reasons when one of them has blockers."""
    actor, large = current_actor(), "size" in query
    context = get_case_context(actor, case_id)
    made = case_packet_pdf(actor, context, query["assignment"], large=large)
    return pdf_response(made, f"reading-all{'-large' if large else ''}.pdf")


@blueprint.route("/assignments/<uuid:assignment_id>/replace", "POST")
@needs(Action.ASSIGNMENT_CREATE)
@blueprint.response_schema(
    AssignmentResponseSchema(), 201, location=lambda record: f"/assignments/{record['id']}"
)
@blueprint.request_schema(ReplaceAssignmentSchema())
def replace_with_newest(assignment_id: UUID, body: Replacement) -> AssignmentRecord:
    """Withdraw an older version and assign the newest instead, with the same channel and week."""
    actor = current_actor()
    with transaction():
        made = run_api_once(
            lambda: replace_assignment(actor, lock_assignment(actor, assignment_id), **vars(body))
        )
    return get_assignment_record(actor, made)


@blueprint.route("/handouts/suspended")
@needs(Action.ASSIGNMENT_READ)
@blueprint.list_response_schema(SuspendedCaseResponseSchema())
@blueprint.query_params(ListQuerySchema())
def list_suspended(query: ListRequest) -> Page[SuspendedCase]:
    """Search `limit` open cases, newest first, for suspended assignments; a page may be empty."""
    actor = current_actor()
    return list_suspended_cases(actor, query.cursor, query.limit)


@blueprint.route("/assignments/<uuid:assignment_id>")
@needs(Action.ASSIGNMENT_READ)
@blueprint.response_schema(AssignmentResponseSchema())
def show_assignment(assignment_id: UUID) -> AssignmentRecord:
    """Get one assignment with its blockers."""
    actor = current_actor()
    return get_assignment_record(actor, assignment_id)


@blueprint.route("/assignments/<uuid:assignment_id>/pdf", error_statuses=(409,))
@needs(Action.ASSIGNMENT_READ)
@blueprint.file_response("application/pdf")
@blueprint.query_params(PdfQuerySchema())
def download_assignment(assignment_id: UUID, query: dict[str, Any]) -> Response:
    """Download the assigned handout version, unless it has blockers; the file name reveals nothing."""
    actor, large = current_actor(), "size" in query
    found = get_printable_assignment(actor, assignment_id)
    made = assignment_pdf(found, large=large, discreet=False)
    return pdf_response(made, f"reading-{found.position:02}{'-large' if large else ''}.pdf")


@blueprint.route("/assignments/<uuid:assignment_id>/answers")
@needs(Action.ASSIGNMENT_READ)
@blueprint.response_schema(SharedAnswersResponseSchema())
def show_answers(assignment_id: UUID) -> SharedAnswers:
    """Get the answers that the client shared, as they were then; empty until they share."""
    actor = current_actor()
    return get_shared_answers(actor, assignment_id)


@blueprint.route("/assignments/<uuid:assignment_id>/withdraw", "POST", error_statuses=(409,))
@needs(Action.ASSIGNMENT_WITHDRAW)
@blueprint.response_schema(AssignmentResponseSchema())
@blueprint.requires_if_match
def withdraw_assignment(assignment_id: UUID, version: int) -> AssignmentRecord:
    """Withdraw an assignment: the portal no longer shows it, but the record is kept."""
    actor = current_actor()
    with transaction():
        withdraw(actor, lock_assignment(actor, assignment_id), version)
    return get_assignment_record(actor, assignment_id)
