"""Operations on follow-ups: create and complete them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.orm.attributes import set_committed_value

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db, run_for_each
from caseapp.core.errors import Invalid
from caseapp.core.ids import new_id
from caseapp.core.permissions import Action
from caseapp.core.vault import DataKey, seal, seal_code, seal_padded_json, unseal_column
from caseapp.domain.audit.operations import record
from caseapp.domain.followups.assignees import choose_assignee
from caseapp.domain.followups.codes import (
    CUSTOM,
    IN_ERROR,
    LOST_CONTACT,
    PLAN_REVIEW,
    SUPERVISOR_DECISIONS,
)
from caseapp.domain.followups.models import FollowUp
from caseapp.domain.followups.queries import (
    IS_REQUIRED,
    list_hold_followups,
    list_hold_tasks,
    list_open_kinds,
    list_open_of_screening,
    open_facts,
    open_kind,
)
from caseapp.domain.followups.rules import (
    NO_PLAN,
    NextTask,
    check_complete,
    check_plan,
    derive_decided,
    derive_next_task,
    find_result_faults,
    list_ended,
)
from caseapp.domain.followups.schemas import NewResult
from caseapp.domain.practice.queries import local_now
from caseapp.domain.protocol.rules import due_at, not_before
from caseapp.domain.users.queries import find_supervisor_id

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from caseapp.core.errors import Reason
    from caseapp.domain.clients.queries import LockedClient, TeamAccounts
    from caseapp.domain.followups.queries import LockedFollowUp
    from caseapp.domain.followups.schemas import NewFollowUp

BLOCK_SIZE = 2048
"""Bytes: every sealed result has this length, since the longest one fits into it, whatever its characters."""
INSERT_FOLLOWUPS = sa.insert(FollowUp.__table__)  # type: ignore[arg-type]


def create_followup(actor: Actor, client: LockedClient, new: NewFollowUp) -> UUID:
    """Create a task for the actor about one of their clients."""
    require(actor, Action.FOLLOWUP_WRITE)
    return add_followup(actor, client, new, actor.id, new_id())


def add_followup(
    actor: Actor, client: LockedClient, new: NewFollowUp, person_id: UUID, followup_id: UUID
) -> UUID:
    """Add a task for a person about a client whom they see."""
    row = FollowUp(
        id=followup_id,
        client_id=client.id,
        due_at=new.due_at,
        assigned_to=person_id,
        created_at=now(),
        created_by=person_id,
    )
    row.kind = _seal_kind(row.id, CUSTOM, client.key)
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
    episode_id: UUID | None = None,
    latest_at: datetime | None = None,
    open_kinds: Collection[str] | None = None,
    team: TeamAccounts | None = None,
) -> list[str]:
    """Create the tasks that a protocol requires and return the new kinds.

    `tasks` maps each kind to its due time. They are the tasks of `assigned_to`, or of whoever looks after the client
    instead, see `choose_assignee`. A kind that is open in the same episode is skipped; a task outside episodes
    also when its kind is open in one. `latest_at` is the latest time in the client's record: the time before which a
    task can't be done is counted from it when the clock is behind. `open_kinds` are the kinds that are open in an
    episode which begins in this transaction: they need not be read. `team` is as for `choose_assignee`.
    """
    existing = list_open_kinds(client.key, episode_id) if open_kinds is None else open_kinds
    missing = [kind for kind in tasks if kind not in existing]
    if not missing:
        return []
    person_id, moment = choose_assignee(client.id, [assigned_to], team=team), now()
    began_at = max(moment, latest_at or moment)
    rows = [
        {
            "id": task_id,
            "client_id": client.id,
            "kind": _seal_kind(task_id, kind, client.key),
            "due_at": tasks[kind],
            "not_before_at": not_before(kind, began_at),
            "assigned_to": person_id,
            "origin_kind": origin_kind,
            "origin_id": origin_id,
            "episode_id": episode_id,
            "created_at": moment,
            "created_by": actor.id,
        }
        for kind, task_id in ((kind, new_id()) for kind in missing)
    ]
    run_for_each(INSERT_FOLLOWUPS, rows)
    return missing


def schedule_plan_review(actor: Actor, client: LockedClient, due_at: datetime) -> None:
    """Move a client's follow-up for the next review of a safety plan, or create it for the actor."""
    rows = db.session.scalars(
        sa.select(FollowUp)
        .where(FollowUp.client_id == client.id, IS_REQUIRED, FollowUp.completed_at.is_(None))
        .order_by(FollowUp.due_at)
    )
    row = next((row for row in rows if open_kind(row, client.key) == PLAN_REVIEW), None)
    if row is None:
        row = FollowUp(
            id=new_id(),
            client_id=client.id,
            assigned_to=actor.id,
            created_at=now(),
            created_by=actor.id,
        )
        row.kind = _seal_kind(row.id, PLAN_REVIEW, client.key)
        db.session.add(row)
    elif row.due_at == due_at:
        return
    row.due_at, row.attempt, row.previous_id = due_at, 1, None
    db.session.flush()
    record(actor, Action.FOLLOWUP_WRITE, "followup", row.id, client_id=client.id)


