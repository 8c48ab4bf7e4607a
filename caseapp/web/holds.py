"""Hold page: why coaching is paused, required actions, and the release of a hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, render_template, url_for

from caseapp.core.errors import NotFound
from caseapp.core.permissions import Action
from caseapp.domain.alerts.queries import get_client_alert
from caseapp.domain.assignments.reading import list_suspended_assignments
from caseapp.domain.cases.queries import get_case_context_by_number
from caseapp.domain.followups.schemas import NewResult, ResultSchema
from caseapp.domain.practice.queries import get_practice_info
from caseapp.domain.safety_plans.operations import complete_task
from caseapp.domain.screening.operations import release_hold
from caseapp.domain.screening.protocol import ITEMS_BY_KEY
from caseapp.domain.screening.queries import (
    LockedHold,
    SafetyHistory,
    get_safety_history,
    lock_hold,
    sort_holds,
)
from caseapp.domain.screening.rules import list_immediate_steps, release_blockers
from caseapp.domain.screening.schemas import ReasonSchema
from caseapp.domain.users.queries import get_user_names
from caseapp.http.forms import Body, Done, FormPage, Forms, Sent
from caseapp.http.guard import current_actor
from caseapp.web.case_header import load_case_context
from caseapp.web.followups import NOT_COMPLETED, lock_task_of_case

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.core.actor import Actor
    from caseapp.core.errors import Reason
    from caseapp.domain.dashboard.case_page import CasePage
    from caseapp.domain.followups.queries import LockedFollowUp

blueprint = Blueprint("holds", __name__)


page = FormPage(
    blueprint,
    "/case/<string:number>/hold",
    Action.HOLD_READ,
    load_case_context,
    client_of=lambda context: context.case.client_id,
)


@page.show
def hold_page(context: CasePage, forms: Forms) -> str:
    """Show a client's open and released holds."""
    actor = current_actor()
    client_id = context.case.client_id
    history = get_safety_history(client_id)
    holds = sort_holds(history)
    people = {hold.opened_by for hold in holds}
    people |= {hold.released_by for hold in holds if hold.released_by}
    return render_template(
        "holds/hold.html",
        context=context,
        tab="Hold",
        open_holds=[hold for hold in holds if hold.released_at is None],
        released_holds=[hold for hold in holds if hold.released_at is not None],
        blockers=_list_release_blockers(context, history, actor),
        immediate_steps=list_immediate_steps(context.safety.levels),
        items_by_key=ITEMS_BY_KEY,
        names=get_user_names(people),
        help_lines=get_practice_info().help_lines,
        alert=get_client_alert(actor, client_id) if context.safety.holds else None,
        suspended=list_suspended_assignments(actor, context),
        forms=forms,
    )


def _list_release_blockers(
    context: CasePage, history: SafetyHistory, actor: Actor
) -> dict[UUID, list[Reason]]:
    """List what each open hold still needs before this actor can release it."""
    return {
        hold.id: release_blockers(
            hold,
            history.find_hold_screenings(hold),
            context.list_open_kinds(hold),
            actor.id,
            context.safety.as_of,
        )
        for hold in context.safety.holds
    }


@page.form(
    Action.FOLLOWUP_WRITE,
    Body(ResultSchema, NewResult),
    lock=lock_task_of_case,
    rule="/case/<string:number>/hold/follow-ups/<uuid:followup_id>",
    refused=NOT_COMPLETED,
)
def complete_action(task: LockedFollowUp, new: NewResult, sent: Sent) -> Done:
    """Complete a required action with a result."""
    complete_task(sent.actor, task, new, sent.version)
    return Done(url_for("holds.hold_page", number=sent.args["number"]), "result_recorded")


def lock_hold_of_case(actor: Actor, number: str, hold_id: UUID) -> LockedHold:
    """Lock the client of a hold, then load the hold.

    Raises Forbidden, and NotFound when the client has no such case or hold.
    """
    hold = lock_hold(actor, hold_id)
    if hold.hold.client_id != get_case_context_by_number(actor, number).case.client_id:
        raise NotFound
    return hold


@page.form(
    Action.HOLD_RELEASE,
    Body(ReasonSchema, dict[str, str]),
    lock=lock_hold_of_case,
    rule="/case/<string:number>/hold/<uuid:hold_id>/release",
    refused="The hold can’t be released yet",
)
def release(hold: LockedHold, body: dict[str, str], sent: Sent) -> Done:
    """Release a hold with a written reason."""
    release_hold(sent.actor, hold, body["reason"], sent.version)
    return Done(url_for("holds.hold_page", number=sent.args["number"]), "hold_released")
