"""Rules for follow-ups: when one can be completed, with which result, and what follows from it. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from caseapp.core.errors import Reason, refuse_for
from caseapp.core.schemas import explain_too_short
from caseapp.core.text import count_written
from caseapp.domain.followups.codes import (
    ATTEMPTS_BEFORE_WELFARE_CHECK,
    BEFORE_CREATION,
    BETWEEN_ATTEMPTS,
    CLOCK_SKEW,
    CUSTOM,
    DECIDED_WHEN_DECLINED,
    DECLINED_DECISION,
    DUTY_CHECK,
    LOST_CONTACT,
    NOTE_LENGTHS,
    RESULT_LABELS,
    SAFETY_PLAN,
    SUPERVISOR_DECISIONS,
    TASK_KINDS,
    WELFARE_CHECK,
)
from caseapp.domain.protocol.rules import ACTIONS, due_at, not_before

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from caseapp.domain.followups.queries import LockedFollowUp
    from caseapp.domain.followups.schemas import FollowUpRecord, HoldTask, NewResult, TaskFacts

ALREADY_COMPLETED = Reason(
    "already_completed",
    "This follow-up is already completed.",
    "Its result is under Follow-ups. Add a new follow-up for anything that is left to do.",
)
TOO_EARLY = Reason(
    "too_early",
    "It is too early for this check.",
    "Write down any earlier contact in a session note, and do the check when it is due.",
)
SUPERVISOR_NEEDED = Reason(
    "supervisor_needed",
    "A supervisor has to make this decision.",
    "Ask your supervisor to record it.",
)
NO_PLAN = Reason(
    "no_plan",
    "No safety plan has been written or reviewed since this was required.",
    "Open the safety plan, go through it with the client, and save it or record the review.",
)


PLAN_MADE = ("safety_plan", "done")


class DueState(StrEnum):
    """How urgent a task is; `later` when it can't be done yet, `now` when it is due and not yet overdue.

    An overdue task stays overdue also while it can't be done, see `is_waiting`.
    """

    DONE = "done"
    LATER = "later"
    DUE = "due"
    NOW = "now"
    OVERDUE = "overdue"


def get_due_state(task: TaskFacts | FollowUpRecord, moment: datetime) -> DueState:
    """Return how urgent a task is at a moment."""
    if task.completed_at is not None:
        return DueState.DONE
    # The same as `queries.find_overdue`: whatever a clock that was wrong says about its start, no list leaves it out.
    if moment >= task.due_at + TASK_KINDS[task.kind].grace:
        return DueState.OVERDUE
    if is_waiting(task, moment):
        return DueState.LATER
    return DueState.DUE if moment < task.due_at else DueState.NOW


def is_waiting(task: TaskFacts | FollowUpRecord, moment: datetime) -> bool:
    """Tell whether a task can't be done yet at a moment."""
    starts = earliest_at(task, moment)
    return starts is not None and moment < starts


def earliest_at(task: TaskFacts | FollowUpRecord, moment: datetime) -> datetime | None:
    """Return the earliest time at which a task can be done, as seen at a moment, or None.

    For a first attempt it was counted from the latest time in the client's record, so that a clock that is behind
    makes nothing possible early. If that time still lies in the future, it is of a clock that ran ahead and doesn't
    count: then it is counted from when the task was added.
    """
    starts = task.not_before_at
    if starts is None or task.attempt > 1 or task.kind not in ACTIONS:
        return starts
    from_creation = not_before(task.kind, task.created_at)
    if from_creation is None or task.created_at + (starts - from_creation) <= moment:
        return starts
    return from_creation


