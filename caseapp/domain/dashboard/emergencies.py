"""Emergency access to the records of clients whom somebody doesn't see otherwise: who has had it, and its review."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import NotFound
from caseapp.core.pagination import Page, literal_limit, make_page, page_newest_first
from caseapp.core.permissions import Action, Role
from caseapp.core.reads import note_shown
from caseapp.core.vault import unseal_code, unseal_text
from caseapp.domain.clients.codes import EMERGENCY_SHOWN_FOR
from caseapp.domain.clients.models import Client, EmergencyAccess
from caseapp.domain.clients.visibility import (
    is_denied_to,
    is_visible_to,
    looks_after_client,
    sees_client_of,
    select_denied_clients,
)
from caseapp.domain.dashboard.listed_clients import newest_case_number
from caseapp.domain.dashboard.schemas import EmergencyRecord, ReadRecord
from caseapp.domain.keys.models import ClientKey
from caseapp.domain.keys.queries import open_listed_client_key
from caseapp.domain.users.models import User

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

TABLE = EmergencyAccess.__tablename__
MAX_READ = 20


def list_reads(actor: Actor, moment: datetime) -> list[ReadRecord]:
    """List the actor's open emergency accesses, and then who has lately read the records of the actor's clients by one.

    The newest come first.
    """
    is_actors = EmergencyAccess.user_id == actor.id
    rows = db.session.execute(
        sa.select(
            EmergencyAccess.id,
            Client.id.label("client_id"),
            Client.name.label("client"),
            newest_case_number(Client.id).label("number"),
            User.name.label("user_name"),
            EmergencyAccess.opened_at,
            EmergencyAccess.ends_at,
            is_actors.label("is_own"),
        )
        .join(Client, Client.id == EmergencyAccess.client_id)
        .join(User, User.id == EmergencyAccess.user_id)
        .where(
            EmergencyAccess.opened_at > moment - EMERGENCY_SHOWN_FOR,
            sa.or_(
                sa.and_(is_own(actor), EmergencyAccess.ends_at > moment),
                sa.and_(~is_actors, looks_after_client(actor, EmergencyAccess.client_id)),
            ),
        )
        .order_by(is_actors.desc(), EmergencyAccess.opened_at.desc(), EmergencyAccess.id.desc())
        .limit(literal_limit(MAX_READ))
    ).all()
    note_shown(row.client_id for row in rows)
    return [ReadRecord(*row) for row in rows]


def is_reviewer(actor: Actor) -> sa.ColumnElement[bool]:
    """Build the condition that an actor may review an emergency access.

    The other supervisors may who see the client without having emergency access themselves; if there is none, any
    other supervisor of the practice may who needn't be kept from the client.
    """
    if not actor.may(Action.EMERGENCY_REVIEW):
        return sa.false()
    other = aliased(User)
    seeing = sa.select(other.id).where(
        _could_review(other), sees_client_of(other, EmergencyAccess.client_id)
    )
    return sa.and_(
        EmergencyAccess.user_id != actor.id,
        EmergencyAccess.client_id.not_in(select_denied_clients(actor.id)),
        sa.or_(sa.literal(actor.id, User.id.type).in_(seeing), ~seeing.exists()),
    )


def _could_review(user: type[User]) -> sa.ColumnElement[bool]:
    """Build the condition that somebody is another active supervisor, who needn't be kept from the client."""
    return sa.and_(
        user.role == Role.SUPERVISOR,
        user.disabled_at.is_(None),
        user.id != EmergencyAccess.user_id,
        ~is_denied_to(user.id, EmergencyAccess.client_id),
    )


def _has_reviewer() -> sa.ColumnElement[bool]:
    """Build the condition that somebody in the practice can review an emergency access."""
    other = aliased(User)
    return sa.select(other.id).where(_could_review(other)).exists()


def is_own(actor: Actor) -> sa.ColumnElement[bool]:
    """Build the condition that an emergency access is the actor's own, who needn't be kept from the client."""
    return sa.and_(
        EmergencyAccess.user_id == actor.id,
        EmergencyAccess.client_id.not_in(select_denied_clients(actor.id)),
    )


