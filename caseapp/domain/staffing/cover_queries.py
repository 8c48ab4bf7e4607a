"""Queries for cover: who may arrange it, whom it is about, and what somebody has to know who covers or comes back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import NotFound
from caseapp.core.pagination import literal_limit
from caseapp.core.permissions import Action
from caseapp.core.reads import note_shown
from caseapp.core.transaction import locked_clients
from caseapp.core.vault import unseal_column, unseal_text
from caseapp.domain.alerts.recipients import as_staff_member
from caseapp.domain.clients.codes import COACH, COVER
from caseapp.domain.clients.models import CareTeamMember, Client, Cover, CoveredClient
from caseapp.domain.clients.queries import (
    LockedClient,
    lock_client,
    take_locks_of_coached,
    unseal_client,
)
from caseapp.domain.clients.visibility import sees_client, select_clients_of, select_denied_clients
from caseapp.domain.dashboard.listed_clients import newest_case_number
from caseapp.domain.followups.models import FollowUp
from caseapp.domain.followups.queries import unseal_followup
from caseapp.domain.keys.models import ClientKey
from caseapp.domain.keys.queries import open_listed_client_key
from caseapp.domain.notes.models import Note
from caseapp.domain.notes.sessions import is_session
from caseapp.domain.screening.current import SAFETY_COLUMNS, join_safety, safety_from_row
from caseapp.domain.screening.models import SafetyEvent
from caseapp.domain.staffing.cover_rules import list_colleague_faults
from caseapp.domain.staffing.cover_schemas import (
    Caseload,
    CoverableClient,
    CoveredClientView,
    CoverSummary,
    CoverView,
)
from caseapp.domain.staffing.queries import is_in_team
from caseapp.domain.users.models import User
from caseapp.domain.users.queries import list_users, select_visible_coaches

if TYPE_CHECKING:
    from collections.abc import Collection
    from uuid import UUID

    from caseapp.domain.followups.schemas import FollowUpRecord

SOON = timedelta(days=7)
"""A client with a session in so many days before, or something to do in so many after, is being worked with."""
LISTED_FOR = timedelta(days=30)
"""For how long an ended cover stays on the list, for whoever comes back."""
MAX_DUE = 500


def get_caseload(actor: Actor, coach_id: UUID) -> Caseload:
    """Load a coach's clients, and who may cover for the coach; the actor's own, or one of whom they supervise.

    Raises NotFound.
    """
    require(actor, Action.COVER)
    if not is_in_team(actor, coach_id):
        raise NotFound
    people = [as_staff_member(user) for user in list_users()]
    return Caseload(
        next(person for person in people if person.id == coach_id),
        list_coached(actor, coach_id),
        tuple(person for person in people if not list_colleague_faults(person, coach_id)),
    )


def list_coached(actor: Actor, coach_id: UUID) -> tuple[CoverableClient, ...]:
    """List the clients whom a coach coaches now, by name; those whom an actor sees."""
    rows = db.session.execute(
        sa.select(Client.id, Client.name, newest_case_number(Client.id).label("number"))
        .where(Client.id.in_(select_clients_of(coach_id, COACH)), sees_client(actor, Client.id))
        .order_by(Client.name, Client.id)
    ).all()
    note_shown(row.id for row in rows)
    return tuple(CoverableClient(row.id, row.name, row.number or "") for row in rows)


@dataclass(frozen=True)
class LockedCaseload:
    """A coach's clients, all of whom are locked until the transaction ends; only `lock_caseload` makes one."""

    coach_id: UUID
    clients: tuple[CoverableClient, ...]

    def list_overlapping(self, user_id: UUID, starts_at: Any, ends_at: Any) -> list[str]:  # noqa: ANN401
        """List the cases whose clients this colleague covers already at some time of a period."""
        covered = sa.select(CareTeamMember.client_id).where(
            CareTeamMember.user_id == user_id,
            CareTeamMember.role == COVER,
            CareTeamMember.starts_at < ends_at,
            CareTeamMember.ends_at > starts_at,
        )
        found = set(db.session.scalars(covered))
        return [one.number or one.client for one in self.clients if one.client_id in found]

    def list_denied(self, user_id: UUID) -> list[str]:
        """List the cases of the clients whom this colleague must not see."""
        found = set(db.session.scalars(select_denied_clients(user_id)))
        return [one.number or one.client for one in self.clients if one.client_id in found]


def lock_caseload(actor: Actor, coach_id: UUID) -> LockedCaseload:
    """Lock the clients of a coach, who is the actor or one of those whom they supervise, then read them.

    Raises NotFound, and RuntimeError outside `transaction()`.
    """
    require(actor, Action.COVER)
    locked_clients()
    if not is_in_team(actor, coach_id):
        raise NotFound
    take_locks_of_coached(sa.select(User.id).where(User.id == coach_id))
    return LockedCaseload(coach_id, list_coached(actor, coach_id))


