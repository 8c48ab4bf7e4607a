"""Queries for open and completed follow-ups."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from caseapp.core.actor import Actor, require
from caseapp.core.database import db
from caseapp.core.errors import NotFound
from caseapp.core.pagination import (
    Page,
    in_any,
    literal_limit,
    make_page,
    page_newest_first,
    page_soonest_first,
)
from caseapp.core.permissions import Action
from caseapp.core.reads import note_shown
from caseapp.core.vault import DataKey, unseal_code, unseal_column, unseal_json
from caseapp.domain.clients.care_team import list_running_covers
from caseapp.domain.clients.codes import COVER
from caseapp.domain.clients.models import Client
from caseapp.domain.clients.queries import take_lock_of_owner, unseal_client
from caseapp.domain.clients.visibility import (
    has_role,
    is_visible_to,
    looked_after_by,
    visible_to,
)
from caseapp.domain.followups.codes import (
    LONGEST_GRACE,
    TASK_KINDS,
    TASK_LABELS,
    TELL_SUPERVISOR,
    UNKNOWN_METHOD,
)
from caseapp.domain.followups.models import FollowUp
from caseapp.domain.followups.schemas import FollowUpRecord, HoldTask, TaskFacts
from caseapp.domain.keys.models import ClientKey
from caseapp.domain.keys.queries import open_client_key, open_listed_client_key
from caseapp.domain.users.models import User

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from uuid import UUID

    from caseapp.core.pagination import Window
    from caseapp.domain.clients.queries import ClientRecord

IS_REQUIRED = FollowUp.title.is_(None)
"""The condition that the application requires a task: whoever adds one gives it a title."""


def is_own_task(actor: Actor, covered: Collection[UUID]) -> sa.ColumnElement[bool]:
    """Build the condition that a task is the actor's, or a covered coach's about a client whom the actor covers."""
    if not covered:
        return FollowUp.assigned_to == actor.id
    return sa.and_(
        FollowUp.assigned_to.in_([actor.id, *covered]),
        sa.or_(FollowUp.assigned_to == actor.id, has_role(actor, COVER, FollowUp.client_id)),
    )


def _select_visible(
    actor: Actor, clients: sa.Select[UUID] | None = None
) -> sa.Select[FollowUp, Client, bytes]:
    seen = visible_to(actor) if clients is None else clients
    return (
        sa.select(FollowUp, Client, ClientKey.wrapped)
        .join(Client, Client.id == FollowUp.client_id)
        .join(ClientKey, ClientKey.client_id == FollowUp.client_id)
        .where(FollowUp.client_id.in_(seen))
    )


def _record_from_row(row: Any) -> FollowUpRecord:  # noqa: ANN401 - a result row
    key = open_client_key(row.wrapped, row.FollowUp.client_id, "followup", row.FollowUp.id)
    return unseal_followup(row.FollowUp, unseal_client(row.Client, key), key)


def unseal_followup(
    task: FollowUp,
    client: ClientRecord,
    key: DataKey,
    *,
    completed_by_name: str = "",
    assigned_to_name: str = "",
) -> FollowUpRecord:
    """Unseal a loaded task of a client."""
    kind = open_kind(task, key)
    coded = unseal_json(task, "result", key) if task.result is not None else {}
    if task.completed_at is not None and not coded:
        coded = {"result": "done", "method": UNKNOWN_METHOD}
    occurred_at = coded.get("occurred_at")
    return FollowUpRecord(
        id=task.id,
        client_id=task.client_id,
        client=client.name,
        phone=client.safe_phone,
        kind=kind,
        title=TASK_LABELS.get(kind) or unseal_column(task, "title", key) or "",
        due_at=task.due_at,
        not_before_at=task.not_before_at,
        attempt=task.attempt,
        previous_id=task.previous_id,
        assigned_to=task.assigned_to,
        completed_at=task.completed_at,
        completed_by=task.completed_by,
        result=coded.get("result"),
        method=coded.get("method"),
        occurred_at=datetime.fromisoformat(occurred_at) if occurred_at else task.completed_at,
        told=coded.get("told", ""),
        note=unseal_column(task, "outcome", key),
        created_at=task.created_at,
        version=task.version,
        origin_id=task.origin_id,
        episode_id=task.episode_id,
        completed_by_name=completed_by_name,
        assigned_to_name=assigned_to_name,
    )


def open_kind(task: FollowUp | sa.Row[*tuple[Any, ...]], key: DataKey) -> str:
    """Open the kind of a task: of a loaded one, or of a row with its id and kind."""
    return unseal_code("follow_up", "kind", task.id, task.kind, key)


def open_facts(task: FollowUp, key: DataKey) -> TaskFacts:
    """Open what the rules need to know about a loaded task."""
    return TaskFacts(
        open_kind(task, key),
        task.due_at,
        task.not_before_at,
        task.attempt,
        task.created_at,
        task.completed_at,
    )


def find_overdue(moment: datetime, *of: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """Find which open required tasks `of` some are overdue at a moment; return the SQL condition for them.

    It is what `rules.get_due_state` calls overdue. Those that have been due for the longest grace are, whatever their
    kind. The few that fell due since are opened, since the grace depends on the kind; the log names their clients.
    """
    surely_since = moment - LONGEST_GRACE
    required = sa.and_(FollowUp.completed_at.is_(None), IS_REQUIRED, FollowUp.due_at <= moment, *of)
    rows = db.session.execute(
        sa.select(
            FollowUp.id, FollowUp.client_id, FollowUp.kind, FollowUp.due_at, ClientKey.wrapped
        )
        .join(ClientKey, ClientKey.client_id == FollowUp.client_id)
        .where(required, FollowUp.due_at > surely_since)
    ).all()
    note_shown(row.client_id for row in rows)
    late = []
    for row in rows:
        kind = open_kind(row, open_listed_client_key(row.wrapped, row.client_id))
        if row.due_at + TASK_KINDS[kind].grace <= moment:
            late.append(row.id)
    return sa.and_(required, sa.or_(FollowUp.due_at <= surely_since, FollowUp.id.in_(late)))


def list_client_followups(
    actor: Actor, client_id: UUID, *, open_only: bool = False, limit: int = 100
) -> list[FollowUpRecord]:
    """List a client's tasks: open ones by due time, then completed ones, newest first."""
    require(actor, Action.FOLLOWUP_READ)
    query = _select_visible(actor).where(FollowUp.client_id == client_id)
    if open_only:
        query = query.where(FollowUp.completed_at.is_(None))
    rows = db.session.execute(
        query.order_by(
            FollowUp.completed_at.is_not(None),
            FollowUp.completed_at.desc(),
            FollowUp.due_at,
            FollowUp.id,
        ).limit(limit)
    ).all()
    return [_record_from_row(row) for row in rows]


