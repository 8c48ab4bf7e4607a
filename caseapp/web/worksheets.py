"""Worksheets: what a client has shared of a sheet, and the files that came back unread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, Response, render_template

from caseapp.core.errors import NotFound
from caseapp.core.permissions import Action
from caseapp.domain.audit.operations import record_read
from caseapp.domain.worksheets.queries import as_words, desk_of, file_of
from caseapp.http.guard import needs, the_actor
from caseapp.web.case_header import seen_case

if TYPE_CHECKING:
    from uuid import UUID

    from flask.typing import ResponseReturnValue

    from caseapp.domain.cases.queries import CaseHead
    from caseapp.domain.worksheets.queries import Desk

blueprint = Blueprint(
    "worksheets", __name__, url_prefix="/case/<string:number>/handouts/<uuid:assignment_id>"
)


@blueprint.get("/answers")
@needs(Action.ASSIGNMENT_READ)
def answers_page(number: str, assignment_id: UUID) -> ResponseReturnValue:
    """Show the answers as they were shared, in the sheet's order, and the files that were sent."""
    head, desk = _seen(number, assignment_id)
    return render_template(
        "worksheets/answers.html", head=head, tab="Handouts", desk=desk, as_words=as_words
    )


@blueprint.get("/files/<uuid:returned_id>")
@needs(Action.ASSIGNMENT_READ)
def returned_file(number: str, assignment_id: UUID, returned_id: UUID) -> ResponseReturnValue:
    """Give a file that the client has sent; it comes from outside, so no browser is to open it by itself."""
    _head, desk = _seen(number, assignment_id)
    data = file_of(the_actor(), assignment_id, returned_id)
    return Response(
        data,
        mimetype="application/octet-stream",
        headers={
            "Content-Disposition": f'attachment; filename="returned-{desk.given.place:02}.pdf"'
        },
    )


def _seen(number: str, assignment_id: UUID) -> tuple[CaseHead, Desk]:
    actor, head = the_actor(), seen_case(number)
    desk = desk_of(actor, assignment_id)
    if desk.given.case_id != head.case.id:
        raise NotFound
    record_read(actor, Action.ASSIGNMENT_READ, "assignment", assignment_id, head.case.client_id)
    return head, desk
