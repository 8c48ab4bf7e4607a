"""Complete follow-ups, as a coach does, with a result that fits each kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from caseapp.core.clock import now
from caseapp.core.transaction import transaction
from caseapp.domain.followups.codes import TASK_KINDS
from caseapp.domain.followups.operations import complete_followup
from caseapp.domain.followups.queries import list_client_followups, lock_followup
from caseapp.domain.followups.schemas import NewResult

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.core.actor import Actor

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


def complete(actor: Actor, task_id: UUID, result: str | None = None, note: str = NOTE) -> None:
    """Complete one task as it is now."""
    with transaction():
        task = lock_followup(actor, task_id)
        new = result_for(task.row.kind, result, note)
        complete_followup(actor, task, new, task.row.version)


def complete_all(actor: Actor, client_id: UUID, note: str = NOTE) -> None:
    """Complete every open task of a client that can be done now."""
    for task in list_client_followups(actor, client_id, open_only=True):
        if task.not_before_at is None or task.not_before_at <= now():
            complete(actor, task.id, note=note)


def result_body(task: dict[str, Any]) -> dict[str, Any]:
    """Return a body for the API that completes a task, from what the API says about it."""
    new = result_for(task["kind"])
    return {"result": new.result, "method": new.method, "told": new.told, "note": new.note}