def _select_emergencies(actor: Actor) -> sa.Select[*tuple[Any, ...]]:
    return (
        sa.select(
            EmergencyAccess,
            Client.name.label("client"),
            newest_case_number(Client.id).label("number"),
            User.name.label("user_name"),
            ClientKey.wrapped,
            is_visible_to(actor, EmergencyAccess.client_id).label("is_seen"),
            _has_reviewer().label("has_reviewer"),
        )
        .join(Client, Client.id == EmergencyAccess.client_id)
        .join(ClientKey, ClientKey.client_id == EmergencyAccess.client_id)
        .join(User, User.id == EmergencyAccess.user_id)
    )


def _make_record(row: Any, moment: datetime) -> EmergencyRecord:  # noqa: ANN401 - a result row
    access: EmergencyAccess = row.EmergencyAccess
    key = open_listed_client_key(row.wrapped, access.client_id)
    return EmergencyRecord(
        access.id,
        access.client_id,
        row.client if row.is_seen else "",
        row.number or "",
        access.user_id,
        row.user_name,
        unseal_code(TABLE, "reason", access.id, access.reason, key),
        unseal_text(TABLE, "words", access.id, access.words, key) or "",
        access.opened_at,
        access.ends_at,
        access.reviewed_at,
        is_open=access.ends_at > moment,
        has_reviewer=row.has_reviewer,
    )


def list_emergencies(actor: Actor, cursor: str | None, limit: int) -> Page[EmergencyRecord]:
    """List a page of the actor's own emergency accesses and of those that they may review, newest first."""
    require(actor, Action.EMERGENCY_OPEN)
    query = _select_emergencies(actor).where(sa.or_(is_own(actor), is_reviewer(actor)))
    rows = db.session.execute(
        page_newest_first(query, EmergencyAccess.opened_at, EmergencyAccess.id, cursor, limit)
    ).all()
    note_shown(row.EmergencyAccess.client_id for row in rows)
    records = [_make_record(row, now()) for row in rows]
    return make_page(records, limit, lambda record: (record.opened_at, record.id))


def list_unreviewed(actor: Actor) -> list[EmergencyRecord]:
    """List every emergency access that waits for the actor's review, the oldest first.

    Raises Forbidden for anybody but a supervisor.
    """
    require(actor, Action.EMERGENCY_REVIEW)
    query = _select_emergencies(actor).where(
        EmergencyAccess.reviewed_at.is_(None), is_reviewer(actor)
    )
    rows = db.session.execute(query.order_by(EmergencyAccess.opened_at, EmergencyAccess.id)).all()
    note_shown(row.EmergencyAccess.client_id for row in rows)
    return [_make_record(row, now()) for row in rows]


def get_unreviewed(actor: Actor, emergency_id: UUID) -> EmergencyRecord:
    """Load an emergency access that waits for the actor's review.

    Raises NotFound, and Forbidden for anybody but a supervisor.
    """
    found = {record.id: record for record in list_unreviewed(actor)}
    if emergency_id not in found:
        raise NotFound
    return found[emergency_id]


@dataclass(frozen=True)
class WaitingReview:
    """An emergency access that waits for a review: since when, by whom, and the number of the client's newest case.

    `has_reviewer` tells whether somebody in the practice can review it.
    """

    opened_at: datetime
    user_name: str
    number: str | None
    has_reviewer: bool


def list_waiting_reviews(actor: Actor) -> list[WaitingReview]:
    """List all emergency accesses of the practice that wait for a review, the oldest first: numbers without names.

    Raises Forbidden for anyone but an admin or the operator.
    """
    require(actor, Action.USER_MANAGE)
    rows = db.session.execute(
        sa.select(
            EmergencyAccess.opened_at,
            User.name,
            newest_case_number(Client.id),
            _has_reviewer(),
            Client.id,
        )
        .join(Client, Client.id == EmergencyAccess.client_id)
        .join(User, User.id == EmergencyAccess.user_id)
        .where(EmergencyAccess.reviewed_at.is_(None))
        .order_by(EmergencyAccess.opened_at, EmergencyAccess.id)
    ).all()
    note_shown(row.id for row in rows)
    return [WaitingReview(*row[:4]) for row in rows]