def list_page_followups(
    client: ClientRecord,
    key: DataKey,
    holds: Mapping[UUID, Collection[UUID]],
    *,
    open_limit: int = 0,
    completed: Window | None = None,
) -> list[FollowUpRecord]:
    """List the tasks that a page about a client shows, by due time, in one statement.

    These are the tasks of some `holds`, given as the episodes of each, the first open ones, and, among all others, the
    completed ones of a window. Access was already checked.
    """
    of_client = FollowUp.client_id == client.id
    wanted = [sa.select(FollowUp.id).where(of_client, _is_of_hold(holds))]
    if open_limit:
        is_open = sa.select(FollowUp.id).where(of_client, FollowUp.completed_at.is_(None))
        wanted.append(
            is_open.order_by(FollowUp.due_at, FollowUp.id).limit(literal_limit(open_limit))
        )
    if completed:
        others = (FollowUp.completed_at.is_not(None), _is_of_hold(holds).is_not(sa.true()))
        wanted.append(completed.select(FollowUp.completed_at, FollowUp.id, of_client, *others))
    assigned = aliased(User)
    rows = db.session.execute(
        sa.select(FollowUp, User.name, assigned.name)
        .outerjoin(User, User.id == FollowUp.completed_by)
        .join(assigned, assigned.id == FollowUp.assigned_to)
        .where(in_any(FollowUp.id, *wanted))
        .order_by(FollowUp.due_at, FollowUp.id)
    )
    return [
        unseal_followup(task, client, key, completed_by_name=name or "", assigned_to_name=who)
        for task, name, who in rows
    ]


