"""Hold pages: why coaching is paused, what is required, how a hold ends, and a page for whoever is named for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import Blueprint, render_template, url_for

from caseapp.core.clock import now
from caseapp.core.errors import NotFound
from caseapp.core.permissions import Action
from caseapp.domain.alerts.queries import get_client_alert
from caseapp.domain.assignments.reading import list_suspended_assignments
from caseapp.domain.cases.queries import LockedCase, lock_case
from caseapp.domain.clients.queries import get_client_under_key
from caseapp.domain.followups.queries import list_page_followups
from caseapp.domain.followups.rules import list_unfinished
from caseapp.domain.followups.schemas import NewResult, ResultSchema
from caseapp.domain.handouts.queries import list_newest_versions
from caseapp.domain.practice.queries import get_practice_info
from caseapp.domain.safety_plans.operations import complete_task
from caseapp.domain.screening.history import SafetyHistory, get_safety_history
from caseapp.domain.screening.hold_operations import name_second_person, release_hold
from caseapp.domain.screening.protocol import ITEMS_BY_KEY
from caseapp.domain.screening.queries import (
    LockedHold,
    get_hold_with_history,
    list_possible_second_people,
    lock_hold,
    sort_holds,
)
from caseapp.domain.screening.rules import list_episodes, list_immediate_steps, release_blockers
from caseapp.domain.screening.schemas import (
    ExceptionFormSchema,
    NewException,
    ReasonSchema,
    SecondPerson,
    SecondPersonSchema,
)
from caseapp.domain.suitability.operations import allow_handout
from caseapp.domain.suitability.queries import list_allowable_handouts
from caseapp.domain.users.queries import get_user_names
from caseapp.http.forms import Body, Done, FormPage, Forms, Sent
from caseapp.http.guard import current_actor
from caseapp.web.case_header import load_case_context, lock_in_case
from caseapp.web.followups import NOT_COMPLETED, lock_task_of_case

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.core.actor import Actor
    from caseapp.core.errors import Reason
    from caseapp.domain.dashboard.case_page import CasePage
    from caseapp.domain.followups.queries import LockedFollowUp
    from caseapp.domain.followups.schemas import FollowUpRecord
    from caseapp.domain.screening.records import Hold
    from caseapp.domain.screening.rules import HoldScreenings

blueprint = Blueprint("holds", __name__)

NOT_RELEASED = "The hold can’t be released yet"


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
    people |= {hold.second_person_id for hold in holds if hold.second_person_id}
    people |= {hold.allowed_by for hold in holds if hold.allowed_by}
    return render_template(
        "holds/hold.html",
        context=context,
        tab="Hold",
        open_holds=context.safety.holds,
        released_holds=[hold for hold in holds if hold.released_at is not None],
        blockers=_list_release_blockers(context, history, actor),
        second_people=list_possible_second_people(
            client_id,
            {hold.id: history.find_hold_screenings(hold) for hold in context.safety.holds},
        ),
        allowable=list_allowable_handouts(context) if _shows_allowing(context, actor) else {},
        titles=_list_titles(context),
        immediate_steps=list_immediate_steps(context.safety.levels),
        items_by_key=ITEMS_BY_KEY,
        names=get_user_names(people),
        help_lines=get_practice_info().help_lines,
        alert=get_client_alert(actor, client_id) if context.safety.holds else None,
        suspended=list_suspended_assignments(actor, context),
        forms=forms,
    )


def _list_titles(context: CasePage) -> dict[str, str]:
    """Give the titles of handouts by slug, if one is allowed."""
    if not any(hold.allowed_handout for hold in context.safety.holds):
        return {}
    return {item.handout.id: item.handout.title for item in list_newest_versions()}


def _shows_allowing(context: CasePage, actor: Actor) -> bool:
    return context.safety.hold == "care" and actor.may(Action.HOLD_ALLOW)


def _list_release_blockers(
    context: CasePage, history: SafetyHistory, actor: Actor
) -> dict[UUID, list[tuple[Reason, str]]]:
    """List what each open hold still needs before this actor can release it, each with where that is done."""
    found = {}
    for hold in context.safety.holds:
        kinds = context.list_open_kinds(hold)
        screenings = history.find_hold_screenings(hold)
        reasons = release_blockers(hold, screenings, kinds, actor.id, context.safety.as_of)
        found[hold.id] = link_blockers(context, hold, reasons, kinds)
    return found


def link_blockers(
    context: CasePage, hold: Hold, reasons: list[Reason], kinds: list[str]
) -> list[tuple[Reason, str]]:
    """Give each reason why a hold can't be released the address of the place where it is met.

    `kinds` are the kinds of its open actions, in the order of the reasons. What lost contact ended is asked for again
    when the case is reopened. Every other reason is about a screening.
    """
    rows = {task.kind: task.id for task in reversed(context.followups) if not task.completed_at}
    number, open_kinds, found = context.case.number, iter(kinds), []
    for reason in reasons:
        address = url_for("screenings.screening_page", number=number)
        if reason.code == "task_open":
            kind = next(open_kinds)
            address = (
                f"#task-{rows[kind]}"
                if kind in rows
                else url_for("cases.close_page", number=number)
            )
        elif reason.code == "second_person_needed":
            address = f"#second-{hold.id}"
        found.append((reason, address))
    return found


lock_hold_of_case = lock_in_case(lock_hold, lambda hold: hold.hold.client_id)


def lock_case_of_hold(actor: Actor, number: str, hold_id: UUID) -> LockedCase:
    """Lock a case with one of its client's open holds.

    Raises NotFound.
    """
    case = lock_case(actor, number)
    if hold_id not in {hold.id for hold in case.safety.holds}:
        raise NotFound
    return case


@page.form(
    Action.HOLD_ALLOW,
    Body(ExceptionFormSchema, dict[str, str]),
    lock=lock_case_of_hold,
    rule="/case/<string:number>/hold/<uuid:hold_id>/allowed-handout",
    refused="The handout was not allowed",
)
def allow(case: LockedCase, body: dict[str, str], sent: Sent) -> Done:
    """Allow one handout in this case during a care hold."""
    new = NewException(body["handout"], case.case.id, body["reason"])
    allow_handout(sent.actor, case, sent.args["hold_id"], new, sent.version)
    return Done(url_for("holds.hold_page", number=sent.args["number"]), "handout_allowed")


@page.form(
    Action.HOLD_NAME,
    Body(SecondPersonSchema, SecondPerson),
    lock=lock_hold_of_case,
    rule="/case/<string:number>/hold/<uuid:hold_id>/second-person",
    refused="Nobody was named",
)
def name(hold: LockedHold, body: SecondPerson, sent: Sent) -> Done:
    """Name the supervisor who may release a hold."""
    name_second_person(sent.actor, hold, body.user_id, sent.version)
    return Done(url_for("holds.hold_page", number=sent.args["number"]), "second_person_named")


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


@page.form(
    Action.HOLD_RELEASE,
    Body(ReasonSchema, dict[str, str]),
    lock=lock_hold_of_case,
    rule="/case/<string:number>/hold/<uuid:hold_id>/release",
    refused=NOT_RELEASED,
)
def release(hold: LockedHold, body: dict[str, str], sent: Sent) -> Done:
    """Release a hold with a written reason."""
    release_hold(sent.actor, hold, body["reason"], sent.version)
    return Done(url_for("holds.hold_page", number=sent.args["number"]), "hold_released")


@dataclass(frozen=True)
class NamedHoldView:
    """A hold as whoever was named to release it reads it: no notes, handouts or reports."""

    hold: Hold
    client: str
    screenings: HoldScreenings
    actions: list[FollowUpRecord]
    blockers: list[Reason]


def load_named_hold(hold_id: UUID) -> NamedHoldView:
    """Load an open hold that the user was named to release, or sees.

    Raises NotFound.
    """
    actor = current_actor()
    hold, history = get_hold_with_history(actor, hold_id)
    if hold.released_at is not None:
        raise NotFound
    client = get_client_under_key(history.key)
    episodes, screenings = list_episodes(hold), history.find_hold_screenings(hold)
    actions = list_page_followups(client, history.key, {hold.id: episodes})
    blockers = release_blockers(hold, screenings, list_unfinished(actions), actor.id, now())
    return NamedHoldView(hold, client.name, screenings, actions, blockers)


named = FormPage(
    blueprint,
    "/holds/<uuid:hold_id>",
    Action.HOLD_RELEASE,
    load_named_hold,
    client_of=lambda view: view.hold.client_id,
    only_asks=True,
    by_own_right=True,
)


@named.show
def named_hold(view: NamedHoldView, forms: Forms) -> str:
    """Show a hold to whoever was named to release it."""
    return render_template(
        "holds/named.html",
        view=view,
        items_by_key=ITEMS_BY_KEY,
        forms=forms,
    )


@named.form(
    Action.HOLD_RELEASE,
    Body(ReasonSchema, dict[str, str]),
    lock=lock_hold,
    rule="/holds/<uuid:hold_id>/release",
    refused=NOT_RELEASED,
)
def release_named(hold: LockedHold, body: dict[str, str], sent: Sent) -> Done:
    """Release a hold with a written reason, as whoever was named for it."""
    release_hold(sent.actor, hold, body["reason"], sent.version)
    return Done(url_for("today.today"), "hold_released")
