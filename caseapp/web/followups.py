"""Follow-up pages: the user's own tasks and those of one client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, redirect, render_template, request, url_for

from caseapp.core.errors import Invalid, RuleBroken
from caseapp.core.pagination import PAGE_SIZE
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.audit.operations import record_read
from caseapp.domain.cases.queries import lock_case
from caseapp.domain.dashboard.queries import get_case_numbers
from caseapp.domain.followups.operations import complete_followup, create_followup
from caseapp.domain.followups.queries import (
    get_followup_record,
    list_followups_by_due_date,
    lock_followup,
)
from caseapp.domain.followups.schemas import NewFollowUpSchema, OutcomeSchema
from caseapp.domain.users.queries import get_user_names
from caseapp.http.errors import record_refused_request
from caseapp.http.guard import current_actor, needs
from caseapp.http.idempotency import run_form_once
from caseapp.http.request_parsing import Form, form_version, read_form, submitted_form
from caseapp.http.template_helpers import flash, zone
from caseapp.web.case_header import load_case_context

if TYPE_CHECKING:
    from uuid import UUID

    from flask.typing import ResponseReturnValue

blueprint = Blueprint("followups", __name__)


@blueprint.get("/follow-ups")
@needs(Action.FOLLOWUP_READ)
def followup_list() -> ResponseReturnValue:
    """List the user's own tasks by due time."""
    return _render_own_list()


def _render_own_list(
    form: Form | None = None, task: UUID | None = None, refused: RuleBroken | None = None
) -> str:
    actor, done = current_actor(), request.args.get("done") == "yes"
    page = list_followups_by_due_date(
        actor, done=done, client_id=None, cursor=request.args.get("cursor"), limit=PAGE_SIZE
    )
    record_read(actor, Action.FOLLOWUP_READ, "followup", None, None)
    return render_template(
        "followups/followup_list.html",
        page=page,
        done=done,
        numbers=get_case_numbers(item.client_id for item in page.items),
        form=form or Form(),
        open_task=task,
        reasons=refused.reasons if refused else (),
    )


@blueprint.get("/case/<string:number>/follow-ups")
@needs(Action.FOLLOWUP_READ)
def case_followups(number: str) -> ResponseReturnValue:
    """List a client's tasks with a form for a new one."""
    return _render_case_list(number)


def _render_case_list(
    number: str,
    form: Form | None = None,
    task: UUID | None = None,
    refused: RuleBroken | None = None,
) -> str:
    actor, done = current_actor(), request.args.get("done") == "yes"
    context = load_case_context(number)
    page = list_followups_by_due_date(
        actor,
        done=done,
        client_id=context.case.client_id,
        cursor=request.args.get("cursor"),
        limit=PAGE_SIZE,
    )
    record_read(
        actor, Action.FOLLOWUP_READ, "client", context.case.client_id, context.case.client_id
    )
    people = {item.assigned_to for item in page.items} | {
        item.completed_by for item in page.items if item.completed_by
    }
    return render_template(
        "followups/case_followups.html",
        context=context,
        tab="Follow-ups",
        page=page,
        done=done,
        names=get_user_names(people),
        form=form or Form(),
        empty_form=Form(),
        open_task=task,
        reasons=refused.reasons if refused else (),
    )


@blueprint.post("/case/<string:number>/follow-ups")
@needs(Action.FOLLOWUP_WRITE)
def create(number: str) -> ResponseReturnValue:
    """Create a task for the user."""
    actor = current_actor()
    try:
        new = read_form(NewFollowUpSchema(), zone=zone())
        with transaction():
            case = lock_case(actor, number)
            run_form_once(lambda: create_followup(actor, case.locked_client, new))
    except Invalid as error:
        return _render_case_list(number, submitted_form(error)), 422
    flash("followup_added")
    return redirect(url_for("followups.case_followups", number=number), code=303)


@blueprint.post("/follow-ups/<uuid:followup_id>")
@needs(Action.FOLLOWUP_WRITE)
def complete(followup_id: UUID) -> ResponseReturnValue:
    """Complete a task from the user's own list."""
    try:
        _complete(followup_id)
    except Invalid as error:
        return _render_own_list(submitted_form(error), followup_id), 422
    except RuleBroken as error:
        record_refused_request(error)
        return _render_own_list(submitted_form(), followup_id, error), 409
    flash("followup_completed")
    return redirect(url_for("followups.followup_list"), code=303)


@blueprint.post("/case/<string:number>/follow-ups/<uuid:followup_id>")
@needs(Action.FOLLOWUP_WRITE)
def complete_in_case(number: str, followup_id: UUID) -> ResponseReturnValue:
    """Complete a task from the client's list."""
    try:
        _complete(followup_id)
    except Invalid as error:
        return _render_case_list(number, submitted_form(error), followup_id), 422
    except RuleBroken as error:
        record_refused_request(error)
        return _render_case_list(number, submitted_form(), followup_id, error), 409
    flash("followup_completed")
    return redirect(url_for("followups.case_followups", number=number), code=303)


def _complete(followup_id: UUID) -> None:
    actor = current_actor()
    get_followup_record(actor, followup_id)
    outcome = read_form(OutcomeSchema())["outcome"]
    with transaction():
        complete_followup(actor, lock_followup(actor, followup_id), outcome, form_version())
