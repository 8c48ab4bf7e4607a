"""Worksheets: the answers a client has shared and the uploads they have sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, Response, render_template, request

from caseapp.core.errors import NotFound
from caseapp.core.permissions import Action
from caseapp.domain.assignments.queries import get_assignment_record
from caseapp.domain.worksheets.operations import mark_answers_opened, mark_upload_opened
from caseapp.domain.worksheets.printing import render_written_pdf
from caseapp.domain.worksheets.queries import (
    get_shared_worksheet,
    get_upload_content,
)
from caseapp.http.downloads import pdf_response
from caseapp.http.guard import current_actor, needs
from caseapp.web.case_header import load_case_context

if TYPE_CHECKING:
    from uuid import UUID

    from flask.typing import ResponseReturnValue

    from caseapp.domain.dashboard.case_page import CasePage
    from caseapp.domain.worksheets.queries import SharedWorksheet

blueprint = Blueprint(
    "worksheets", __name__, url_prefix="/case/<string:number>/handouts/<uuid:assignment_id>"
)


@blueprint.get("/answers")
@needs(Action.ASSIGNMENT_READ)
def shared_answers_page(number: str, assignment_id: UUID) -> ResponseReturnValue:
    """Show the shared answers in the handout's order, and the sent uploads."""
    context, worksheet = _load_worksheet(number, assignment_id)
    if worksheet.shared and worksheet.shared.is_unread and request.method == "GET":
        mark_answers_opened(current_actor(), worksheet.shared)
    return render_template(
        "worksheets/shared_answers.html",
        context=context,
        tab="Handouts",
        worksheet=worksheet,
    )


@blueprint.get("/answers.pdf")
@needs(Action.ASSIGNMENT_READ)
def shared_answers_pdf(number: str, assignment_id: UUID) -> ResponseReturnValue:
    """Return the handout with the shared answers as a PDF."""
    _context, worksheet = _load_worksheet(number, assignment_id)
    shared = worksheet.shared
    if shared is None:
        raise NotFound
    made = render_written_pdf(
        worksheet.assignment, shared.by_field, shared.shared_at, discreet=False
    )
    if shared.is_unread and request.method == "GET":
        mark_answers_opened(current_actor(), shared)
    return pdf_response(made, f"answers-{worksheet.assignment.position:02}.pdf")


@blueprint.get("/files/<uuid:upload_id>")
@needs(Action.ASSIGNMENT_READ)
def upload(number: str, assignment_id: UUID, upload_id: UUID) -> ResponseReturnValue:
    """Download a sent upload; it is untrusted, so browsers must not open it inline."""
    actor = current_actor()
    assignment = get_assignment_record(actor, assignment_id)
    if assignment.case_number != number:
        raise NotFound
    data = get_upload_content(actor, assignment_id, upload_id)
    if request.method == "GET":
        mark_upload_opened(actor, upload_id)
    return Response(
        data,
        mimetype="application/octet-stream",
        headers={
            "Content-Disposition": f'attachment; filename="returned-{assignment.position:02}.pdf"'
        },
    )


def _load_worksheet(number: str, assignment_id: UUID) -> tuple[CasePage, SharedWorksheet]:
    actor, context = current_actor(), load_case_context(number)
    worksheet = get_shared_worksheet(actor, assignment_id)
    if worksheet.assignment.case_id != context.case.id:
        raise NotFound
    return context, worksheet
