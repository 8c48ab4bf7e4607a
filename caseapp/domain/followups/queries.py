"""Asked: which tasks are open or done, for a client or for those an actor may see."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from caseapp.core.actor import Actor, require
from caseapp.core.database import db
from caseapp.core.errors import NotFound
from caseapp.core.pagination import Page, after, ahead, page_of
from caseapp.core.permissions import Action
from caseapp.core.vault import open_row, unwrap
from caseapp.domain.clients.models import Client, ClientKey
from caseapp.domain.clients.queries import seen_by, visible_to
from caseapp.domain.followups.models import FollowUp
from caseapp.domain.followups.schemas import TASKS, FollowUpInList

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID


def _visible(actor: Actor) -> sa.Select[FollowUp, str, bytes]:
    return (
        sa.select(FollowUp, Client.name, ClientKey.wrapped)
        .join(Client, Client.id == FollowUp.client_id)
        .join(ClientKey, ClientKey.client_id == FollowUp.client_id)
        .where(FollowUp.client_id.in_(visible_to(actor)))
    )


def _shown(row: Any) -> FollowUpInList:  # noqa: ANN401 - a result row
    task: FollowUp = row.FollowUp
    key = unwrap(task.client_id, row.wrapped)
    return FollowUpInList(
        id=task.id,
        client_id=task.client_id,
        client=row.name,
        kind=task.kind,
        title=TASKS.get(task.kind) or open_row(task, "title", key) or "",
        due_at=task.due_at,
        assigned_to=task.assigned_to,
        done_at=task.done_at,
        done_by=task.done_by,
        outcome=open_row(task, "outcome", key),
        made_at=task.made_at,
        version=task.version,
    )


def due_followups(
    actor: Actor, *, until: datetime | None = None, limit: int = 50, mine: bool = True
) -> list[FollowUpInList]:
    """List open tasks, the most pressing first: the actor's own, or all that they may see."""
    require(actor, Action.FOLLOWUP_READ)
    query = _visible(actor).where(FollowUp.done_at.is_(None))
    if mine:
        query = query.where(FollowUp.assigned_to == actor.id)
    if until is not None:
        query = query.where(FollowUp.due_at <= until)
    rows = db.session.execute(query.order_by(FollowUp.due_at, FollowUp.id).limit(limit)).all()
    return [_shown(row) for row in rows]


def followups_of(
    actor: Actor, client_id: UUID, *, open_only: bool = False, limit: int = 100
) -> list[FollowUpInList]:
    """List a client's tasks: open ones first by due time, then those done, newest first."""
    require(actor, Action.FOLLOWUP_READ)
    query = _visible(actor).where(FollowUp.client_id == client_id)
    if open_only:
        query = query.where(FollowUp.done_at.is_(None))
    rows = db.session.execute(
        query.order_by(
            FollowUp.done_at.is_not(None), FollowUp.done_at.desc(), FollowUp.due_at, FollowUp.id
        ).limit(limit)
    ).all()
    return [_shown(row) for row in rows]


def list_followups(
    actor: Actor, *, done: bool, client_id: UUID | None, cursor: str | None, limit: int
) -> Page[FollowUpInList]:
    """List tasks page by page, newest first."""
    require(actor, Action.FOLLOWUP_READ)
    query = _visible(actor).where(
        FollowUp.done_at.is_not(None) if done else FollowUp.done_at.is_(None)
    )
    if client_id is not None:
        query = query.where(FollowUp.client_id == client_id)
    rows = db.session.execute(after(query, FollowUp.made_at, FollowUp.id, cursor, limit)).all()
    return page_of([_shown(row) for row in rows], limit, lambda item: (item.made_at, item.id))


def followups_page(
    actor: Actor, *, done: bool, client_id: UUID | None, cursor: str | None, limit: int
) -> Page[FollowUpInList]:
    """List a client's tasks, or without a client the actor's own: open ones soonest first, done ones latest first."""
    require(actor, Action.FOLLOWUP_READ)
    query = _visible(actor)
    if client_id is None:
        query = query.where(FollowUp.assigned_to == actor.id)
    else:
        query = query.where(FollowUp.client_id == client_id)
    if done:
        query = after(
            query.where(FollowUp.done_at.is_not(None)), FollowUp.done_at, FollowUp.id, cursor, limit
        )
        rows = [_shown(row) for row in db.session.execute(query).all()]
        return page_of(rows, limit, lambda item: (item.done_at or item.made_at, item.id))
    query = ahead(
        query.where(FollowUp.done_at.is_(None)), FollowUp.due_at, FollowUp.id, cursor, limit
    )
    rows = [_shown(row) for row in db.session.execute(query).all()]
    return page_of(rows, limit, lambda item: (item.due_at, item.id))


def followup_shown(actor: Actor, followup_id: UUID) -> FollowUpInList:
    """Show one task.

    Raises NotFound.
    """
    require(actor, Action.FOLLOWUP_READ)
    row = db.session.execute(_visible(actor).where(FollowUp.id == followup_id)).first()
    if row is None:
        raise NotFound
    return _shown(row)


def get_followup(actor: Actor, followup_id: UUID) -> FollowUp:
    """Load a task for a change.

    Raises NotFound.
    """
    found = db.session.scalar(
        sa.select(FollowUp).where(FollowUp.id == followup_id, seen_by(actor, FollowUp.client_id))
    )
    if found is None:
        raise NotFound
    return found


def open_kinds(client_id: UUID) -> set[str]:
    """Name the protocol tasks that are open for a client."""
    return set(
        db.session.scalars(
            sa.select(FollowUp.kind).where(
                FollowUp.client_id == client_id, FollowUp.done_at.is_(None)
            )
        )
    )


def tasks_from(origin_id: UUID) -> Sequence[FollowUp]:
    """List the tasks that a hold or a closing made."""
    return db.session.scalars(
        sa.select(FollowUp).where(FollowUp.origin_id == origin_id).order_by(FollowUp.due_at)
    ).all()
