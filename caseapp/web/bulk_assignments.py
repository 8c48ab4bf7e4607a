"""Bulk assignments: select clients for a handout, confirm with the reasons for each, follow the progress."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from flask import Blueprint, redirect, render_template, url_for

from caseapp.core.clock import now
from caseapp.core.errors import Invalid, RuleBroken
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.operations import validate_due_on
from caseapp.domain.assignments.schemas import MAX_MESSAGE_LENGTH
from caseapp.domain.audit.operations import record_read
from caseapp.domain.bulk_assignments.operations import start_bulk_assignment
from caseapp.domain.bulk_assignments.queries import get_bulk_assignment, list_candidates
from caseapp.domain.bulk_assignments.schemas import (
    MAX_CASES,
    BulkAssignmentSchema,
    ClientSelectionSchema,
)
from caseapp.domain.cases.queries import CaseFilter, list_cases
from caseapp.domain.cases.stages import stages
from caseapp.domain.handouts.queries import get_handout_version, require_not_recalled
from caseapp.domain.suitability.schemas import BLOCKED, CAUTION, ELIGIBLE
from caseapp.http.errors import record_refused_request
from caseapp.http.guard import current_actor, needs
from caseapp.http.idempotency import run_form_once
from caseapp.http.request_parsing import Form, read_form, submitted_form
from caseapp.http.template_helpers import flash
from caseapp.web.handouts import get_requested_language, get_requested_stage

if TYPE_CHECKING:
    from uuid import UUID

    from flask.typing import ResponseReturnValue

    from caseapp.core.errors import Reason
    from caseapp.domain.bulk_assignments.schemas import ClientSelection
    from caseapp.domain.cases.schemas import CaseListItem

blueprint = Blueprint("bulk_assignments", __name__)

# After this the page says that it takes longer than usual.
USUAL_DURATION = timedelta(minutes=10)


def _cases() -> tuple[list[CaseListItem], bool]:
    """List the open cases of the stage in the query string, newest first, and tell whether there are more."""
    wanted = CaseFilter(stage=get_requested_stage() or None, status="open")
    page = list_cases(current_actor(), wanted, None, MAX_CASES)
    return page.items, page.next is not None


@blueprint.get("/handouts/<string:slug>/bulk-assign")
@needs(Action.ASSIGNMENT_CREATE)
def choose_page(slug: str) -> ResponseReturnValue:
    """Show the open cases, so that the coach can select clients for a handout."""
    return _choose(slug, Form())


def _choose(slug: str, form: Form, reasons: tuple[Reason, ...] = ()) -> str:
    handout = require_not_recalled(get_handout_version(slug, get_requested_language()))
    cases, more = _cases()
    record_read(current_actor(), Action.CASE_READ, "case", None, None)
    return render_template(
        "bulk_assignments/choose.html",
        handout=handout,
        cases=cases,
        more=more,
        max_cases=MAX_CASES,
        filters=Form({"stage": get_requested_stage(), "language": get_requested_language()}),
        stage_options={stage.id: f"{stage.number}. {stage.title}" for stage in stages()},
        form=form,
        reasons=reasons,
        max_message_length=MAX_MESSAGE_LENGTH,
    )


@blueprint.post("/handouts/<string:slug>/bulk-assign")
@needs(Action.ASSIGNMENT_CREATE)
def confirm_page(slug: str) -> ResponseReturnValue:
    """Show which selected clients can get it, which need caution and which are skipped; nothing is stored yet."""
    try:
        selection = read_form(ClientSelectionSchema())
        chosen = [case.id for case in _cases()[0]] if selection.all else selection.cases
        return _confirm(slug, selection, chosen)
    except Invalid as error:
        return _choose(slug, submitted_form(error)), 422


def _confirm(slug: str, selection: ClientSelection, chosen: list[UUID]) -> str:
    actor, item = current_actor(), get_handout_version(slug, get_requested_language())
    require_not_recalled(item)
    validate_due_on(selection.due_on)
    found = list_candidates(actor, item, selection.channel, chosen)
    if not found:
        raise Invalid({"cases": ["Choose at least one client."]})
    record_read(actor, Action.ASSIGNMENT_READ, "case", None, None)
    return render_template(
        "bulk_assignments/confirm.html",
        handout=item.handout,
        selection=selection,
        candidates=found,
        groups={
            outcome: [one for one in found if one.outcome == outcome]
            for outcome in (ELIGIBLE, CAUTION, BLOCKED)
        },
    )


@blueprint.post("/handouts/<string:slug>/bulk-assignments")
@needs(Action.ASSIGNMENT_CREATE)
def start(slug: str) -> ResponseReturnValue:
    """Create the bulk assignment and queue its job."""
    actor = current_actor()
    try:
        wanted = read_form(BulkAssignmentSchema())
        with transaction():
            bulk_assignment_id = run_form_once(lambda: start_bulk_assignment(actor, slug, wanted))
    except Invalid as error:
        return _choose(slug, submitted_form(error)), 422
    except RuleBroken as error:
        record_refused_request(error)
        return _choose(slug, submitted_form(), error.reasons), 409
    flash("bulk_assignment_started")
    return redirect(
        url_for("bulk_assignments.progress_page", bulk_assignment_id=bulk_assignment_id), code=303
    )


@blueprint.get("/handouts/bulk-assignments/<uuid:bulk_assignment_id>")
@needs(Action.ASSIGNMENT_READ)
def progress_page(bulk_assignment_id: UUID) -> str:
    """Show the progress of a bulk assignment; a script keeps it up to date without reloading the page."""
    actor = current_actor()
    bulk_assignment = get_bulk_assignment(actor, bulk_assignment_id)
    record_read(actor, Action.ASSIGNMENT_READ, "bulk_assignment", bulk_assignment_id, None)
    slow = now() - bulk_assignment.created_at > USUAL_DURATION
    return render_template(
        "bulk_assignments/progress.html", bulk_assignment=bulk_assignment, slow=slow
    )
