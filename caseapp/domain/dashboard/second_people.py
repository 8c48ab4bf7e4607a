"""Who could release a client's hold as the second person, and the clients for whom nobody could."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from caseapp.core.database import db
from caseapp.core.permissions import Role
from caseapp.domain.clients.codes import COACH, SECOND_PERSON
from caseapp.domain.clients.models import CareTeamMember, Client
from caseapp.domain.clients.visibility import in_role, is_denied_to
from caseapp.domain.screening.history import list_safety_histories
from caseapp.domain.screening.models import SafetyEvent
from caseapp.domain.screening.rules import can_be_second, list_authors
from caseapp.domain.users.models import User

if TYPE_CHECKING:
    from collections.abc import Collection
    from uuid import UUID

    from caseapp.domain.screening.history import SafetyHistory
    from caseapp.domain.screening.records import Hold


def has_second() -> sa.ColumnElement[bool]:
    """Build the condition that somebody with an active account could release a hold of another's client.

    They supervise a coach of the client, or are named now. Whether they recorded a screening of an open hold
    is sealed: `list_without_second` tells that.
    """
    return _exists(_select_ways())


def list_without_second(
    client_ids: Collection[UUID],
    but: UUID | None = None,
    *,
    instead: tuple[UUID, UUID] | None = None,
) -> set[UUID]:
    """List those of some clients for whom nobody, but for one, could release a hold as the second person.

    `instead` are a coach of these clients and a colleague: it is told as if the colleague coached them in that place.
    Whoever recorded a screening of an open safety hold can't release it. Only the clients about whom each second person
    has recorded something are opened.
    """
    if not client_ids:
        return set()
    ways = _select_ways(but, instead)
    candidates = sa.select(Client.id).where(
        Client.id.in_(client_ids), ~_exists([_without_authors(way) for way in ways])
    )
    lacking = {*db.session.scalars(candidates)}
    people: dict[UUID, set[UUID]] = {}
    for way in ways if lacking else ():
        client_column = way.selected_columns[0]
        for client_id, user_id in db.session.execute(way.where(client_column.in_(lacking))):
            people.setdefault(client_id, set()).add(user_id)
    for client_id, history in list_safety_histories(people).items() if people else ():
        if _have_second(history, people[client_id]):
            lacking.remove(client_id)
    return lacking


def _have_second(history: SafetyHistory, people: set[UUID]) -> bool:
    """Tell whether one of these supervisors could release each open hold of a client."""
    for hold in _list_open_holds(history):
        screenings = history.find_hold_screenings(hold)
        if not any(can_be_second(hold, screenings, who) for who in people):
            return False
    return True


def list_hold_authors(client_id: UUID) -> set[UUID]:
    """List who recorded a screening of a client's open safety hold."""
    history = list_safety_histories([client_id])[client_id]
    return {
        author
        for hold in _list_open_holds(history)
        if hold.kind == "safety"
        for author in list_authors(history.find_hold_screenings(hold))
    }


def _list_open_holds(history: SafetyHistory) -> list[Hold]:
    return [hold for hold in history.holds.values() if hold.released_at is None]


def _select_ways(
    but: UUID | None = None, instead: tuple[UUID, UUID] | None = None
) -> list[sa.Select[*tuple[UUID, UUID]]]:
    """Select clients with whoever could be their second person, in each of the two ways."""
    member, coach, second = aliased(CareTeamMember), aliased(User), aliased(User)
    coach_id: sa.ColumnElement[UUID] = sa.type_coerce(member.user_id, User.id.type)
    if instead is not None:
        leaver_id, heir_id = instead
        heir = sa.literal(heir_id, User.id.type)
        coach_id = sa.case((member.user_id == leaver_id, heir), else_=member.user_id)

    def select(role: str, *conditions: sa.ColumnElement[bool]) -> sa.Select[*tuple[UUID, UUID]]:
        return sa.select(member.client_id, second.id).where(
            in_role(member, role),
            second.disabled_at.is_(None),
            second.role == Role.SUPERVISOR,
            ~is_denied_to(second.id, member.client_id),
            sa.true() if but is None else second.id != but,
            *conditions,
        )

    supervises = select(
        COACH,
        coach.id == coach_id,
        second.id == coach.supervisor_id,
        second.id != coach.id,
    )
    is_named = select(SECOND_PERSON, second.id == member.user_id)
    return [supervises, is_named]


def _without_authors(
    way: sa.Select[*tuple[UUID, UUID]],
) -> sa.Select[*tuple[UUID, UUID]]:
    """Leave out whoever has recorded anything about the client's safety."""
    client_id, user_id = way.selected_columns
    return way.where(
        ~sa.exists().where(SafetyEvent.client_id == client_id, SafetyEvent.recorded_by == user_id)
    )


def _exists(ways: list[sa.Select[*tuple[UUID, UUID]]]) -> sa.ColumnElement[bool]:
    """Build the condition that somebody could be the second person of a client in one of these ways."""
    return sa.or_(
        *(
            way.where(way.selected_columns[0] == Client.id).correlate(Client).exists()
            for way in ways
        )
    )
