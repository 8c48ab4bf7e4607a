"""Follow-up pages: the user's own tasks and those of one client."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flask import Blueprint, render_template, request, url_for

from caseapp.core.clock import now
from caseapp.core.pagination import PAGE_SIZE
from caseapp.core.permissions import Action
from caseapp.domain.cases.queries import LockedCase, lock_case
from caseapp.domain.dashboard.queries import get_case_numbers
from caseapp.domain.followups.codes import ABOUT_PLANS, METHOD_LABELS, RESULT_LABELS, TASK_KINDS
from caseapp.domain.followups.operations import create_followup
from caseapp.domain.followups.queries import (
    LockedFollowUp,
    list_followups_by_due_date,
    lock_followup,
)
from caseapp.domain.followups.rules import earliest_at, get_due_state, is_waiting
from caseapp.domain.followups.schemas import (
    NewFollowUp,
    NewFollowUpSchema,
    NewResult,
    ResultSchema,
)
from caseapp.domain.safety_plans.operations import complete_task
from caseapp.domain.users.queries import get_user_names
from caseapp.http.forms import Body, Done, FormPage, Forms, Sent
from caseapp.http.guard import current_actor
from caseapp.web.case_header import load_case_context, lock_in_case

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.core.pagination import Page
    from caseapp.domain.dashboard.case_page import CasePage
    from caseapp.domain.followups.schemas import FollowUpRecord

blueprint = Blueprint("followups", __name__)

NOT_COMPLETED = "The follow-up was not completed"


def load_tasks(client_id: UUID | None) -> Page[FollowUpRecord]:
    """Load the chosen page of a client's tasks, or of the user's own when `client_id` is None."""
    return list_followups_by_due_date(
        current_actor(),
        done=_shows_done(),
        client_id=client_id,
        cursor=request.args.get("cursor"),
        limit=PAGE_SIZE,
    )


def _shows_done() -> bool:
    return request.args.get("done") == "yes"


def load_own_tasks() -> Page[FollowUpRecord]:
    """Load the user's own tasks and record that they were read."""
    return load_tasks(None)


own = FormPage(blueprint, "/follow-ups", Action.FOLLOWUP_READ, load_own_tasks)


@own.show
def followup_list(tasks: Page[FollowUpRecord], forms: Forms) -> str:
    """List the user's own tasks by due time."""
    return render_template(
        "followups/followup_list.html",
        page=tasks,
        done=_shows_done(),
        numbers=get_case_numbers(item.client_id for item in tasks.items),
        forms=forms,
    )


def client_of_task(tasks: Page[FollowUpRecord], followup_id: UUID) -> UUID:
    """Return the client whom a listed task is about."""
    return next(item.client_id for item in tasks.items if item.id == followup_id)


@own.form(
    Action.FOLLOWUP_WRITE,
    Body(ResultSchema, NewResult),
    lock=lock_followup,
    rule="/follow-ups/<uuid:followup_id>",
    client_of=client_of_task,
    refused=NOT_COMPLETED,
)
def complete(task: LockedFollowUp, new: NewResult, sent: Sent) -> Done:
    """Complete a task from the user's own list."""
    complete_task(sent.actor, task, new, sent.version)
    return Done(url_for("followups.followup_list"), "result_recorded")


@dataclass(frozen=True)
class ClientTasks:
    """A case with a page of its client's tasks."""

    context: CasePage
    tasks: Page[FollowUpRecord]


def load_client_tasks(number: str) -> ClientTasks:
    """Load a client's tasks and record that they were read.

    Raises NotFound.
    """
    context = load_case_context(number)
    client_id = context.case.client_id
    tasks = load_tasks(client_id)
    return ClientTasks(context, tasks)


of_case = FormPage(
    blueprint,
    "/case/<string:number>/follow-ups",
    Action.FOLLOWUP_READ,
    load_client_tasks,
    client_of=lambda view: view.context.case.client_id,
)


@of_case.show
def case_followups(view: ClientTasks, forms: Forms) -> str:
    """List a client's tasks with a form for a new one."""
    people = {item.completed_by or item.assigned_to for item in view.tasks.items}
    return render_template(
        "followups/case_followups.html",
        context=view.context,
        tab="Follow-ups",
        page=view.tasks,
        done=_shows_done(),
        names=get_user_names(people),
        forms=forms,
    )


@of_case.form(Action.FOLLOWUP_WRITE, Body(NewFollowUpSchema, NewFollowUp), lock=lock_case)
def create(case: LockedCase, new: NewFollowUp, sent: Sent) -> Done:
    """Create a task for the user."""
    create_followup(sent.actor, case.locked_client, new)
    return Done(_tasks_of(sent), "followup_added")


lock_task_of_case = lock_in_case(lock_followup, lambda task: task.row.client_id)


@of_case.form(
    Action.FOLLOWUP_WRITE,
    Body(ResultSchema, NewResult),
    lock=lock_task_of_case,
    rule="/case/<string:number>/follow-ups/<uuid:followup_id>",
    refused=NOT_COMPLETED,
)
def complete_in_case(task: LockedFollowUp, new: NewResult, sent: Sent) -> Done:
    """Complete a task from the client's list."""
    complete_task(sent.actor, task, new, sent.version)
    return Done(_tasks_of(sent), "result_recorded")


def _tasks_of(sent: Sent) -> str:
    return url_for("followups.case_followups", number=sent.args["number"])


@blueprint.app_context_processor
def followup_labels() -> dict[str, Any]:
    """Make the kinds of follow-ups and their labels available to every template that shows one."""
    moment = now()
    return {
        "about_plans": ABOUT_PLANS,
        "task_kinds": TASK_KINDS,
        "result_labels": RESULT_LABELS,
        "method_labels": METHOD_LABELS,
        "due_state": lambda task: get_due_state(task, moment),
        "earliest_at": lambda task: earliest_at(task, moment),
        "is_waiting": lambda task: is_waiting(task, moment),
    }
