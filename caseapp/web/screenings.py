"""Screening page: levels over time and the form for the next screening."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Blueprint, redirect, render_template, request, url_for

from caseapp.core.errors import Invalid
from caseapp.core.pagination import PAGE_SIZE, Window, page_window
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.reading import list_suspended_assignments
from caseapp.domain.audit.operations import record_read
from caseapp.domain.cases.queries import lock_case
from caseapp.domain.practice.queries import get_practice_info
from caseapp.domain.screening.operations import record_screening
from caseapp.domain.screening.protocol import ACTIONS_TAKEN, IMMEDIATE_STEPS
from caseapp.domain.screening.queries import list_page_screenings
from caseapp.domain.screening.rules import derive_required_actions, list_immediate_steps
from caseapp.domain.screening.schemas import ScreeningSchema
from caseapp.http.guard import current_actor, needs
from caseapp.http.idempotency import run_form_once
from caseapp.http.request_parsing import Form, read_form, submitted_form
from caseapp.http.template_helpers import flash
from caseapp.web.case_header import load_case_context

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

blueprint = Blueprint("screenings", __name__)

TREND_LENGTH = 12


@blueprint.get("/case/<string:number>/screening")
@needs(Action.SCREENING_READ)
def screening_page(number: str) -> ResponseReturnValue:
    """Show a client's screenings and the form for the next one."""
    return _screenings(number)


def _screenings(number: str, form: Form | None = None) -> str:
    actor, context = current_actor(), load_case_context(number)
    client_id = context.case.client_id
    record_read(actor, Action.SCREENING_READ, "client", client_id, client_id)
    window = page_window(request.args.get("cursor"), PAGE_SIZE)
    newest = Window(None, TREND_LENGTH)
    screenings = list_page_screenings(client_id, context.key, window, newest)
    return render_template(
        "screenings/screening.html",
        context=context,
        tab="Screening",
        page=window.make_page(screenings, lambda found: (found.recorded_at, found.id)),
        trend=screenings[:TREND_LENGTH][::-1],
        immediate_steps=list_immediate_steps(context.safety.last_screening.levels)
        if context.safety.last_screening
        else [],
        help_lines=get_practice_info().help_lines,
        form=form or Form(),
        suspended=list_suspended_assignments(actor, context),
    )


@blueprint.post("/case/<string:number>/screening")
@needs(Action.SCREENING_RECORD)
def record(number: str) -> ResponseReturnValue:
    """Record a screening with the holds, flags and follow-ups that it requires."""
    actor = current_actor()
    try:
        screening = read_form(ScreeningSchema())
        with transaction():
            case = lock_case(actor, number)
            run_form_once(lambda: record_screening(actor, case.locked_client, screening))
    except Invalid as error:
        return _screenings(number, submitted_form(error)), 422
    if derive_required_actions(screening.levels, case.safety.as_of).holds:
        flash("hold_opened")
        return redirect(url_for("holds.hold_page", number=number), code=303)
    flash("screening_recorded")
    return redirect(url_for("screenings.screening_page", number=number), code=303)


@blueprint.app_context_processor
def protocol_labels() -> dict[str, Any]:
    """Make the labels of the protocol available to every template with screening questions."""
    return {"actions_taken": ACTIONS_TAKEN, "immediate_actions": IMMEDIATE_STEPS}
