"""Screenings: the levels over time, in words and in a drawing, and the form that records the next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Blueprint, redirect, render_template, request, url_for

from caseapp.core.errors import Invalid
from caseapp.core.pagination import PAGE_SIZE
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.suspended import resting_in
from caseapp.domain.audit.operations import record_read
from caseapp.domain.cases.queries import case_by_number
from caseapp.domain.practice.queries import office
from caseapp.domain.screening.operations import record_screening
from caseapp.domain.screening.protocol import ACTIONS_TAKEN, STEPS, demanded, steps_for
from caseapp.domain.screening.queries import recent_screenings, screenings_of
from caseapp.domain.screening.schemas import ScreeningSchema
from caseapp.domain.users.queries import names_of
from caseapp.http.guard import needs, the_actor
from caseapp.http.idempotency import form_once
from caseapp.http.request_parsing import Form, form_of, read_form
from caseapp.http.template_helpers import say
from caseapp.web.case_header import seen_case

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

blueprint = Blueprint("screenings", __name__)

TREND = 12


@blueprint.get("/case/<string:number>/screening")
@needs(Action.SCREENING_READ)
def screening_page(number: str) -> ResponseReturnValue:
    """Show a client's screenings and the form for the next one."""
    return _screenings(number)


def _screenings(number: str, form: Form | None = None) -> str:
    actor, head = the_actor(), seen_case(number)
    client_id = head.case.client_id
    record_read(actor, Action.SCREENING_READ, "client", client_id, client_id)
    page = screenings_of(actor, client_id, request.args.get("cursor"), PAGE_SIZE)
    return render_template(
        "screenings/screening.html",
        head=head,
        tab="Screening",
        page=page,
        trend=recent_screenings(client_id, TREND)[::-1],
        names=names_of({screening.recorded_by for screening in page.items}),
        now_steps=steps_for(head.safety.last.levels) if head.safety.last else [],
        lines=office().numbers,
        form=form or Form(),
        resting=resting_in(actor, head),
    )


@blueprint.post("/case/<string:number>/screening")
@needs(Action.SCREENING_RECORD)
def record_now(number: str) -> ResponseReturnValue:
    """Record a screening with everything that it demands."""
    actor = the_actor()
    try:
        wanted = read_form(ScreeningSchema())
        with transaction():
            head = case_by_number(actor, number)
            form_once(lambda: record_screening(actor, head.case.client_id, wanted))
    except Invalid as error:
        return _screenings(number, form_of(error)), 422
    if demanded(wanted.levels, head.safety.at).holds:
        say("hold_opened")
        return redirect(url_for("holds.hold_page", number=number), code=303)
    say("screening_recorded")
    return redirect(url_for("screenings.screening_page", number=number), code=303)


@blueprint.app_context_processor
def protocol_words() -> dict[str, Any]:
    """Give the protocol's words to every page that shows the questions."""
    return {"actions_taken": ACTIONS_TAKEN, "crisis_steps": STEPS}
