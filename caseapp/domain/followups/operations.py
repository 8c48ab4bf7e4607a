"""Operations on follow-ups: create and complete them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.orm.attributes import set_committed_value

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db, run_for_each
from caseapp.core.errors import Invalid
from caseapp.core.ids import new_id
from caseapp.core.permissions import Action
from caseapp.core.vault import seal, seal_json, unseal_column
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
    list_hold_followups,
    list_hold_tasks,
    list_open_kinds,
    list_open_of_screening,
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
    from caseapp.domain.followups.schemas import NewFollowUp, NewResult

INSERT_FOLLOWUPS = sa.insert(FollowUp.__table__)  # type: ignore[arg-type]


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
    existing = list_open_kinds(client.id, episode_id) if open_kinds is None else open_kinds
    missing = [kind for kind in tasks if kind not in existing]
    if not missing:
        return []
    person_id, moment = choose_assignee(client.id, [assigned_to], team=team), now()
    began_at = max(moment, latest_at or moment)
    rows = [
        {
            "client_id": client.id,
            "kind": kind,
            "due_at": tasks[kind],
            "not_before_at": not_before(kind, began_at),
            "assigned_to": person_id,
            "origin_kind": origin_kind,
            "origin_id": origin_id,
            "episode_id": episode_id,
            "created_at": moment,
            "created_by": actor.id,
        }
        for kind in missing
    ]
    run_for_each(INSERT_FOLLOWUPS, rows)
    return missing


def schedule_plan_review(actor: Actor, client: LockedClient, due_at: datetime) -> None:
    """Move a client's follow-up for the next review of a safety plan, or create it for the actor."""
    row = db.session.scalar(
        sa.select(FollowUp)
        .where(
            FollowUp.client_id == client.id,
            FollowUp.kind == PLAN_REVIEW,
            FollowUp.completed_at.is_(None),
        )
        .order_by(FollowUp.due_at)
        .limit(1)
    )
    if row is None:
        row = FollowUp(
            id=new_id(),
            client_id=client.id,
            kind=PLAN_REVIEW,
            assigned_to=actor.id,
            created_at=now(),
            created_by=actor.id,
        )
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
    if faults := find_result_faults(row, new, moment):
        raise Invalid(faults)
    check_plan(task, new.result, plan_blockers)
    set_committed_value(row, "version", expected_version)
    coded = {
        "result": new.result,
        "method": new.method,
        "occurred_at": occurred_at.isoformat(),
        "told": new.told,
    }
    row.result = seal_json(row, "result", coded, task.key)
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
    if row.kind in SUPERVISOR_DECISIONS:
        before = db.session.get_one(FollowUp, row.previous_id)
        following = derive_decided(row.kind, new.result, before, local_now())
    else:
        following = derive_next_task(row, new.result, moment)
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
        kind=following.kind,
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
    coded = {"result": LOST_CONTACT, "method": None, "occurred_at": moment.isoformat(), "told": ""}
    for row in list_hold_followups(client.id, holds):
        if row.completed_at is not None:
            continue
        row.result = seal_json(row, "result", coded, client.key)
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
    coded = {"result": IN_ERROR, "method": None, "occurred_at": moment.isoformat(), "told": ""}
    for row in list_open_of_screening(client.id, screening_id, hold_ids):
        row.result = seal_json(row, "result", coded, client.key)
        row.completed_at, row.completed_by = moment, actor.id
        ended.add(row.kind)
        details = {"completed": True}
        record(
            actor, Action.FOLLOWUP_WRITE, "followup", row.id, client_id=client.id, details=details
        )
    db.session.flush()
    return ended
