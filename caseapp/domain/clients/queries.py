"""Queries for clients: their locks and their records."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from caseapp.core.actor import Actor, require
from caseapp.core.database import db, entity_from_row, run
from caseapp.core.errors import NotFound
from caseapp.core.permissions import Action, Role
from caseapp.core.reads import note_shown
from caseapp.core.transaction import locked_clients
from caseapp.core.vault import DataKey, unseal_column, unseal_json
from caseapp.domain.clients.codes import COACH
from caseapp.domain.clients.models import (
    CareTeamMember,
    Client,
    Transfer,
)
from caseapp.domain.clients.schemas import SafeContact
from caseapp.domain.clients.visibility import (
    in_role,
    is_denied_to,
    is_visible_client,
    is_visible_to,
)
from caseapp.domain.keys.models import ClientKey
from caseapp.domain.keys.queries import open_client_key
from caseapp.domain.users.models import User

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date, datetime
    from uuid import UUID

    from sqlalchemy.orm import QueryableAttribute

    from caseapp.domain.clients.schemas import ClientDetails

"""When a statement is run, also one that was built before."""


"""Whether a statement is run outside a transaction, so that what it finds is only read."""


@dataclass(frozen=True)
class ClientRecord:
    """A client with all columns unsealed."""

    id: UUID
    name: str
    preferred_name: str
    pronouns: str
    email: str | None
    phone: str | None
    partner_name: str | None
    birth_year: int | None
    safe: SafeContact
    consent_on: date | None
    consent_method: str
    language: str | None
    contact_confirmed_at: datetime | None
    contact_confirmed_by: UUID | None
    created_at: datetime
    version: int
    consent_version: int | None = None
    consent_withdrawn_on: date | None = None

    @property
    def safe_phone(self) -> str | None:
        """Return the number at which the client may be called, or None."""
        return self.phone if self.safe.allows("call") else None

    @property
    def safe_channels(self) -> tuple[str, ...]:
        """The safe channels, for flat schemas."""
        return self.safe.channels

    @property
    def safe_times(self) -> str:
        """The safe times, for flat schemas."""
        return self.safe.times

    @property
    def code_word(self) -> str:
        """The code word, for flat schemas."""
        return self.safe.code_word

    @property
    def safe_warning(self) -> str:
        """The warning, for flat schemas."""
        return self.safe.warning


@dataclass(frozen=True)
class LockedClient:
    """A client whose lock is held until the transaction ends, as read after the lock.

    Only `lock_…` functions make one. A rule or an operation that takes one can't be given what was read before.
    """

    record: ClientRecord
    key: DataKey

    @property
    def id(self) -> UUID:
        """Return the client's id."""
        return self.record.id


def take_client_lock(client_id: UUID) -> None:
    """Take a client's lock until the transaction ends; every change of the client's record holds it.

    Whoever decides by that record reads it afterwards, in another statement: on PostgreSQL a statement that waits for
    a lock goes on with what it saw before. On SQLite `transaction()` has already locked the whole database. A change of
    a note, a case or another record takes this one lock too (`take_lock_of_owner`), so that nobody waits for each other
    in a circle. Entities that were read before are read again when they are used. Taking a lock that this transaction
    holds does nothing. Raises RuntimeError outside `transaction()`.
    """
    if client_id not in locked_clients():
        take_lock_of_owner(Client.id, client_id)


def take_lock_of_owner(column: QueryableAttribute[Any], value: UUID | str) -> None:
    """Take the lock of the client whose record has this value in a unique column, such as a case's id or number.

    Raises RuntimeError outside `transaction()`.
    """
    locked = locked_clients()
    if db.engine.dialect.name == "sqlite":
        return
    db.session.flush()
    owner = _select_owner_for_lock(column)
    # Whoever waited while the owner was merged finds nobody, and the other client with the next statement.
    found = run(owner, value=value).scalars().all() or run(owner, value=value).scalars().all()
    locked.update(found)
    db.session.expire_all()


