"""Operations on follow-ups: create and complete them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy.orm.attributes import set_committed_value

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.ids import new_id
from caseapp.core.permissions import Action
from caseapp.core.vault import seal
from caseapp.domain.audit.operations import record
from caseapp.domain.followups.codes import CUSTOM
from caseapp.domain.followups.models import FollowUp
from caseapp.domain.followups.queries import list_open_kinds
from caseapp.domain.followups.rules import check_complete

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from caseapp.domain.clients.queries import LockedClient
    from caseapp.domain.followups.queries import LockedFollowUp
    from caseapp.domain.followups.schemas import NewFollowUp


def create_followup(actor: Actor, client: LockedClient, new: NewFollowUp) -> UUID:
    """Create a task for the actor about one of their clients."""
    require(actor, Action.FOLLOWUP_WRITE)
    row = FollowUp(
        id=new_id(),
        client_id=client.id,
        kind=CUSTOM,
        due_at=new.due_at,
        assigned_to=actor.id,
        created_at=now(),
        created_by=actor.id,
    )
    row.title = seal(row, "title", new.title, client.key)
    db.session.add(row)
    db.session.flush()
    record(actor, Action.FOLLOWUP_WRITE, "followup", row.id, client_id=client.id)
    return row.id


def create_required_followups(
    actor: Actor,
    client: LockedClient,
    tasks: dict[str, datetime],
    *,
    assigned_to: UUID,
    origin_kind: str,
    origin_id: UUID,
) -> list[str]:
    """Create the tasks that a protocol requires and return the new kinds; a kind that is already open is skipped.

    `tasks` maps each kind to its due time.
    """
    existing = list_open_kinds(client.id)
    missing = [kind for kind in tasks if kind not in existing]
    db.session.add_all(
        FollowUp(
            client_id=client.id,
            kind=kind,
            due_at=tasks[kind],
            assigned_to=assigned_to,
            origin_kind=origin_kind,
            origin_id=origin_id,
            created_at=now(),
            created_by=actor.id,
        )
        for kind in missing
    )
    db.session.flush()
    return missing


def complete_followup(
    actor: Actor, task: LockedFollowUp, outcome: str, expected_version: int
) -> None:
    """Complete a task with a written outcome.

    Raises RuleBroken when it is already completed, or Stale when it has changed.
    """
    require(actor, Action.FOLLOWUP_WRITE)
    check_complete(task)
    row = task.row
    set_committed_value(row, "version", expected_version)
    row.outcome = seal(row, "outcome", outcome, task.key)
    row.completed_at = now()
    row.completed_by = actor.id
    db.session.flush()
    record(
        actor,
        Action.FOLLOWUP_WRITE,
        "followup",
        row.id,
        client_id=row.client_id,
        details={"done": row.kind},
    )