@dataclass(frozen=True)
class LockedCover:
    """A cover with its clients, who are locked until the transaction ends; only `lock_cover` makes one."""

    row: Cover
    client_ids: tuple[UUID, ...]


def lock_cover(actor: Actor, cover_id: UUID) -> LockedCover:
    """Lock the clients of a cover that is the actor's, or of a coach whom they supervise, to change it.

    Raises NotFound, and RuntimeError outside `transaction()`.
    """
    require(actor, Action.COVER)
    locked_clients()
    coach_id = db.session.scalar(
        sa.select(Cover.coach_id).where(Cover.id == cover_id, _may_change(actor))
    )
    if coach_id is None:
        raise NotFound
    take_locks_of_coached(sa.select(User.id).where(User.id == coach_id))
    row = db.session.scalars(sa.select(Cover).where(Cover.id == cover_id).with_for_update()).one()
    ids = (
        sa.select(CoveredClient.client_id)
        .join(Cover, Cover.id == CoveredClient.cover_id)
        .where(Cover.id == cover_id, ~_was_handed_over())
    )
    return LockedCover(row, tuple(db.session.scalars(ids.order_by(CoveredClient.client_id))))


@dataclass(frozen=True)
class LockedCoveredClient:
    """A client of a cover, locked, with the row that holds the coach's line; only `lock_covered_client` makes one."""

    client: LockedClient
    row: CoveredClient

    @property
    def line(self) -> str:
        """Return the line as it is stored now."""
        return unseal_column(self.row, "line", self.client.key) or ""


def lock_covered_client(actor: Actor, cover_id: UUID, client_id: UUID) -> LockedCoveredClient:
    """Lock a client of a cover whose lines the actor may write.

    Raises NotFound, and RuntimeError outside `transaction()`.
    """
    require(actor, Action.COVER)
    client = lock_client(actor, client_id)
    row = db.session.scalars(
        sa.select(CoveredClient)
        .join(Cover, Cover.id == CoveredClient.cover_id)
        .where(Cover.id == cover_id, CoveredClient.client_id == client_id, _may_change(actor))
    ).one_or_none()
    if row is None:
        raise NotFound
    return LockedCoveredClient(client, row)


def _may_change(actor: Actor) -> sa.ColumnElement[bool]:
    return Cover.coach_id.in_(select_visible_coaches(actor))


def _was_handed_over() -> sa.ColumnElement[bool]:
    """Build the condition that a client of a cover that had begun was handed over before its end."""
    return (
        sa.exists()
        .where(
            CareTeamMember.client_id == CoveredClient.client_id,
            CareTeamMember.user_id == Cover.user_id,
            CareTeamMember.role == COVER,
            CareTeamMember.starts_at == Cover.starts_at,
            CareTeamMember.ends_at < Cover.ends_at,
        )
        .correlate(Cover, CoveredClient)
    )


def list_covers(actor: Actor) -> list[CoverSummary]:
    """List the covers that concern the actor or whom they supervise, those that end last first.

    One that has ended is listed for LISTED_FOR.
    """
    require(actor, Action.CLIENT_READ)
    since = now() - LISTED_FOR
    rows = db.session.execute(
        _select_covers(actor).where(Cover.ends_at > since).order_by(Cover.ends_at.desc(), Cover.id)
    )
    return [_summary(row) for row in rows]


def _select_covers(actor: Actor) -> sa.Select[Any]:
    coach, colleague = aliased(User), aliased(User)
    clients = (
        sa.select(sa.func.count())
        .where(
            CoveredClient.cover_id == Cover.id,
            CoveredClient.client_id.not_in(select_denied_clients(actor.id)),
            ~_was_handed_over(),
        )
        .correlate(Cover)
        .scalar_subquery()
    )
    return (
        sa.select(
            Cover,
            coach.name.label("coach"),
            colleague.name.label("colleague"),
            colleague.disabled_at.label("disabled_at"),
            clients.label("clients"),
            _may_change(actor).label("may_change"),
        )
        .join(coach, coach.id == Cover.coach_id)
        .join(colleague, colleague.id == Cover.user_id)
        .where(sa.or_(Cover.user_id == actor.id, _may_change(actor)))
    )


def _summary(row: Any) -> CoverSummary:  # noqa: ANN401 - a result row
    cover, moment = row.Cover, now()
    state = "coming" if cover.starts_at > moment else "running"
    is_disabled = row.disabled_at is not None and cover.ends_at > moment
    if is_disabled or (cover.planned_end_at is not None and cover.planned_end_at > moment):
        state = "left"
    elif cover.ends_at <= moment:
        state = "ended"
    return CoverSummary(
        cover.id,
        cover.coach_id,
        row.coach,
        cover.user_id,
        row.colleague,
        cover.starts_at,
        cover.ends_at,
        row.clients,
        state,
    )