@cache
def _select_owner_for_lock(column: QueryableAttribute[Any]) -> sa.Select[UUID]:
    """Build, once for each column, the query that locks a record's client; every change of a record runs it."""
    record, found = column.class_, column == sa.bindparam("value")
    if record is not Client:
        found = Client.id == sa.select(record.client_id).where(found).scalar_subquery()
    # A reference to the client from a new row doesn't wait for this lock.
    return sa.select(Client.id).where(found, ~Client.is_merged).with_for_update(key_share=True)


@dataclass(frozen=True)
class TeamAccounts:
    """The coaches of a client's care team, whose accounts are locked until the transaction ends.

    Only `lock_team` makes one. Each coach has `id`, `supervisor_id`, `disabled_at` and `role`; a supervisor who must
    not see the client counts as none.
    """

    coaches: Sequence[sa.Row[tuple[UUID, UUID | None, datetime | None, str]]]

    @property
    def viewers(self) -> set[UUID]:
        """Return who may see the client: the coaches and their supervisors."""
        found = {who for row in self.coaches for who in (row.id, row.supervisor_id)}
        return {who for who in found if who is not None}

    def has_active(self, user_id: UUID) -> bool:
        """Tell whether somebody is one of the coaches and has an active account."""
        return any(row.id == user_id and row.disabled_at is None for row in self.coaches)


def lock_team(client_id: UUID) -> TeamAccounts:
    """Lock the accounts of a locked client's coaches and read them.

    Whoever disables one of them, or gives one another supervisor, waits and then sees what this transaction stored.
    Raises RuntimeError outside `transaction()`.
    """
    locked_clients()
    db.session.flush()
    return TeamAccounts(run(LOCK_TEAM, client=client_id).all())


_supervisor_id = sa.case(
    (is_denied_to(User.supervisor_id, sa.bindparam("client")), sa.null()), else_=User.supervisor_id
)
LOCK_TEAM = (
    sa.select(
        User.id,
        sa.type_coerce(_supervisor_id, User.supervisor_id.type).label("supervisor_id"),
        User.disabled_at,
        User.role,
    )
    .join(CareTeamMember, CareTeamMember.user_id == User.id)
    .where(CareTeamMember.client_id == sa.bindparam("client"), in_role(CareTeamMember, COACH))
    .order_by(User.id)
    .with_for_update(read=True, of=User)
)


def take_locks_of_coached(coaches: sa.Select[UUID]) -> None:
    """Take the locks of all clients whom any of these people coach or are offered, always in the same order.

    Raises RuntimeError outside `transaction()`.
    """
    locked = locked_clients()
    if db.engine.dialect.name == "sqlite":
        return
    coached = sa.select(CareTeamMember.client_id).where(
        in_role(CareTeamMember, COACH), CareTeamMember.user_id.in_(coaches)
    )
    offered = sa.select(Transfer.client_id).where(
        Transfer.state == "offered", Transfer.to_id.in_(coaches)
    )
    either = sa.or_(Client.id.in_(coached), Client.id.in_(offered))
    found = sa.select(Client.id).where(either).order_by(Client.id)
    locked.update(db.session.scalars(found.with_for_update(key_share=True)))
    db.session.expire_all()


def lock_client(actor: Actor, client_id: UUID) -> LockedClient:
    """Lock a client that the actor may see and read it.

    Raises NotFound, and RuntimeError outside `transaction()`.
    """
    require(actor, Action.CLIENT_READ)
    take_client_lock(client_id)
    return LockedClient(*_get_client_with_key(actor, client_id))


def _get_client_with_key(actor: Actor, client_id: UUID) -> tuple[ClientRecord, DataKey]:
    db.session.flush()
    row = run(select_client_with_key(actor.role), asks=actor.id, client=client_id).first()
    if row is None:
        raise NotFound
    return open_client(row)


