"""Holds: why coaching is paused, what to do until when, and the supervisor's decision that ends it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Blueprint, redirect, render_template, url_for

from caseapp.core.errors import Invalid, NotFound, RuleBroken, Stale
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.core.vault import open_row
from caseapp.domain.assignments.suspended import resting_in
from caseapp.domain.audit.operations import record_read
from caseapp.domain.cases.queries import case_by_number
from caseapp.domain.practice.queries import office
from caseapp.domain.screening.operations import clear_hold
from caseapp.domain.screening.protocol import ITEM, steps_for
from caseapp.domain.screening.queries import get_hold, holds_of, what_keeps
from caseapp.domain.screening.schemas import ReasonSchema
from caseapp.domain.users.queries import names_of
from caseapp.http.errors import remember_refusal
from caseapp.http.guard import needs, the_actor
from caseapp.http.request_parsing import Form, form_of, form_version, read_form
from caseapp.http.template_helpers import say
from caseapp.web.case_header import seen_case

if TYPE_CHECKING:
    from uuid import UUID

    from flask.typing import ResponseReturnValue

blueprint = Blueprint("holds", __name__)


@blueprint.get("/case/<string:number>/hold")
@needs(Action.HOLD_READ)
def hold_page(number: str) -> ResponseReturnValue:
    """Show a client's open holds and those that have ended."""
    return _holds(number)


def _holds(number: str, **words: Any) -> str:  # noqa: ANN401 - forms and words of a page
    actor, head = the_actor(), seen_case(number)
    client_id = head.case.client_id
    holds = holds_of(actor, client_id)
    record_read(actor, Action.HOLD_READ, "client", client_id, client_id)
    people = {hold.opened_by for hold in holds}
    people |= {hold.cleared_by for hold in holds if hold.cleared_by}
    return render_template(
        "holds/hold.html",
        head=head,
        tab="Hold",
        open_holds=[hold for hold in holds if hold.cleared_at is None],
        ended=[hold for hold in holds if hold.cleared_at is not None],
        reasons_given={
            hold.id: open_row(hold, "clear_reason", head.key) for hold in holds if hold.cleared_at
        },
        keeping={hold.id: what_keeps(hold, actor) for hold in head.safety.holds},
        now_steps=steps_for(head.safety.last.levels) if head.safety.last else [],
        item_of=ITEM,
        names=names_of(people),
        lines=office().numbers,
        resting=resting_in(actor, head),
        **{"form": Form(), "reasons": [], "clearing": None} | words,
    )


@blueprint.post("/case/<string:number>/hold/<uuid:hold_id>/clear")
@needs(Action.HOLD_CLEAR)
def clear_now(number: str, hold_id: UUID) -> ResponseReturnValue:
    """End a hold with a written reason."""
    actor = the_actor()
    try:
        reason, version = read_form(ReasonSchema())["reason"], form_version()
        with transaction():
            head = case_by_number(actor, number)
            if get_hold(actor, hold_id).client_id != head.case.client_id:
                raise NotFound
            clear_hold(actor, hold_id, reason, version)
    except Invalid as error:
        return _holds(number, form=form_of(error), clearing=hold_id), 422
    except RuleBroken as error:
        remember_refusal(error)
        return _holds(number, form=form_of(), clearing=hold_id, reasons=error.reasons), 409
    except Stale:
        return _holds(number, form=form_of(), clearing=hold_id, stale=True), 412
    say("hold_cleared")
    return redirect(url_for("holds.hold_page", number=number), code=303)