def list_followups(
    actor: Actor, *, done: bool, client_id: UUID | None, cursor: str | None, limit: int
) -> Page[FollowUpRecord]:
    """List a page of tasks, newest first."""
    require(actor, Action.FOLLOWUP_READ)
    clients = looked_after_by(actor) if client_id is None else None
    query = _select_visible(actor, clients).where(
        FollowUp.completed_at.is_not(None) if done else FollowUp.completed_at.is_(None)
    )
    if client_id is not None:
        query = query.where(FollowUp.client_id == client_id)
    rows = db.session.execute(
        page_newest_first(query, FollowUp.created_at, FollowUp.id, cursor, limit)
    ).all()
    return make_page(
        [_record_from_row(row) for row in rows], limit, lambda item: (item.created_at, item.id)
    )


def list_followups_by_due_date(
    actor: Actor, *, done: bool, client_id: UUID | None, cursor: str | None, limit: int
) -> Page[FollowUpRecord]:
    """List a page of a client's tasks, or the actor's own and covered ones when `client_id` is None.

    Open tasks are sorted by due time, completed ones newest first.
    """
    require(actor, Action.FOLLOWUP_READ)
    query = _select_visible(actor)
    if client_id is None:
        covered = {cover.coach_id for cover in list_running_covers(actor.id)}
        query = query.where(is_own_task(actor, covered))
    else:
        query = query.where(FollowUp.client_id == client_id)
    if done:
        query = page_newest_first(
            query.where(FollowUp.completed_at.is_not(None)),
            FollowUp.completed_at,
            FollowUp.id,
            cursor,
            limit,
        )
        rows = [_record_from_row(row) for row in db.session.execute(query).all()]
        return make_page(rows, limit, lambda item: (item.completed_at or item.created_at, item.id))
    query = page_soonest_first(
        query.where(FollowUp.completed_at.is_(None)), FollowUp.due_at, FollowUp.id, cursor, limit
    )
    rows = [_record_from_row(row) for row in db.session.execute(query).all()]
    return make_page(rows, limit, lambda item: (item.due_at, item.id))


def get_followup_record(actor: Actor, followup_id: UUID) -> FollowUpRecord:
    """Load a task for display.

    Raises NotFound.
    """
    require(actor, Action.FOLLOWUP_READ)
    row = db.session.execute(_select_visible(actor).where(FollowUp.id == followup_id)).first()
    if row is None:
        raise NotFound
    return _record_from_row(row)


@dataclass(frozen=True)
class LockedFollowUp:
    """A task whose client is locked until the transaction ends, read after the lock; only `lock_followup` makes one."""

    row: FollowUp
    key: DataKey
    facts: TaskFacts


def lock_followup(actor: Actor, followup_id: UUID) -> LockedFollowUp:
    """Lock the client of a task, then load the task.

    Raises NotFound, and RuntimeError outside `transaction()`.
    """
    require(actor, Action.FOLLOWUP_READ)
    take_lock_of_owner(FollowUp.id, followup_id)
    found = db.session.execute(
        sa.select(FollowUp, ClientKey.wrapped)
        .join(ClientKey, ClientKey.client_id == FollowUp.client_id)
        .where(FollowUp.id == followup_id, is_visible_to(actor, FollowUp.client_id))
    ).first()
    if found is None:
        raise NotFound
    row = found.FollowUp
    key = open_client_key(found.wrapped, row.client_id, "followup", row.id)
    return LockedFollowUp(row, key, open_facts(row, key))


