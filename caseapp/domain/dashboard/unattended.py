"""Clients for whom nobody is responsible, whose hold nobody else could release, or whose open action nobody will do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.permissions import Role
from caseapp.core.reads import note_shown
from caseapp.domain.cases.models import Case
from caseapp.domain.clients.codes import COACH
from caseapp.domain.clients.models import CareTeamMember, Client
from caseapp.domain.clients.visibility import (
    in_role,
    looks_after_client,
    sees_client_of,
    select_denied_clients,
)
from caseapp.domain.dashboard.listed_clients import IS_OPEN, newest_case_number
from caseapp.domain.dashboard.second_people import has_second, list_without_second
from caseapp.domain.followups.models import FollowUp
from caseapp.domain.followups.queries import IS_REQUIRED
from caseapp.domain.keys.models import ClientKey
from caseapp.domain.keys.queries import open_listed_client_key
from caseapp.domain.screening.current import SAFETY_COLUMNS, join_safety, safety_from_row
from caseapp.domain.screening.marks import HOLD_KINDS, list_marks
from caseapp.domain.users.models import User
from caseapp.domain.users.queries import is_visible_coach, list_users

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.orm import InstrumentedAttribute

    from caseapp.core.actor import Actor
    from caseapp.domain.screening.current import SafetyState


RESPONSIBLE, SECOND, ACTION = "responsible", "second", "action"


@dataclass(frozen=True)
class UnattendedClient:
    """A client whom nobody looks after as the protocol wants.

    `coach_id` and `coach` are a member of the care team, who may have left, or whose open action it is. `lacks` is
    RESPONSIBLE for a coach with an active account, SECOND for a second person who could release a hold, or ACTION for
    somebody who will do an open action: whose it is has left, or doesn't see the client. `hold` is the kind of the
    strictest open hold, `since` when it was opened, or now.
    """

    client_id: UUID
    client: str = field(repr=False)
    number: str
    coach_id: UUID
    coach: str
    lacks: str
    hold: str | None
    since: datetime


def list_unattended_clients(actor: Actor | None) -> list[UnattendedClient]:
    """List the unattended clients whom a supervisor sees, or those of the whole practice without an actor.

    A client with an open hold, an active flag or a required action that is due needs a coach with an active account,
    and an active supervisor of a coach of theirs, or somebody who was named, who could release a hold as the second
    person: they recorded no screening of an open safety hold. A client with an open case needs somebody with an active
    account who sees it, and an open action somebody who will do it. Only the clients who lack one of the first two are
    opened, and those about whom every second person has recorded something. Source: the issue about safety, awaiting
    clinical sign-off.
    """
    viewers = [actor.id] if actor else [user.id for user in list_users()]
    marked = {mark.client_id for viewer in viewers for mark in list_marks(viewer, HOLD_KINDS)}
    found = {one.client_id: one for one in _list_lacking(actor, marked)}
    for one in (*_list_recorded_by_all(actor, marked), *_list_strays(actor)):
        found.setdefault(one.client_id, one)
    return [*found.values()]


def _list_lacking(actor: Actor | None, marked: set[UUID]) -> list[UnattendedClient]:
    """List the clients who lack somebody responsible, or a second person; those who are `marked` have an open hold."""
    moment = now()
    lacking = _select_lacking(actor)
    is_responsible = _has_responsible()
    has_due = (
        sa.exists()
        .where(
            FollowUp.client_id == Client.id,
            FollowUp.completed_at.is_(None),
            IS_REQUIRED,
            FollowUp.due_at <= moment,
        )
        .correlate(Client)
    )
    has_open_case = sa.exists().where(IS_OPEN, Case.client_id == Client.id).correlate(Client)
    query = (
        _select_clients(
            lacking.c.coach_id,
            lacking.c.coach,
            is_responsible.label("is_responsible"),
            sa.or_(has_due, sa.and_(has_open_case, ~_is_seen())).label("is_in_need"),
        )
        .join(lacking, lacking.c.client_id == Client.id)
        .where(
            sa.or_(~is_responsible, ~has_second()),
            sa.or_(Client.id.in_(marked), has_open_case, has_due),
            Client.id.not_in(select_denied_clients(actor.id)) if actor else sa.true(),
        )
    )

    def find_lack(row: Any, safety: SafetyState) -> str | None:  # noqa: ANN401 - a result row
        if not (safety.holds or safety.flags or row.is_in_need):
            return None
        return SECOND if row.is_responsible else RESPONSIBLE

    return _open_clients(query, find_lack)


def _list_recorded_by_all(actor: Actor | None, marked: set[UUID]) -> list[UnattendedClient]:
    """List the marked clients whose hold nobody could release, since each second person recorded a screening of it."""
    without_second = list_without_second(marked)
    if not without_second:
        return []
    query = (
        _select_clients(User.id, User.name)
        .join(CareTeamMember, CareTeamMember.client_id == Client.id)
        .join(User, User.id == CareTeamMember.user_id)
        .where(
            Client.id.in_(without_second),
            in_role(CareTeamMember, COACH),
            looks_after_client(actor, Client.id) if actor else sa.true(),
        )
    )
    return _open_clients(query, lambda _row, _safety: SECOND)


def _select_clients(
    coach_id: sa.ColumnElement[Any] | InstrumentedAttribute[Any],
    coach: sa.ColumnElement[Any] | InstrumentedAttribute[Any],
    *columns: sa.ColumnElement[Any],
) -> sa.Select[Any]:
    """Select clients with a coach and what `_open_clients` needs; the caller joins whatever has the coach."""
    query = (
        sa.select(
            Client.id.label("client_id"),
            Client.name,
            newest_case_number(Client.id).label("number"),
            coach_id.label("coach_id"),
            coach.label("coach"),
            ClientKey.wrapped,
            *columns,
            *SAFETY_COLUMNS,
        )
        .select_from(Client)
        .join(ClientKey, ClientKey.client_id == Client.id)
        .order_by(coach_id.desc())
    )
    return join_safety(query)


def _open_clients(
    query: sa.Select[Any], find_lack: Callable[[Any, SafetyState], str | None]
) -> list[UnattendedClient]:
    """Open the state of selected clients, and list those for whom a function of row and state finds what they lack."""
    # A client whom several coaches have is listed once.
    rows = {row.client_id: row for row in db.session.execute(query)}.values()
    note_shown(row.client_id for row in rows)
    found = []
    for row in rows:
        safety = safety_from_row(row, open_listed_client_key(row.wrapped, row.client_id))
        if (lacks := find_lack(row, safety)) is None:
            continue
        found.append(
            UnattendedClient(
                row.client_id,
                row.name,
                row.number or "",
                row.coach_id,
                row.coach,
                lacks,
                safety.hold,
                min((hold.opened_at for hold in safety.holds), default=safety.as_of),
            )
        )
    return found


def _list_strays(actor: Actor | None) -> list[UnattendedClient]:
    """List the clients with an open action whose it is has left, or doesn't see the client, with that person."""
    rows = db.session.execute(
        sa.select(
            Client.id.label("client_id"),
            Client.name,
            newest_case_number(Client.id).label("number"),
            User.id.label("person_id"),
            User.name.label("person"),
            FollowUp.due_at,
        )
        .select_from(FollowUp)
        .join(User, User.id == FollowUp.assigned_to)
        .join(Client, Client.id == FollowUp.client_id)
        .where(
            FollowUp.completed_at.is_(None),
            sa.or_(User.disabled_at.is_not(None), ~sees_client_of(User, FollowUp.client_id)),
            looks_after_client(actor, FollowUp.client_id) if actor else sa.true(),
        )
        .order_by(FollowUp.due_at.desc(), FollowUp.id)
    )
    # Of several open actions the one that is due first.
    found = {row.client_id: row for row in rows}
    note_shown(found)
    return [
        UnattendedClient(
            row.client_id,
            row.name,
            row.number or "",
            row.person_id,
            row.person,
            ACTION,
            None,
            row.due_at,
        )
        for row in found.values()
    ]