def list_completion_blockers(
    task: TaskFacts | FollowUpRecord,
    occurred_at: datetime,
    moment: datetime,
    *,
    is_supervisor: bool,
) -> list[Reason]:
    """List why a task can't be completed at a moment with something that happened at a time; empty when it can.

    Times are compared by the minute, as forms show them. A welfare check is a supervisor's decision, and so is what
    follows when a client declines, and a duty check of which the coach was not sure.
    """
    if task.completed_at is not None:
        return [ALREADY_COMPLETED]
    reasons = []
    starts = earliest_at(task, moment)
    if starts is not None and occurred_at < starts.replace(second=0, microsecond=0):
        reasons.append(TOO_EARLY)
    passed_on = task.kind in SUPERVISOR_DECISIONS or (task.kind == DUTY_CHECK and task.attempt > 1)
    if passed_on and not is_supervisor:
        reasons.append(SUPERVISOR_NEEDED)
    return reasons


def check_complete(
    task: LockedFollowUp, occurred_at: datetime, moment: datetime, *, is_supervisor: bool
) -> None:
    """Check that a task can be completed at a moment with something that happened at a time.

    Raises RuleBroken.
    """
    refuse_for(
        list_completion_blockers(task.facts, occurred_at, moment, is_supervisor=is_supervisor)
    )


def check_plan(task: LockedFollowUp, result: str, plan_blockers: Sequence[Reason]) -> None:
    """Check that a task that asks for a safety plan isn't done without one.

    `plan_blockers` are the reasons why the plan isn't on file. Raises RuleBroken.
    """
    if task.facts.kind == SAFETY_PLAN and result == "done":
        refuse_for(plan_blockers)


def find_result_faults(task: TaskFacts, new: NewResult, moment: datetime) -> dict[str, list[str]]:
    """Find what is wrong with the result of a task at a moment: messages by field, empty when all is right.

    What happened before the protocol asked for a task can't complete it.
    """
    kind, faults = TASK_KINDS[task.kind], {}
    results = kind.list_results(task.attempt)
    if new.result not in results:
        allowed = ", ".join(RESULT_LABELS[code] for code in results)
        return {"result": [f"Choose one of these results: {allowed}."]}
    if kind.methods and new.method not in kind.methods:
        faults["method"] = [
            "Choose how it was done." if new.method is None else "Choose one of the options."
        ]
    elif not kind.methods and new.method is not None:
        faults["method"] = ["This follow-up has no method. Leave the method empty."]
    if new.result in kind.told_for and not count_written(new.told):
        faults["told"] = [explain_too_short(new.told, "Write who was told", 1)]
    if new.occurred_at is not None and new.occurred_at > moment:
        faults["occurred_at"] = ["This time is in the future."]
    elif (
        new.occurred_at is not None
        and task.kind != CUSTOM
        and new.occurred_at < task.created_at - BEFORE_CREATION
    ):
        faults["occurred_at"] = [
            "This is before the follow-up was added. Leave the time empty, and write the earlier time in the note."
        ]
    least = NOTE_LENGTHS.get(new.result, kind.note_length)
    if count_written(new.note) < least:
        faults["note"] = [
            "Write a note. A result alone doesn’t complete a follow-up."
            if least == 1
            else explain_too_short(
                new.note,
                "Write what was done" if new.result == "done" else "Write the reason",
                least,
            )
        ]
    return faults


@dataclass(frozen=True)
class NextTask:
    """A task that follows from a result: the next attempt, or a supervisor's decision."""

    kind: str
    due_at: datetime
    attempt: int
    not_before_at: datetime | None = None
    for_supervisor: bool = False


def derive_next_task(task: TaskFacts, result: str, moment: datetime) -> NextTask | None:
    """Derive the task that follows when a task gets a result at a moment.

    "Not reached" leads to the next attempt; every third time, where the kind asks for it, to a supervisor's decision
    about a welfare check. A duty check of which the coach is not sure goes to the supervisor, and so does what a client
    declines. What follows a supervisor's decision is derived from the task that led to it, see `derive_decided`.
    """
    kind = TASK_KINDS[task.kind]
    if result == "not_reached":
        if kind.welfare_check and task.attempt % ATTEMPTS_BEFORE_WELFARE_CHECK == 0:
            number = task.attempt // ATTEMPTS_BEFORE_WELFARE_CHECK
            return NextTask(WELFARE_CHECK, moment, number, for_supervisor=True)
        return derive_attempt(task, moment)
    if task.kind == DUTY_CHECK and result == "not_sure":
        return NextTask(DUTY_CHECK, moment, task.attempt + 1, for_supervisor=True)
    if result == "declined" and task.kind in DECIDED_WHEN_DECLINED:
        return NextTask(DECLINED_DECISION, moment, task.attempt, for_supervisor=True)
    return None


