"""The clients whom Today shows, each with the current safety state, in one statement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core.database import db
from caseapp.core.pagination import in_any, literal_limit
from caseapp.core.permissions import Role
from caseapp.core.reads import note_shown
from caseapp.domain.cases.models import Case
from caseapp.domain.clients.codes import SECOND_PERSON
from caseapp.domain.clients.models import Client
from caseapp.domain.clients.visibility import looked_after_by, looks_after_client, select_clients_of
from caseapp.domain.contacts.codes import CONTACT, NO_SHOW
from caseapp.domain.contacts.queries import select_last
from caseapp.domain.dashboard.no_shows import select_missed, select_missed_at
from caseapp.domain.followups.models import FollowUp
from caseapp.domain.keys.models import ClientKey
from caseapp.domain.keys.queries import open_listed_client_key
from caseapp.domain.notes.models import Note
from caseapp.domain.notes.sessions import is_session, select_last_session
from caseapp.domain.screening.current import SAFETY_COLUMNS, join_safety, safety_from_row
from caseapp.domain.users.models import User

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import date, datetime
    from uuid import UUID

    from sqlalchemy.orm import InstrumentedAttribute

    from caseapp.core.actor import Actor
    from caseapp.domain.screening.current import SafetyState

MAX_RECENT_CASES = 10
MAX_WITHDRAWN = 25
# An episode has up to eight required actions.
MAX_OVERDUE_ACTIONS = 200
# Inlined, so that the planner can use the partial indexes with a cached plan.
IS_OPEN = Case.status == sa.literal("open", literal_execute=True)


@dataclass(frozen=True)
class ListedCase:
    """One of the open cases with the most recent session or change."""

    id: UUID
    number: str
    stage: str
    last_session: datetime | None
    last_activity: datetime
    last_contact: datetime | None
    last_no_show: datetime | None


@dataclass(frozen=True)
class ListedClient:
    """A client whom Today shows: with an open hold, a proposed concern, withdrawn consent or one of the recent cases.

    `number` and `coach` are those of the client's newest case. Of a client whom somebody doesn't see (`is_seen`), Today
    shows only the hold that they were named to release. `missed_at` is when they did not come, unless contact or a
    session has followed.
    """

    id: UUID
    name: str
    number: str | None
    coach: str | None
    recent: ListedCase | None
    safety: SafetyState
    has_open_case: bool
    is_seen: bool
    missed_at: datetime | None
    consent_withdrawn_on: date | None


def list_clients(actor: Actor, marked: Collection[UUID], moment: datetime) -> list[ListedClient]:
    """List the clients whom Today shows.

    They are the `marked` ones, who have an open hold or a proposed concern, those with an action of a hold that was
    overdue last at `moment`, those who did not come and with whom nobody was in contact since, those of the open cases
    with the most recent session or change, those in coaching who have withdrawn consent, and those with a hold that
    the actor was named to release.
    """
    recent = _select_recent_cases(actor)
    coach = (
        sa.select(User.name)
        .join(Case, Case.coach_id == User.id)
        .where(Case.client_id == Client.id)
        .order_by(Case.opened_at.desc(), Case.id.desc())
        .limit(literal_limit(1))
        .scalar_subquery()
    )
    visible = sa.select(Client.id).where(
        Client.id.in_(marked), looks_after_client(actor, Client.id)
    )
    overdue = (
        sa.select(FollowUp.client_id)
        .where(
            FollowUp.completed_at.is_(None),
            FollowUp.due_at < moment,
            FollowUp.origin_kind == "hold",
            looks_after_client(actor, FollowUp.client_id),
        )
        .order_by(FollowUp.due_at.desc(), FollowUp.id.desc())
        .limit(literal_limit(MAX_OVERDUE_ACTIONS))
    )
    query = (
        sa.select(
            Client.id.label("client_id"),
            Client.name,
            newest_case_number(Client.id).label("newest_number"),
            coach.label("coach"),
            sa.exists().where(Case.client_id == Client.id, IS_OPEN).label("has_open_case"),
            looks_after_client(actor, Client.id).label("is_seen"),
            select_missed_at(Client.id, moment).label("missed_at"),
            Client.consent_withdrawn_on,
            *recent.c[1:],
            ClientKey.wrapped,
            *SAFETY_COLUMNS,
        )
        .join(ClientKey, ClientKey.client_id == Client.id)
        .outerjoin(recent, recent.c.client_id == Client.id)
        .where(
            in_any(
                Client.id,
                visible,
                overdue,
                sa.select(select_missed(actor, moment).subquery().c.client_id),
                sa.select(recent.c.client_id),
                _select_withdrawn(actor),
                select_clients_of(actor.id, SECOND_PERSON),
            )
        )
    )
    rows = db.session.execute(join_safety(query)).all()
    note_shown(row.client_id for row in rows)
    return [
        ListedClient(
            row.client_id,
            row.name,
            row.newest_number,
            row.coach,
            row.id
            and ListedCase(
                row.id,
                row.number,
                row.stage,
                row.last_session,
                row.last_activity,
                row.last_contact,
                row.last_no_show,
            ),
            safety_from_row(row, open_listed_client_key(row.wrapped, row.client_id)),
            row.has_open_case,
            row.is_seen,
            row.missed_at,
            row.consent_withdrawn_on,
        )
        for row in rows
    ]


def _select_recent_cases(actor: Actor) -> sa.CTE:
    """Select the open cases with the most recent session or change.

    A supervisor sees too many cases to sort them all: the newest of each order hold the newest of both.
    """
    last = select_last_session(Case.id)
    last_activity = sa.case((last > Case.updated_at, last), else_=Case.updated_at)
    wanted = (
        in_any(Case.id, _select_last_changed(actor), _select_last_met(actor))
        if actor.role is Role.SUPERVISOR
        else Case.client_id.in_(looked_after_by(actor))
    )
    return (
        sa.select(
            Case.client_id,
            Case.id,
            Case.number,
            Case.stage,
            last.label("last_session"),
            last_activity.label("last_activity"),
            select_last(CONTACT, Case.client_id).label("last_contact"),
            select_last(NO_SHOW, Case.client_id).label("last_no_show"),
        )
        .where(Case.status == "open", wanted)
        .order_by(last_activity.desc(), Case.id.desc())
        .limit(literal_limit(MAX_RECENT_CASES))
        .cte("recent")
    )


def _select_withdrawn(actor: Actor) -> sa.Select[UUID]:
    """Select the clients in coaching who have withdrawn consent, the last to do so, up to one more than Today lists."""
    has_open = sa.exists().where(Case.client_id == Client.id, IS_OPEN)
    return (
        sa.select(Client.id)
        .where(
            Client.consent_withdrawn_on.is_not(None),
            has_open,
            looks_after_client(actor, Client.id),
        )
        .order_by(Client.consent_withdrawn_on.desc(), Client.id.desc())
        .limit(literal_limit(MAX_WITHDRAWN + 1))
    )


def _select_last_changed(actor: Actor) -> sa.Select[UUID]:
    return (
        sa.select(Case.id)
        .where(IS_OPEN, looks_after_client(actor, Case.client_id))
        .order_by(Case.updated_at.desc(), Case.id.desc())
        .limit(literal_limit(MAX_RECENT_CASES))
    )


def _select_last_met(actor: Actor) -> sa.Select[UUID]:
    """Select the open cases with the newest sessions, by the newest signed note of each that counts."""
    newer = sa.orm.aliased(Note)
    has_newer = sa.exists().where(
        newer.case_id == Note.case_id,
        is_session(newer),
        sa.tuple_(newer.actual_session_at, newer.id) > sa.tuple_(Note.actual_session_at, Note.id),
    )
    is_open = sa.select(Case.id).where(Case.id == Note.case_id, Case.status == "open")
    return (
        sa.select(Note.case_id)
        .where(
            is_session(), is_open.exists(), ~has_newer, looks_after_client(actor, Note.client_id)
        )
        .order_by(Note.actual_session_at.desc(), Note.id.desc())
        .limit(literal_limit(MAX_RECENT_CASES))
    )


def newest_case_number(client_id: InstrumentedAttribute[UUID]) -> sa.ScalarSelect[str]:
    """Select the number of a client's newest case."""
    return (
        sa.select(Case.number)
        .where(Case.client_id == client_id)
        .order_by(Case.opened_at.desc(), Case.id.desc())
        .limit(literal_limit(1))
        .scalar_subquery()
    )