def open_visible_key(actor: Actor, client_id: UUID) -> DataKey:
    """Open the key of a client, for what is stored beside their record.

    Raises NotFound when the actor may not see the client.
    """
    wrapped = db.session.scalar(
        sa.select(ClientKey.wrapped).where(
            ClientKey.client_id == client_id, is_visible_to(actor, ClientKey.client_id)
        )
    )
    if wrapped is None:
        raise NotFound
    return open_client_key(wrapped, client_id, "client", client_id)


def open_client(row: sa.Row[*tuple[Any, ...]]) -> tuple[ClientRecord, DataKey]:
    """Open a client and their key, from a row of `select_client_with_key`."""
    key = open_client_key(row.wrapped, row.id, "client", row.id)
    return unseal_client(entity_from_row(row, Client), key), key


@cache
def select_client_with_key(role: Role) -> sa.Select[*tuple[Any, ...]]:
    """Build, once for each role, the query for a visible client with their key."""
    return (
        sa.select(*Client.__table__.c, ClientKey.wrapped)
        .join(ClientKey, ClientKey.client_id == Client.id)
        .where(
            Client.id == sa.bindparam("client"),
            is_visible_client(role, sa.bindparam("asks"), Client.id),
        )
    )


def dump_client(client: ClientDetails | ClientRecord) -> dict[str, Any]:
    """Return a client's details by the fields of `ClientSchema`, with dates as ISO texts."""
    names = ("name", "preferred_name", "pronouns", "email", "phone", "partner_name", "birth_year")
    return {
        **{name: getattr(client, name) for name in names},
        "language": client.language,
        "safe_channels": list(client.safe.channels),
        "safe_times": client.safe.times,
        "code_word": client.safe.code_word,
        "safe_warning": client.safe.warning,
        "consent_on": client.consent_on.isoformat() if client.consent_on else None,
        "consent_method": client.consent_method,
    }


def unseal_client(client: Client, key: DataKey) -> ClientRecord:
    """Unseal a loaded client."""
    safe = unseal_json(client, "safe_contact", key) or {"channels": []}
    year = unseal_column(client, "birth_year", key)
    return ClientRecord(
        id=client.id,
        name=client.name,
        preferred_name=client.preferred_name,
        pronouns=client.pronouns,
        email=unseal_column(client, "email", key),
        phone=unseal_column(client, "phone", key),
        partner_name=unseal_column(client, "partner_name", key),
        birth_year=int(year) if year else None,
        safe=SafeContact(**{**safe, "channels": tuple(safe["channels"])}),
        consent_on=client.consent_on,
        consent_method=client.consent_method,
        language=client.language,
        contact_confirmed_at=client.contact_confirmed_at,
        contact_confirmed_by=client.contact_confirmed_by,
        created_at=client.created_at,
        version=client.version,
        consent_version=client.consent_version,
        consent_withdrawn_on=client.consent_withdrawn_on,
    )


def get_client_record(actor: Actor, client_id: UUID) -> ClientRecord:
    """Return a client, unsealed, with one statement.

    Raises NotFound.
    """
    require(actor, Action.CLIENT_READ)
    return _get_client_with_key(actor, client_id)[0]


def get_client_under_key(key: DataKey) -> ClientRecord:
    """Load the client whose key this is; access was already checked."""
    return unseal_client(db.session.get_one(Client, key.client_id), key)


def find_coach_id(client_id: UUID) -> UUID | None:
    """Return the coach of a client with an active account who has been so for the longest time, or None."""
    return db.session.scalar(
        sa.select(User.id)
        .join(CareTeamMember, CareTeamMember.user_id == User.id)
        .where(
            CareTeamMember.client_id == client_id,
            in_role(CareTeamMember, COACH),
            User.disabled_at.is_(None),
        )
        .order_by(CareTeamMember.starts_at, User.id)
        .limit(1)
    )


def get_client_names(ids: Iterable[Any]) -> dict[UUID, str]:
    """Return the names of some clients by id, with one statement."""
    found = db.session.execute(sa.select(Client.id, Client.name).where(Client.id.in_(set(ids))))
    names = {row.id: row.name for row in found}
    note_shown(names)
    return names
