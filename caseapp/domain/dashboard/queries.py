"""Queries for Today."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.permissions import Action, Role
from caseapp.core.vault import unseal_column, unwrap
from caseapp.domain.assignments.models import Assignment
from caseapp.domain.assignments.reading import SUSPENDED_PAGE_SIZE, count_suspended
from caseapp.domain.cases.models import Case
from caseapp.domain.cases.queries import STRICTEST_HOLD
from caseapp.domain.cases.stages import stage_by_id, stages
from caseapp.domain.clients.models import Client, ClientKey
from caseapp.domain.clients.queries import visible_to
from caseapp.domain.dashboard.schemas import (
    NextFollowUp,
    OpenHold,
    RecentCase,
    StageCount,
    Today,
)
from caseapp.domain.followups.codes import TASK_LABELS
from caseapp.domain.followups.models import FollowUp
from caseapp.domain.followups.queries import list_due_followups
from caseapp.domain.notes.models import Note
from caseapp.domain.notes.queries import list_coaches_drafts, list_own_drafts
from caseapp.domain.screening.models import Hold, Screening
from caseapp.domain.screening.protocol import ITEMS, ITEMS_BY_KEY, Level
from caseapp.domain.users.models import User

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

MAX_HOLDS = 25
MAX_DRAFTS = 50
MAX_FOLLOWUPS = 8
MAX_RECENT_CASES = 10
MAX_CASES_PER_STAGE = 1000
DUE_WITHIN = timedelta(days=7)


def get_today(actor: Actor) -> Today:
    """Return what needs the actor's attention now, with a fixed number of statements.

    A coach sees their own drafts, follow-ups and clients; a supervisor also those of their coaches, but only the age of
    a coach's draft. An admin sees no clients.
    """
    require(actor, Action.TODAY_READ)
    moment = now()
    if not actor.may(Action.CASE_READ):
        return Today(moment)
    holds = _list_open_holds(actor)
    tasks = list_due_followups(actor, until=moment + DUE_WITHIN, limit=MAX_FOLLOWUPS + 1)
    suspended, more_cases = count_suspended(actor)
    return Today(
        now=moment,
        drafts=list_own_drafts(actor, MAX_DRAFTS),
        coaches_drafts=list_coaches_drafts(actor) if actor.role is Role.SUPERVISOR else [],
        holds=holds[:MAX_HOLDS],
        more_holds=len(holds) > MAX_HOLDS,
        followups=tasks[:MAX_FOLLOWUPS],
        more_followups=len(tasks) > MAX_FOLLOWUPS,
        recent_cases=_list_recent_cases(actor),
        cases_by_stage=_count_by_stage(actor),
        case_numbers=get_case_numbers(task.client_id for task in tasks),
        suspended=suspended,
        suspended_scope=SUSPENDED_PAGE_SIZE if more_cases else None,
    )


def get_case_numbers(client_ids: Iterable[UUID]) -> dict[UUID, str]:
    """Return the number of each client's newest case. The caller has already found the clients for this actor."""
    rows = db.session.execute(
        sa.select(Case.client_id, Case.number)
        .where(Case.client_id.in_(set(client_ids)))
        .order_by(Case.opened_at, Case.id)
    )
    return {row.client_id: row.number for row in rows}


def _newest_case(column: sa.ColumnElement[Any]) -> sa.ScalarSelect[Any]:
    return (
        sa.select(column)
        .where(Case.client_id == Hold.client_id)
        .order_by(Case.opened_at.desc(), Case.id.desc())
        .limit(1)
        .scalar_subquery()
    )


