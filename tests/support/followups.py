"""Complete follow-ups, as a coach does, with a result that fits each kind."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.transaction import transaction
from caseapp.domain.followups.codes import (
    ATTEMPTS_BEFORE_WELFARE_CHECK,
    PLAN_REVIEW,
    SAFETY_PLAN,
    TASK_KINDS,
)
from caseapp.domain.followups.models import FollowUp
from caseapp.domain.followups.queries import list_client_followups, lock_followup, open_kind
from caseapp.domain.followups.schemas import NewResult
from caseapp.domain.keys.queries import get_client_key
from caseapp.domain.safety_plans.codes import FORMS
from caseapp.domain.safety_plans.operations import complete_task
from tests.support import safety_plans

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from caseapp.core.actor import Actor
    from caseapp.domain.followups.schemas import FollowUpRecord

NOTE = "Done together, and written down."
TOLD = "Helen Marsh, supervisor"


def result_for(kind: str, result: str | None = None, note: str = NOTE) -> NewResult:
    """Return a result that fits a kind of task: `result`, or the first one that the kind allows."""
    task = TASK_KINDS[kind]
    return NewResult(
        result or task.results[0],
        method=task.methods[0] if task.methods else None,
        told=TOLD,
        note=note,
    )


def list_tasks(client_id: UUID) -> Sequence[FollowUp]:
    """List the rows of a client's tasks by due time."""
    mine = sa.select(FollowUp).where(FollowUp.client_id == client_id)
    return db.session.scalars(mine.order_by(FollowUp.due_at, FollowUp.id)).all()


def find_tasks(client_id: UUID, kind: str) -> list[FollowUp]:
    """List the rows of a client's tasks of one kind by due time."""
    key = get_client_key(client_id)
    return [row for row in list_tasks(client_id) if open_kind(row, key) == kind]


def complete(actor: Actor, task_id: UUID, result: str | None = None, note: str = NOTE) -> None:
    """Complete one task as it is now; without a given result, a safety plan is made for it."""
    if result is None:
        _make_plans(actor, task_id)
    with transaction():
        task = lock_followup(actor, task_id)
        new = result_for(task.facts.kind, result, note)
        complete_task(actor, task, new, task.row.version)


def _make_plans(actor: Actor, task_id: UUID) -> None:
    with transaction():
        task = lock_followup(actor, task_id)
        asks = task.facts.kind == SAFETY_PLAN and task.facts.completed_at is None
        client_id = task.row.client_id
    for kind in FORMS if asks else ():
        safety_plans.write(actor, client_id, kind)


def complete_all(actor: Actor, client_id: UUID, note: str = NOTE) -> None:
    """Complete every open task of a client that can be done now, but for the reviews of plans, which never end."""
    for task in list_client_followups(actor, client_id, open_only=True):
        if task.kind == PLAN_REVIEW:
            continue
        if task.not_before_at is None or task.not_before_at <= now():
            complete(actor, task.id, note=note)


def result_body(task: dict[str, Any]) -> dict[str, Any]:
    """Return a body for the API that completes a task, from what the API says about it."""
    new = result_for(task["kind"])
    return {"result": new.result, "method": new.method, "told": new.told, "note": new.note}


def lose_contact(coach: Actor, supervisor: Actor, client_id: UUID) -> datetime:
    """Reach a client with a safety hold at none of six attempts, until the supervisor decides that contact is lost.

    Returns a time soon after that.
    """

    def open_task(kind: str) -> FollowUpRecord:
        found = list_client_followups(coach, client_id, open_only=True)
        return next(task for task in found if task.kind == kind)

    moment = open_task("safety_24h").due_at
    for attempt in range(1, 7):
        with at(moment):
            complete(coach, open_task("safety_24h").id, "not_reached", "")
            if attempt % ATTEMPTS_BEFORE_WELFARE_CHECK == 0:
                check = open_task("welfare_check")
                wanted = "lost_contact" if "lost_contact" in check.allowed_results else None
                complete(supervisor, check.id, wanted)
        moment += timedelta(hours=4)
    return moment