def get_cover(actor: Actor, cover_id: UUID) -> CoverView:
    """Load a cover with those of its clients whom the actor sees now, by name; in three statements.

    Whoever covers sees none of them before it begins, and none after it has ended. Raises NotFound for a cover that is
    not the actor's, nor of a coach whom they supervise.
    """
    require(actor, Action.CLIENT_READ)
    found = db.session.execute(_select_covers(actor).where(Cover.id == cover_id)).first()
    if found is None:
        raise NotFound
    moment, cover = now(), found.Cover
    during = (max(cover.starts_at, cover.created_at), min(cover.ends_at, moment))
    query = (
        sa.select(
            CoveredClient.id,
            CoveredClient.line,
            CoveredClient.version,
            Client.id.label("client_id"),
            Client.name,
            newest_case_number(Client.id).label("number"),
            ClientKey.wrapped,
            _of_client(
                sa.func.max(Note.actual_session_at, type_=Note.actual_session_at.type),
                Note.client_id,
            )
            .where(Note.actual_session_at <= moment, is_session())
            .scalar_subquery()
            .label("last_session"),
            _of_client(sa.func.count(), Note.client_id)
            .where(Note.signed_at.between(*during))
            .scalar_subquery()
            .label("notes"),
            _of_client(sa.func.count(), FollowUp.client_id)
            .where(FollowUp.completed_at.between(*during))
            .scalar_subquery()
            .label("tasks_done"),
            _of_client(sa.func.count(), SafetyEvent.client_id)
            .where(SafetyEvent.recorded_at.between(*during))
            .scalar_subquery()
            .label("safety_records"),
            *SAFETY_COLUMNS,
        )
        .join(Cover, Cover.id == CoveredClient.cover_id)
        .join(Client, Client.id == CoveredClient.client_id)
        .join(ClientKey, ClientKey.client_id == Client.id)
        .where(Cover.id == cover_id, ~_was_handed_over(), sees_client(actor, Client.id))
        .order_by(Client.name, Client.id)
    )
    rows = db.session.execute(join_safety(query)).all()
    note_shown(row.client_id for row in rows)
    keys = {row.client_id: open_listed_client_key(row.wrapped, row.client_id) for row in rows}
    due = list_due(keys)
    clients = []
    for row in rows:
        key = keys[row.client_id]
        safety = safety_from_row(row, key)
        tasks = tuple(due.get(row.client_id, ()))
        clients.append(
            CoveredClientView(
                id=row.id,
                client_id=row.client_id,
                client=row.name,
                number=row.number or "",
                holds=tuple(hold.kind for hold in safety.holds),
                flags=len(safety.flags),
                last_session=row.last_session,
                due=tasks,
                is_current=bool(tasks)
                or (row.last_session is not None and row.last_session > moment - SOON),
                line=unseal_text("covered_client", "line", row.id, row.line, key) or "",
                version=row.version,
                notes=row.notes,
                tasks_done=row.tasks_done,
                safety_records=row.safety_records,
            )
        )
    return CoverView(_summary(found), tuple(clients), may_change=bool(found.may_change))


def get_covered_client(actor: Actor, cover_id: UUID, client_id: UUID) -> CoveredClientView:
    """Load what to know about one client of a cover.

    Raises NotFound, also for a client whom the actor doesn't see now.
    """
    for one in get_cover(actor, cover_id).clients:
        if one.client_id == client_id:
            return one
    raise NotFound


def _of_client(value: sa.ColumnElement[Any], client_id: Any) -> sa.Select[Any]:  # noqa: ANN401 - a column
    return sa.select(value).where(client_id == Client.id).correlate(Client)


def list_due(keys: dict[UUID, Any]) -> dict[UUID, list[FollowUpRecord]]:
    """List the open tasks of some clients that are due within a week, the first one first.

    `keys` are the keys of the clients, whom the caller has found for an actor.
    """
    ids: Collection[UUID] = keys.keys()
    rows = db.session.execute(
        sa.select(FollowUp, Client)
        .join(Client, Client.id == FollowUp.client_id)
        .where(
            FollowUp.client_id.in_(ids),
            FollowUp.completed_at.is_(None),
            FollowUp.due_at <= now() + SOON,
        )
        .order_by(FollowUp.due_at, FollowUp.id)
        .limit(literal_limit(MAX_DUE))
    )
    found: dict[UUID, list[FollowUpRecord]] = {}
    for task, client in rows:
        key = keys[task.client_id]
        record = unseal_followup(task, unseal_client(client, key), key)
        found.setdefault(task.client_id, []).append(record)
    return found
