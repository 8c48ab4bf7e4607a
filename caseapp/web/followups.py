"""Follow-ups: my own tasks, and those of one client with what came of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, redirect, render_template, request, url_for

from caseapp.core.errors import Invalid, RuleBroken
from caseapp.core.pagination import PAGE_SIZE
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.audit.operations import record_read
from caseapp.domain.cases.queries import case_by_number
from caseapp.domain.dashboard.queries import case_numbers
from caseapp.domain.followups.operations import add_followup, complete_followup
from caseapp.domain.followups.queries import followup_shown, followups_page
from caseapp.domain.followups.schemas import NewFollowUpSchema, OutcomeSchema
from caseapp.domain.users.queries import names_of
from caseapp.http.errors import remember_refusal
from caseapp.http.guard import needs, the_actor
from caseapp.http.idempotency import form_once
from caseapp.http.request_parsing import Form, form_of, form_version, read_form
from caseapp.http.template_helpers import say, zone
from caseapp.web.case_header import seen_case

if TYPE_CHECKING:
    from uuid import UUID

    from flask.typing import ResponseReturnValue

blueprint = Blueprint("followups", __name__)


@blueprint.get("/follow-ups")
@needs(Action.FOLLOWUP_READ)
def followup_list() -> ResponseReturnValue:
    """List my tasks, the most pressing first."""
    return _mine()


def _mine(
    form: Form | None = None, task: UUID | None = None, refused: RuleBroken | None = None
) -> str:
    actor, done = the_actor(), request.args.get("done") == "yes"
    page = followups_page(
        actor, done=done, client_id=None, cursor=request.args.get("cursor"), limit=PAGE_SIZE
    )
    record_read(actor, Action.FOLLOWUP_READ, "followup", None, None)
    return render_template(
        "followups/followup_list.html",
        page=page,
        done=done,
        numbers=case_numbers(item.client_id for item in page.items),
        form=form or Form(),
        open_task=task,
        reasons=refused.reasons if refused else (),
    )


@blueprint.get("/case/<string:number>/follow-ups")
@needs(Action.FOLLOWUP_READ)
def case_followups(number: str) -> ResponseReturnValue:
    """List a client's tasks, whoever they are for, with a form for one more."""
    return _of_case(number)


def _of_case(
    number: str,
    form: Form | None = None,
    task: UUID | None = None,
    refused: RuleBroken | None = None,
) -> str:
    actor, done = the_actor(), request.args.get("done") == "yes"
    head = seen_case(number)
    page = followups_page(
        actor,
        done=done,
        client_id=head.case.client_id,
        cursor=request.args.get("cursor"),
        limit=PAGE_SIZE,
    )
    record_read(actor, Action.FOLLOWUP_READ, "client", head.case.client_id, head.case.client_id)
    people = {item.assigned_to for item in page.items} | {
        item.done_by for item in page.items if item.done_by
    }
    return render_template(
        "followups/case_followups.html",
        head=head,
        tab="Follow-ups",
        page=page,
        done=done,
        names=names_of(people),
        form=form or Form(),
        none_sent=Form(),
        open_task=task,
        reasons=refused.reasons if refused else (),
    )


@blueprint.post("/case/<string:number>/follow-ups")
@needs(Action.FOLLOWUP_WRITE)
def add_now(number: str) -> ResponseReturnValue:
    """Add a task of my own."""
    actor = the_actor()
    try:
        new = read_form(NewFollowUpSchema(), zone=zone())
        with transaction():
            head = case_by_number(actor, number)
            form_once(lambda: add_followup(actor, head.case.client_id, new))
    except Invalid as error:
        return _of_case(number, form_of(error)), 422
    say("followup_added")
    return redirect(url_for("followups.case_followups", number=number), code=303)


@blueprint.post("/follow-ups/<uuid:followup_id>")
@needs(Action.FOLLOWUP_WRITE)
def complete_mine(followup_id: UUID) -> ResponseReturnValue:
    """Record what came of a task, from the list of mine."""
    try:
        _complete(followup_id)
    except Invalid as error:
        return _mine(form_of(error), followup_id), 422
    except RuleBroken as error:
        remember_refusal(error)
        return _mine(form_of(), followup_id, error), 409
    say("followup_done")
    return redirect(url_for("followups.followup_list"), code=303)


@blueprint.post("/case/<string:number>/follow-ups/<uuid:followup_id>")
@needs(Action.FOLLOWUP_WRITE)
def complete_now(number: str, followup_id: UUID) -> ResponseReturnValue:
    """Record what came of a task, from the client's list."""
    try:
        _complete(followup_id)
    except Invalid as error:
        return _of_case(number, form_of(error), followup_id), 422
    except RuleBroken as error:
        remember_refusal(error)
        return _of_case(number, form_of(), followup_id, error), 409
    say("followup_done")
    return redirect(url_for("followups.case_followups", number=number), code=303)


def _complete(followup_id: UUID) -> None:
    actor = the_actor()
    followup_shown(actor, followup_id)
    outcome = read_form(OutcomeSchema())["outcome"]
    with transaction():
        complete_followup(actor, followup_id, outcome, form_version())