def list_open_kinds(key: DataKey, episode_id: UUID | None) -> set[str]:
    """Return the kinds of the open tasks of the client whose key this is: those of an episode, or all of them."""
    query = sa.select(FollowUp.id, FollowUp.kind).where(
        FollowUp.client_id == key.client_id, FollowUp.completed_at.is_(None)
    )
    if episode_id is not None:
        query = query.where(FollowUp.episode_id == episode_id)
    return {open_kind(row, key) for row in db.session.execute(query)}


def list_open_of_screening(
    client_id: UUID, screening_id: UUID, hold_ids: Collection[UUID]
) -> Sequence[FollowUp]:
    """List a client's open tasks that a screening required, and those of some holds."""
    return db.session.scalars(
        sa.select(FollowUp)
        .where(
            FollowUp.client_id == client_id,
            FollowUp.completed_at.is_(None),
            sa.or_(
                FollowUp.episode_id == screening_id,
                FollowUp.origin_id.in_({screening_id, *hold_ids}),
            ),
        )
        .order_by(FollowUp.due_at, FollowUp.id)
    ).all()


def find_newest_episode(
    client_id: UUID, hold_id: UUID, episodes: Collection[UUID], *, but: Collection[UUID] = ()
) -> UUID | None:
    """Return the newest episode inside a client's hold `but` for some, or None for one of before there were episodes.

    `episodes` are those inside it that may have opened a stricter one too, to which their tasks belong.
    """
    return db.session.scalar(
        sa.select(FollowUp.episode_id)
        .where(
            FollowUp.client_id == client_id,
            _is_of_hold({hold_id: episodes}),
            FollowUp.episode_id.is_not(None),
            FollowUp.episode_id.not_in(but),
        )
        .order_by(FollowUp.created_at.desc(), FollowUp.id.desc())
        .limit(1)
    )


def list_episode_kinds(key: DataKey) -> dict[UUID, set[str]]:
    """List the kinds of the tasks, open or completed, in each episode of the client whose key this is."""
    found: dict[UUID, set[str]] = {}
    query = sa.select(FollowUp.id, FollowUp.episode_id, FollowUp.kind)
    for row in db.session.execute(
        query.where(FollowUp.client_id == key.client_id, FollowUp.episode_id.is_not(None))
    ):
        found.setdefault(row.episode_id, set()).add(open_kind(row, key))
    return found


def has_episode_result(key: DataKey, episode_id: UUID) -> bool:
    """Tell whether a task of an episode has a result, but for telling the supervisor; `key` is the client's."""
    rows = db.session.execute(
        sa.select(FollowUp.id, FollowUp.kind).where(
            FollowUp.client_id == key.client_id,
            FollowUp.episode_id == episode_id,
            FollowUp.completed_at.is_not(None),
        )
    )
    return any(open_kind(row, key) != TELL_SUPERVISOR for row in rows)


def _is_of_hold(holds: Mapping[UUID, Collection[UUID]]) -> sa.ColumnElement[bool]:
    """Build the condition that a task belongs to a hold, or to an episode inside it that opened a stricter one too."""
    episodes = {episode for found in holds.values() for episode in found}
    return sa.or_(FollowUp.origin_id.in_(holds), FollowUp.episode_id.in_(episodes))


def list_hold_followups(
    client_id: UUID, holds: Mapping[UUID, Collection[UUID]]
) -> Sequence[FollowUp]:
    """List the tasks of some holds, given as the episodes of each, by due time."""
    return db.session.scalars(
        sa.select(FollowUp)
        .where(FollowUp.client_id == client_id, _is_of_hold(holds))
        .order_by(FollowUp.due_at, FollowUp.id)
    ).all()


def list_hold_tasks(key: DataKey, holds: Mapping[UUID, Collection[UUID]]) -> list[HoldTask]:
    """List the tasks of some holds of the client whose key this is, with their results, by due time."""
    return [
        HoldTask(
            row.id,
            open_kind(row, key),
            row.previous_id,
            row.episode_id,
            row.created_at,
            row.completed_at,
            unseal_json(row, "result", key)["result"] if row.result is not None else None,
        )
        for row in list_hold_followups(key.client_id, holds)
    ]
