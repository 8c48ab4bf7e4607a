"""Staff who must not see a client: who they are, and their locks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from caseapp.core.actor import Actor, require
from caseapp.core.database import db
from caseapp.core.errors import Invalid, NotFound
from caseapp.core.pagination import Page, make_page, page_newest_first
from caseapp.core.permissions import Action
from caseapp.core.reads import note_shown
from caseapp.core.vault import unseal_code
from caseapp.domain.cases.models import Case
from caseapp.domain.clients.models import AccessDenial, Client
from caseapp.domain.clients.queries import lock_team, take_client_lock, take_lock_of_owner
from caseapp.domain.clients.visibility import is_visible_to, select_denied_clients
from caseapp.domain.dashboard.listed_clients import newest_case_number
from caseapp.domain.keys.models import ClientKey
from caseapp.domain.keys.queries import get_client_key, open_listed_client_key
from caseapp.domain.staffing.schemas import AccessDenialRecord
from caseapp.domain.users.models import User
from caseapp.domain.users.queries import list_users

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.core.vault import DataKey

UNKNOWN_NUMBER = "There is no case with this number."


@dataclass(frozen=True)
class LockedAccess:
    """Who may see a client, whose lock is held until the transaction ends; nothing else about the client.

    `people` are the staff of the practice, `coaches` those of the client, `viewers` they and their supervisors, and
    `denied` whoever must not see the client. Only `lock_…` functions make one.
    """

    client_id: UUID
    key: DataKey
    people: frozenset[UUID]
    coaches: frozenset[UUID]
    viewers: frozenset[UUID]
    denied: frozenset[UUID]


@dataclass(frozen=True)
class LockedDenial:
    """A denial that holds, of a client whose lock is held until the transaction ends; only `lock_denial` makes one."""

    row: AccessDenial
    access: LockedAccess


def lock_access(actor: Actor, number: str, action: Action = Action.DENIAL_MANAGE) -> LockedAccess:
    """Lock the client with a case number, whom the actor needn't see, and read who may see them.

    For a client whom the actor must not see the answer is that of a number that doesn't exist. Raises Invalid, and
    RuntimeError outside `transaction()`.
    """
    require(actor, action)
    wanted = number.strip().upper()
    take_lock_of_owner(Case.number, wanted)
    client_id = db.session.scalar(
        sa.select(Case.client_id).where(
            Case.number == wanted, Case.client_id.not_in(select_denied_clients(actor.id))
        )
    )
    if client_id is None:
        raise Invalid({"number": [UNKNOWN_NUMBER]})
    return lock_access_of(client_id)


def lock_access_of(client_id: UUID) -> LockedAccess:
    """Lock a client whom the caller has found for an actor, and read who may see them.

    Raises RuntimeError outside `transaction()`.
    """
    take_client_lock(client_id)
    team = lock_team(client_id)
    denied = sa.select(AccessDenial.user_id).where(
        AccessDenial.client_id == client_id, AccessDenial.ended_at.is_(None)
    )
    return LockedAccess(
        client_id,
        get_client_key(client_id),
        frozenset(user.id for user in list_users()),
        frozenset(row.id for row in team.coaches),
        frozenset(team.viewers),
        frozenset(db.session.scalars(denied)),
    )


def lock_denial(actor: Actor, denial_id: UUID) -> LockedDenial:
    """Lock the client of a denial that the actor may read, then load it.

    Raises NotFound, and RuntimeError outside `transaction()`.
    """
    require(actor, Action.DENIAL_MANAGE)
    take_lock_of_owner(AccessDenial.id, denial_id)
    row = db.session.scalar(
        sa.select(AccessDenial)
        .where(AccessDenial.id == denial_id, *_conditions(actor))
        .execution_options(populate_existing=True)
    )
    if row is None:
        raise NotFound
    return LockedDenial(row, lock_access_of(row.client_id))


def _conditions(actor: Actor) -> list[sa.ColumnElement[bool]]:
    """List what makes a denial one that an actor may read and end.

    It holds, it isn't about themselves, nor about a client whom they must not see, and they see the client or have
    recorded it. An admin reads all of the others.
    """
    found = [
        AccessDenial.ended_at.is_(None),
        AccessDenial.user_id != actor.id,
        AccessDenial.client_id.not_in(select_denied_clients(actor.id)),
    ]
    if not actor.may(Action.USER_MANAGE):
        found.append(
            sa.or_(
                AccessDenial.created_by == actor.id, is_visible_to(actor, AccessDenial.client_id)
            )
        )
    return found


def list_denials(actor: Actor, cursor: str | None, limit: int) -> Page[AccessDenialRecord]:
    """List a page of who must not see which client now, newest first; the reasons only for whoever sees the client."""
    require(actor, Action.DENIAL_MANAGE)
    denied, created_by = aliased(User), aliased(User)
    query = (
        sa.select(
            AccessDenial,
            newest_case_number(Client.id).label("number"),
            denied.name.label("user_name"),
            created_by.name.label("created_by_name"),
            ClientKey.wrapped,
            is_visible_to(actor, AccessDenial.client_id).label("is_seen"),
        )
        .join(Client, Client.id == AccessDenial.client_id)
        .join(ClientKey, ClientKey.client_id == AccessDenial.client_id)
        .join(denied, denied.id == AccessDenial.user_id)
        .join(created_by, created_by.id == AccessDenial.created_by)
        .where(*_conditions(actor))
    )
    rows = db.session.execute(
        page_newest_first(query, AccessDenial.created_at, AccessDenial.id, cursor, limit)
    ).all()
    note_shown(row.AccessDenial.client_id for row in rows)
    found = []
    for row in rows:
        denial: AccessDenial = row.AccessDenial
        reason = None
        if row.is_seen:
            key = open_listed_client_key(row.wrapped, denial.client_id)
            reason = unseal_code("access_denial", "reason", denial.id, denial.reason, key)
        found.append(
            AccessDenialRecord(
                denial.id,
                denial.client_id,
                row.number or "",
                denial.user_id,
                row.user_name,
                reason,
                denial.created_at,
                row.created_by_name,
            )
        )
    return make_page(found, limit, lambda record: (record.created_at, record.id))