def complete_followup(
    actor: Actor,
    task: LockedFollowUp,
    new: NewResult,
    expected_version: int,
    *,
    plan_blockers: Sequence[Reason] = (NO_PLAN,),
) -> None:
    """Complete a task with a result, and create the task that follows from it.

    `plan_blockers` are the reasons why the safety plan that a task asks for isn't on file; whoever doesn't know, as
    this package doesn't, leaves them as they are. Interfaces call `safety_plans.operations.complete_task`, which does.
    Raises RuleBroken when it is already completed, before its time or somebody else's to decide, Invalid when the
    result doesn't fit the kind of task, or Stale when the task has changed.
    """
    require(actor, Action.FOLLOWUP_WRITE)
    moment, row = now(), task.row
    occurred_at = new.occurred_at or moment
    check_complete(task, occurred_at, moment, is_supervisor=actor.may(Action.HOLD_RELEASE))
    if faults := find_result_faults(task.facts, new, moment):
        raise Invalid(faults)
    check_plan(task, new.result, plan_blockers)
    set_committed_value(row, "version", expected_version)
    row.result = _seal_result(row, replace(new, occurred_at=occurred_at), task.key)
    row.outcome = seal(row, "outcome", new.note, task.key)
    row.completed_at = moment
    row.completed_by = actor.id
    db.session.flush()
    record(
        actor,
        Action.FOLLOWUP_WRITE,
        "followup",
        row.id,
        client_id=row.client_id,
        details={"completed": True},
    )
    before = row
    if task.facts.kind in SUPERVISOR_DECISIONS:
        before = db.session.get_one(FollowUp, row.previous_id)
        led_to_it = open_facts(before, task.key)
        following = derive_decided(task.facts.kind, new.result, led_to_it, local_now())
    else:
        following = derive_next_task(task.facts, new.result, moment)
    if following:
        _create_next(actor, task, before, following)


def _create_next(actor: Actor, task: LockedFollowUp, before: FollowUp, following: NextTask) -> None:
    """Create the task that follows from `before`, with its origin and, unless a supervisor decides, its title."""
    wanted = [before.assigned_to]
    if following.for_supervisor and (supervisor_id := find_supervisor_id(before.assigned_to)):
        wanted.insert(0, supervisor_id)
    row = FollowUp(
        id=new_id(),
        client_id=before.client_id,
        due_at=following.due_at,
        not_before_at=following.not_before_at,
        attempt=following.attempt,
        previous_id=before.id,
        assigned_to=choose_assignee(before.client_id, wanted, decides=following.for_supervisor),
        origin_kind=before.origin_kind,
        origin_id=before.origin_id,
        episode_id=before.episode_id,
        created_at=now(),
        created_by=actor.id,
    )
    row.kind = _seal_kind(row.id, following.kind, task.key)
    if following.kind == CUSTOM:
        row.title = seal(row, "title", unseal_column(before, "title", task.key), task.key)
    db.session.add(row)
    db.session.flush()
    record(actor, Action.FOLLOWUP_WRITE, "followup", row.id, client_id=row.client_id)


def end_hold_followups(
    actor: Actor, client: LockedClient, holds: Mapping[UUID, Collection[UUID]], reason: str
) -> None:
    """End the open tasks of a client's holds, because contact is lost; each gets the reason as its note.

    `holds` are given as the episodes of each. The holds stay open, and so does what was to be done: see
    `rules.list_unfinished`.
    """
    moment = now()
    result = NewResult(LOST_CONTACT, occurred_at=moment)
    for row in list_hold_followups(client.id, holds):
        if row.completed_at is not None:
            continue
        row.result = _seal_result(row, result, client.key)
        row.outcome = seal(row, "outcome", reason, client.key)
        row.completed_at, row.completed_by = moment, actor.id
        db.session.flush()
        record(
            actor,
            Action.FOLLOWUP_WRITE,
            "followup",
            row.id,
            client_id=client.id,
            details={"completed": True},
        )


def ask_again(
    actor: Actor,
    client: LockedClient,
    hold_id: UUID,
    episodes: Collection[UUID],
    *,
    assigned_to: UUID,
    latest_at: datetime | None,
) -> None:
    """Create again, from now on, the tasks of an open hold that were ended because contact was lost.

    `latest_at` is as for `create_required_followups`.
    """
    ended: dict[UUID | None, list[str]] = {}
    for task in list_ended(list_hold_tasks(client.key, {hold_id: episodes})):
        ended.setdefault(task.episode_id, []).append(task.kind)
    for episode_id, kinds in ended.items():
        create_required_followups(
            actor,
            client,
            {kind: due_at(kind, local_now()) for kind in kinds},
            assigned_to=assigned_to,
            origin_kind="hold",
            origin_id=hold_id,
            episode_id=episode_id,
            latest_at=latest_at,
        )


def end_in_error(
    actor: Actor, client: LockedClient, screening_id: UUID, hold_ids: Collection[UUID]
) -> set[str]:
    """End the open tasks that a screening required, which was recorded in error, and return their kinds.

    `hold_ids` are the holds that end with it, and all of their tasks.
    """
    moment, ended = now(), set()
    result = NewResult(IN_ERROR, occurred_at=moment)
    for row in list_open_of_screening(client.id, screening_id, hold_ids):
        row.result = _seal_result(row, result, client.key)
        row.completed_at, row.completed_by = moment, actor.id
        ended.add(open_kind(row, client.key))
        details = {"completed": True}
        record(
            actor, Action.FOLLOWUP_WRITE, "followup", row.id, client_id=client.id, details=details
        )
    db.session.flush()
    return ended


def _seal_kind(task_id: UUID, kind: str, key: DataKey) -> bytes:
    return seal_code("follow_up", "kind", task_id, kind, key)


def _seal_result(row: FollowUp, new: NewResult, key: DataKey) -> bytes:
    """Seal what a task led to, but for the note, so that its length tells neither the result nor the kind."""
    coded = {
        "result": new.result,
        "method": new.method,
        "occurred_at": new.occurred_at.isoformat() if new.occurred_at else None,
        "told": new.told,
    }
    return seal_padded_json(row, "result", coded, BLOCK_SIZE, key)