def _select_lacking(actor: Actor | None) -> sa.Subquery:
    """Select the clients of coaches who have left or have no active supervisor, each with such a coach.

    The coaches are found first: they are few, and their clients are looked up.
    """
    coach, supervisor = aliased(User), aliased(User)
    has_supervisor = sa.exists().where(
        supervisor.id == coach.supervisor_id,
        supervisor.disabled_at.is_(None),
        supervisor.role == Role.SUPERVISOR,
    )
    coaches = (
        sa.select(coach.id, coach.name)
        .where(
            sa.or_(coach.disabled_at.is_not(None), ~has_supervisor),
            is_visible_coach(coach, actor.role, actor.id) if actor else sa.true(),
        )
        .cte("lacking")
        .prefix_with("MATERIALIZED")
    )
    return (
        sa.select(
            CareTeamMember.client_id,
            coaches.c.id.label("coach_id"),
            coaches.c.name.label("coach"),
        )
        .join(coaches, coaches.c.id == CareTeamMember.user_id)
        .where(in_role(CareTeamMember, COACH))
        .subquery()
    )


def _has_responsible() -> sa.Exists:
    member, coach = aliased(CareTeamMember), aliased(User)
    return (
        sa.exists()
        .where(
            member.client_id == Client.id,
            in_role(member, COACH),
            coach.id == member.user_id,
            coach.disabled_at.is_(None),
        )
        .correlate(Client)
    )


def _is_seen() -> sa.Exists:
    """Build the condition that somebody with an active account sees a client."""
    viewer = aliased(User)
    sees = sees_client_of(viewer, Client.id)
    return sa.exists().where(viewer.disabled_at.is_(None), sees).correlate(Client)