def _list_open_holds(actor: Actor) -> list[OpenHold]:
    coach = (
        sa.select(User.name)
        .join(Case, Case.coach_id == User.id)
        .where(Case.client_id == Hold.client_id)
        .order_by(Case.opened_at.desc(), Case.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    rows = db.session.execute(
        sa.select(
            Hold.id,
            Hold.client_id,
            Client.name.label("client"),
            _newest_case(Case.number.expression).label("number"),
            coach.label("coach"),
            Hold.kind,
            Hold.opened_at,
            Hold.reasons,
        )
        .join(Client, Client.id == Hold.client_id)
        .where(Hold.released_at.is_(None), Hold.client_id.in_(visible_to(actor)))
        # 'safety' sorts after 'care'.
        .order_by(Hold.kind.desc(), Hold.opened_at, Hold.id)
        .limit(MAX_HOLDS + 1)
    ).all()
    next_followups = _get_next_followups({row.client_id for row in rows})
    return [
        OpenHold(
            id=row.id,
            client_id=row.client_id,
            client=row.client,
            number=row.number or "",
            coach=row.coach or "",
            kind=row.kind,
            opened_at=row.opened_at,
            levels=_highest_levels(row.reasons),
            next_followup=next_followups.get(row.client_id),
        )
        for row in rows
    ]


def _highest_levels(reasons: list[dict[str, Any]]) -> dict[str, int]:
    """Return the highest level of each question in a hold's reasons, highest first."""
    levels: dict[str, int] = {}
    for reason in reasons:
        levels[reason["item"]] = max(levels.get(reason["item"], 0), reason["level"])
    return dict(sorted(levels.items(), key=lambda pair: -pair[1]))


def _get_next_followups(client_ids: set[UUID]) -> dict[UUID, NextFollowUp]:
    rank = (
        sa.func.row_number()
        .over(partition_by=FollowUp.client_id, order_by=(FollowUp.due_at, FollowUp.id))
        .label("rank")
    )
    first = (
        sa.select(FollowUp.id, rank)
        .where(FollowUp.client_id.in_(client_ids), FollowUp.completed_at.is_(None))
        .subquery()
    )
    rows = db.session.execute(
        sa.select(FollowUp, ClientKey.wrapped)
        .join(first, first.c.id == FollowUp.id)
        .join(ClientKey, ClientKey.client_id == FollowUp.client_id)
        .where(first.c.rank == 1)
    ).all()
    return {
        task.client_id: NextFollowUp(
            TASK_LABELS.get(task.kind)
            or unseal_column(task, "title", unwrap(task.client_id, wrapped))
            or "",
            task.due_at,
        )
        for task, wrapped in rows
    }


def _list_recent_cases(actor: Actor) -> list[RecentCase]:
    """List the open cases with the most recent session or change, newest first."""
    last = (
        sa.select(sa.func.max(Note.session_at, type_=Note.session_at.type))
        .where(Note.case_id == Case.id, Note.status == "signed")
        .scalar_subquery()
    )
    last_activity = sa.case((last > Case.updated_at, last), else_=Case.updated_at)
    rows = db.session.execute(
        sa.select(
            Case.id,
            Case.number,
            Case.client_id,
            Client.name.label("client"),
            Case.stage,
            STRICTEST_HOLD.label("hold"),
            last.label("last_session"),
        )
        .join(Client, Client.id == Case.client_id)
        .where(Case.status == "open", Case.client_id.in_(visible_to(actor)))
        .order_by(last_activity.desc(), Case.id.desc())
        .limit(MAX_RECENT_CASES)
    ).all()
    levels = _get_last_levels({row.client_id for row in rows})
    handouts = _count_handouts({row.id for row in rows})
    return [
        RecentCase(
            id=row.id,
            number=row.number,
            client_id=row.client_id,
            client=row.client,
            stage=stage_by_id()[row.stage],
            hold=row.hold,
            last_session=row.last_session,
            levels=levels.get(row.client_id, {}),
            screened=row.client_id in levels,
            handouts_assigned=handouts.get(row.id, (0, 0))[0],
            handouts_read=handouts.get(row.id, (0, 0))[1],
        )
        for row in rows
    ]


def _get_last_levels(client_ids: set[UUID]) -> dict[UUID, dict[str, int]]:
    """Return the levels at watch or above in each client's last screening, highest first."""
    rank = (
        sa.func.row_number()
        .over(
            partition_by=Screening.client_id,
            order_by=(Screening.recorded_at.desc(), Screening.id.desc()),
        )
        .label("rank")
    )
    columns = [getattr(Screening, key) for key in ITEMS_BY_KEY]
    newest = (
        sa.select(Screening.client_id, *columns, rank)
        .where(Screening.client_id.in_(client_ids))
        .subquery()
    )
    rows = db.session.execute(sa.select(newest).where(newest.c.rank == 1)).mappings()
    found = {}
    for row in rows:
        levels = {item.key: row[item.key] for item in ITEMS if (row[item.key] or 0) > Level.NONE}
        found[row["client_id"]] = dict(sorted(levels.items(), key=lambda pair: -pair[1]))
    return found


def _count_handouts(case_ids: set[UUID]) -> dict[UUID, tuple[int, int]]:
    rows = db.session.execute(
        sa.select(Assignment.case_id, sa.func.count(), sa.func.count(Assignment.read_at))
        .where(Assignment.case_id.in_(case_ids), Assignment.withdrawn_at.is_(None))
        .group_by(Assignment.case_id)
    ).all()
    return {case_id: (assigned, read) for case_id, assigned, read in rows}


def _count_by_stage(actor: Actor) -> list[StageCount]:
    """Count the open cases in each stage, up to MAX_CASES_PER_STAGE."""
    capped_counts = sa.union_all(
        *(
            sa.select(
                sa.literal(stage.number).label("stage"), sa.func.count().label("cases")
            ).select_from(
                sa.select(Case.id)
                .where(
                    Case.status == "open",
                    Case.stage == stage.id,
                    Case.client_id.in_(visible_to(actor)),
                )
                .limit(MAX_CASES_PER_STAGE + 1)
                .subquery()
            )
            for stage in stages()
        )
    )
    counted = {row.stage: row.cases for row in db.session.execute(capped_counts)}
    return [
        StageCount(
            stage,
            min(counted[stage.number], MAX_CASES_PER_STAGE),
            counted[stage.number] > MAX_CASES_PER_STAGE,
        )
        for stage in stages()
    ]
