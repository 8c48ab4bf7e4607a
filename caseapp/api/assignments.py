"""Assignments: handouts given to a client in a case."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from marshmallow import fields, validate

from caseapp.api.blueprint import Door, ListQuery, PaperQuery, Wanted
from caseapp.core.pagination import Page, page_of
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.operations import assign, assign_several, replace_older, withdraw
from caseapp.domain.assignments.printing import assignment_pdf as pdf_of
from caseapp.domain.assignments.printing import case_pack_pdf
from caseapp.domain.assignments.queries import (
    assignment_shown,
    assignments_of,
    given_together,
    left_out_of,
    printable,
)
from caseapp.domain.assignments.schemas import (
    AssignmentRecord,
    AssignmentView,
    AssignOneSchema,
    AssignSeveralSchema,
    NewAssignment,
    OneAssignment,
    OneReplacing,
    ReplaceOneSchema,
    RestingView,
    SeveralView,
)
from caseapp.domain.assignments.suspended import RestingCase, resting_list
from caseapp.domain.audit.operations import record_read
from caseapp.domain.cases.queries import case_head
from caseapp.domain.handouts.packets import MOST_SHEETS
from caseapp.domain.worksheets.queries import shared_answers
from caseapp.domain.worksheets.schemas import SharedAnswers, SharedAnswersView
from caseapp.http.downloads import pdf_answer
from caseapp.http.guard import needs, the_actor
from caseapp.http.idempotency import api_once

if TYPE_CHECKING:
    from uuid import UUID

    from flask import Response

door = Door("assignments", "Handouts given to a client; each keeps its edition for ever.")


class PackQuery(PaperQuery):
    """Choose the sheets of a pack."""

    sheet = fields.List(
        fields.UUID(),
        required=True,
        validate=validate.Length(1, MOST_SHEETS),
        metadata={"description": "The id of an assignment of this case; give it once for each."},
    )


@door.at("/cases/<uuid:case_id>/assignments")
@needs(Action.ASSIGNMENT_READ)
@door.lists(AssignmentView())
@door.asks(ListQuery())
def assignment_list(case_id: UUID, query: Wanted) -> Page[AssignmentRecord]:
    """List what was given in a case, newest first, each with what stops it now."""
    actor = the_actor()
    head = case_head(actor, case_id)
    record_read(actor, Action.ASSIGNMENT_READ, "case", case_id, head.case.client_id)
    found = assignments_of(actor, head, before=query.cursor, limit=query.limit + 1)
    return page_of(found, query.limit, lambda given: (given.assigned_at, given.id))


@door.at("/cases/<uuid:case_id>/assignments", "POST")
@needs(Action.ASSIGNMENT_MAKE)
@door.gives(AssignmentView(), 201, at=lambda given: f"/assignments/{given['id']}")
@door.takes(AssignOneSchema())
def give(case_id: UUID, body: OneAssignment) -> AssignmentRecord:
    """Give a handout that suits the client now."""
    actor = the_actor()
    with transaction():
        made = api_once(lambda: assign(actor, case_id, **vars(body)))
    return assignment_shown(actor, made)


@door.at("/cases/<uuid:case_id>/assignments/several", "POST")
@needs(Action.ASSIGNMENT_MAKE)
@door.gives(SeveralView(), 201, at=lambda made: f"/assignments/{made['items'][0]['id']}")
@door.takes(AssignSeveralSchema())
def give_several(case_id: UUID, body: NewAssignment) -> dict[str, Any]:
    """Give several handouts in one step; what may not be given now is left out, with the reasons."""
    actor = the_actor()
    with transaction():
        first = api_once(lambda: assign_several(actor, case_id, body)[0])
    head = case_head(actor, case_id)
    given = given_together(actor, head, first)
    left_out = left_out_of(head, body.slugs, given, body.channel, body.language)
    return {
        "items": given,
        "left_out": [{"slug": one.id, "reasons": reasons} for one, reasons in left_out],
    }


@door.at("/cases/<uuid:case_id>/assignments/pack", also=(409,))
@needs(Action.ASSIGNMENT_READ)
@door.gives_file("application/pdf")
@door.asks(PackQuery())
def pack(case_id: UUID, query: dict[str, Any]) -> Response:
    """Download several sheets of a case as one PDF; what may not go out now refuses the whole, with its reasons."""
    actor, large = the_actor(), "size" in query
    head = case_head(actor, case_id)
    record_read(actor, Action.ASSIGNMENT_READ, "case", case_id, head.case.client_id)
    made = case_pack_pdf(actor, head, query["sheet"], large=large)
    return pdf_answer(made, f"reading-all{'-large' if large else ''}.pdf")


@door.at("/assignments/<uuid:assignment_id>/replace", "POST")
@needs(Action.ASSIGNMENT_MAKE)
@door.gives(AssignmentView(), 201, at=lambda given: f"/assignments/{given['id']}")
@door.takes(ReplaceOneSchema())
def replace(assignment_id: UUID, body: OneReplacing) -> AssignmentRecord:
    """Withdraw an older version and give the newest in its place, in the same way and for the same week."""
    actor = the_actor()
    with transaction():
        made = api_once(lambda: replace_older(actor, assignment_id, **vars(body)))
    return assignment_shown(actor, made)


@door.at("/handouts/resting")
@needs(Action.ASSIGNMENT_READ)
@door.lists(RestingView())
@door.asks(ListQuery())
def resting(query: Wanted) -> Page[RestingCase]:
    """Look through `limit` open cases, newest first, for what may not reach its client now; a page may be empty."""
    actor = the_actor()
    page = resting_list(actor, query.cursor, query.limit)
    record_read(actor, Action.ASSIGNMENT_READ, "case", None, None)
    return page


@door.at("/assignments/<uuid:assignment_id>")
@needs(Action.ASSIGNMENT_READ)
@door.gives(AssignmentView())
def assignment(assignment_id: UUID) -> AssignmentRecord:
    """Show one assignment and what stops it now."""
    actor = the_actor()
    found = assignment_shown(actor, assignment_id)
    record_read(actor, Action.ASSIGNMENT_READ, "assignment", assignment_id, found.client_id)
    return found


@door.at("/assignments/<uuid:assignment_id>/pdf", also=(409,))
@needs(Action.ASSIGNMENT_READ)
@door.gives_file("application/pdf")
@door.asks(PaperQuery())
def assignment_pdf(assignment_id: UUID, query: dict[str, Any]) -> Response:
    """Download the edition that was given, unless something stops it now; the file's name tells nothing."""
    actor, large = the_actor(), "size" in query
    found = printable(actor, assignment_id)
    record_read(actor, Action.ASSIGNMENT_READ, "assignment", assignment_id, found.client_id)
    made = pdf_of(found, large=large, code=True)
    return pdf_answer(made, f"reading-{found.place:02}{'-large' if large else ''}.pdf")


@door.at("/assignments/<uuid:assignment_id>/answers")
@needs(Action.ASSIGNMENT_READ)
@door.gives(SharedAnswersView())
def answers(assignment_id: UUID) -> SharedAnswers:
    """Show what the client has shared of this sheet, as it stood then; nothing is here until they do."""
    actor = the_actor()
    found, client_id = shared_answers(actor, assignment_id)
    record_read(actor, Action.ASSIGNMENT_READ, "assignment", assignment_id, client_id)
    return found


@door.at("/assignments/<uuid:assignment_id>/withdraw", "POST", also=(409,))
@needs(Action.ASSIGNMENT_WITHDRAW)
@door.gives(AssignmentView())
@door.changes
def take_back(assignment_id: UUID, version: int) -> AssignmentRecord:
    """Take a handout back: the portal no longer shows it, the record of it stays."""
    actor = the_actor()
    with transaction():
        withdraw(actor, assignment_id, version)
    return assignment_shown(actor, assignment_id)
