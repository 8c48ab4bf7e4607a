"""Operations on follow-ups: create and complete them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.orm.attributes import set_committed_value

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import Reason, RuleBroken
from caseapp.core.ids import new_id
from caseapp.core.permissions import Action
from caseapp.core.vault import seal
from caseapp.domain.audit.operations import record
from caseapp.domain.clients.queries import require_visible_client, take_client_lock
from caseapp.domain.followups.codes import CUSTOM
from caseapp.domain.followups.models import FollowUp
from caseapp.domain.followups.queries import get_followup, list_open_kinds
from caseapp.domain.keys.queries import get_client_key

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from caseapp.domain.clients.queries import LockedClient
    from caseapp.domain.followups.schemas import NewFollowUp


def create_followup(actor: Actor, client_id: UUID, new: NewFollowUp) -> UUID:
    """Create a task for the actor about one of their clients.

    Raises NotFound.
    """
    require(actor, Action.FOLLOWUP_WRITE)
    require_visible_client(actor, client_id)
    row = FollowUp(
        id=new_id(),
        client_id=client_id,
        kind=CUSTOM,
        due_at=new.due_at,
        assigned_to=actor.id,
        created_at=now(),
        created_by=actor.id,
    )
    row.title = seal(row, "title", new.title, get_client_key(client_id))
    db.session.add(row)
    db.session.flush()
    record(actor, Action.FOLLOWUP_WRITE, "followup", row.id, client_id=client_id)
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


def complete_followup(actor: Actor, followup_id: UUID, outcome: str, expected_version: int) -> None:
    """Complete a task with a written outcome.

    Raises NotFound, RuleBroken when it is already completed, or Stale when it has changed.
    """
    require(actor, Action.FOLLOWUP_WRITE)
    of_task = sa.select(FollowUp.client_id).where(FollowUp.id == followup_id)
    take_client_lock(of_task.scalar_subquery())
    task = get_followup(actor, followup_id)
    if task.completed_at is not None:
        raise RuleBroken(Reason("already_completed", "This follow-up is already completed."))
    set_committed_value(task, "version", expected_version)
    task.outcome = seal(task, "outcome", outcome, get_client_key(task.client_id))
    task.completed_at = now()
    task.completed_by = actor.id
    db.session.flush()
    record(
        actor,
        Action.FOLLOWUP_WRITE,
        "followup",
        task.id,
        client_id=task.client_id,
        details={"done": task.kind},
    )