def derive_decided(
    decision: str, result: str, task: TaskFacts, moment: datetime
) -> NextTask | None:
    """Derive what follows a supervisor's decision of a kind about the task that led to it.

    After a welfare check the attempts go on, whatever was decided. What a client declined is asked again, with the
    protocol's time, unless coaching can go on without it. `moment` is in the practice's time zone.
    """
    if decision == WELFARE_CHECK:
        return derive_attempt(task, moment)
    if result != "try_again":
        return None
    starts = not_before(task.kind, moment)
    return NextTask(task.kind, due_at(task.kind, moment), task.attempt + 1, starts)


def list_unfinished(tasks: Sequence[HoldTask | FollowUpRecord]) -> list[str]:
    """List the kinds of a hold's tasks that still need a result: the open ones, then those that lost contact ended.

    A task that was ended because contact was lost got no result: it counts as open until it is asked for again. For a
    supervisor's decision that is the task which had led to it.
    """
    found = [task.kind for task in tasks if task.completed_at is None]
    for task in list_ended(tasks):
        if task.kind not in found:
            found.append(task.kind)
    return found


def list_ended(tasks: Sequence[HoldTask | FollowUpRecord]) -> list[HoldTask | FollowUpRecord]:
    """List the tasks that were ended because contact was lost and that nothing asks for again so far.

    For a supervisor's decision that is the task which had led to it.
    """
    by_id = {task.id: task for task in tasks}
    found = []
    for task in tasks:
        ended_at = task.completed_at
        if ended_at is None or task.result != LOST_CONTACT:
            continue
        asked = task
        if task.kind in SUPERVISOR_DECISIONS and task.previous_id in by_id:
            asked = by_id[task.previous_id]
        is_asked_again = any(
            later.kind == asked.kind
            and later.episode_id == asked.episode_id
            and later.id != task.id
            and later.created_at >= ended_at
            for later in tasks
        )
        if not is_asked_again and asked not in found:
            found.append(asked)
    return found


def is_contact_lost(
    tasks: Sequence[HoldTask | FollowUpRecord], screened_at: Iterable[datetime], moment: datetime
) -> bool:
    """Tell whether a supervisor has decided that contact is lost, and the client was not reached or screened since.

    Times that lie in the future at `moment` are of a clock that ran ahead: nobody knows what came before them, so they
    count neither as a decision nor as heard since.
    """
    latest_at = moment + CLOCK_SKEW
    decided = [
        task.completed_at
        for task in tasks
        if task.kind == WELFARE_CHECK and task.result == LOST_CONTACT and task.completed_at
    ]
    heard = [
        task.completed_at
        for task in tasks
        if task.completed_at
        and (task.result in {"reached", "declined"} or (task.kind, task.result) == PLAN_MADE)
    ]
    decided = [time for time in decided if time <= latest_at]
    heard = [time for time in (*heard, *screened_at) if time <= latest_at]
    return bool(decided) and all(time < max(decided) for time in heard)


def derive_attempt(task: TaskFacts, moment: datetime) -> NextTask:
    """Derive the next attempt of a task that reached nobody, or whose welfare check was decided at a moment.

    It can't be done before the task itself could. Where attempts are counted, it can't be done within an hour of the
    last one either.
    """
    kind, starts = TASK_KINDS[task.kind], earliest_at(task, moment)
    if kind.welfare_check:
        again = (task.completed_at or moment) + BETWEEN_ATTEMPTS
        starts = max(starts or again, again)
    return NextTask(task.kind, moment + kind.retry_after, task.attempt + 1, starts)
