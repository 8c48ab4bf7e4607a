"""Operations on keys: create a client's key, open the ring at the start, wrap everything under the first vault key."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import Reason, RuleBroken
from caseapp.core.transaction import after_commit, separate_transaction
from caseapp.core.vault import (
    DataKey,
    SealBroken,
    client_key_binding,
    derived_fingerprint_key,
    new_secret,
    ring_key_binding,
    unwrap_key,
    vault_key_ids,
    wrap_key,
    wrapping_key_id,
)
from caseapp.domain.keys.models import ClientKey, KeyRing
from caseapp.domain.keys.purposes import FINGERPRINT_PURPOSES, ONCE_DERIVED, PURPOSES, Purpose
from caseapp.domain.keys.queries import count_wrapped_keys, load_ring
from caseapp.domain.keys.rules import list_start_blockers

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy.engine import Connection

BATCH_SIZE = 500
Renewable = Literal["audit", "signatures"]
"""The purposes whose keys can be renewed: whatever is made under them holds their number."""
ADD_UNLESS_PRESENT = {
    name: dialect.insert(KeyRing.__table__).on_conflict_do_nothing()
    for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql))
}


def create_client_key(client_id: UUID) -> DataKey:
    """Create and store the key of a client whose row is stored already."""
    secret = new_secret()
    wrapped = wrap_key(secret, client_key_binding(client_id))
    db.session.add(ClientKey(client_id=client_id, wrapped=wrapped, wrapped_by=wrapping_key_id()))
    return DataKey(client_id, secret)


def open_ring() -> None:
    """Check that the listed vault keys open this database, then read the key ring, which is created if missing.

    Does nothing before `caseapp init` has made the tables. Raises RuleBroken when a stored key is wrapped by a vault
    key that isn't listed, since every client with such a key would fail, or when a key of the ring doesn't open.
    """
    if not sa.inspect(db.engine).has_table(KeyRing.__tablename__):
        return
    found = count_wrapped_keys()
    listed = vault_key_ids()
    if reasons := list_start_blockers(found.client_keys, found.ring_keys, listed):
        raise RuleBroken(*reasons)
    if found.ring_keys.total() < len(PURPOSES):
        with separate_transaction() as connection:
            _add_missing_keys(connection)
    try:
        load_ring()
    except SealBroken:
        raise RuleBroken(
            Reason(
                "key_ring_damaged",
                "A key of the installation was changed or moved in the database.",
                "Restore the table key_ring from a backup.",
            )
        ) from None


def _add_missing_keys(connection: Connection) -> None:
    """Create the first key of each purpose that has none.

    Several processes may do so at once: on SQLite the second one finds them all, on PostgreSQL the database keeps those
    of the first.
    """
    present = set(connection.scalars(sa.select(KeyRing.purpose)))
    derived = {} if present else _derived_secrets(connection)
    rows = []
    for purpose in PURPOSES:
        if purpose in present:
            continue
        wrapped = wrap_key(derived.get(purpose) or new_secret(), ring_key_binding(purpose, 1))
        rows.append(
            {
                "purpose": purpose,
                "number": 1,
                "wrapped": wrapped,
                "wrapped_by": wrapping_key_id(),
                "created_at": now(),
            }
        )
    if rows:
        connection.execute(ADD_UNLESS_PRESENT[connection.dialect.name].values(rows))


def _derived_secrets(connection: Connection) -> dict[Purpose, bytes]:
    """Return the keys of the hashes that an earlier release has stored; none for a new installation.

    That release derived them from its vault key, which is the one that wraps the clients' keys.
    """
    commonest = connection.scalar(
        sa.select(ClientKey.wrapped_by)
        .group_by(ClientKey.wrapped_by)
        .order_by(sa.func.count().desc())
        .limit(1)
    )
    if commonest is None:
        return {}
    return {
        FINGERPRINT_PURPOSES[kind]: derived_fingerprint_key(kind, commonest)
        for kind in ONCE_DERIVED
    }


def renew_ring_key(purpose: Renewable) -> int:
    """Create the next key of a purpose in the open transaction and retire the one in use; return its number.

    What was made under the one before is still verified with it.
    """
    number = 1 + (
        db.session.scalar(sa.select(sa.func.max(KeyRing.number)).where(KeyRing.purpose == purpose))
        or 0
    )
    db.session.execute(
        sa.update(KeyRing)
        .where(KeyRing.purpose == purpose, KeyRing.retired_at.is_(None))
        .values(retired_at=now())
    )
    db.session.add(
        KeyRing(
            purpose=purpose,
            number=number,
            wrapped=wrap_key(new_secret(), ring_key_binding(purpose, number)),
            wrapped_by=wrapping_key_id(),
            created_at=now(),
        )
    )
    db.session.flush()
    after_commit(load_ring)
    return number


@dataclass(frozen=True)
class RewrappedBatch:
    """What one batch of a rotation did: how many keys have a new wrapping, and the last client that it looked at."""

    rewrapped: int
    last_client_id: UUID


def rewrap_ring() -> int:
    """Wrap the keys of the ring under the first vault key; return how many were under another one."""
    new = wrapping_key_id()
    rows = db.session.execute(
        sa.select(KeyRing.purpose, KeyRing.number, KeyRing.wrapped).where(KeyRing.wrapped_by != new)
    ).all()
    for purpose, number, wrapped in rows:
        binding = ring_key_binding(purpose, number)
        db.session.execute(
            sa.update(KeyRing)
            .where(KeyRing.purpose == purpose, KeyRing.number == number, KeyRing.wrapped == wrapped)
            .values(wrapped=wrap_key(unwrap_key(wrapped, binding), binding), wrapped_by=new)
        )
    return len(rows)


def rewrap_client_keys(after: UUID | None) -> RewrappedBatch | None:
    """Wrap the next client keys, in order of their clients, under the first vault key; None when there are no more.

    The application may serve meanwhile, and several rotations may run at once: a key that has changed or was deleted
    since it was read is left alone. A key that doesn't open stays as it is; `keys check` names it.
    """
    new = wrapping_key_id()
    query = sa.select(ClientKey.client_id, ClientKey.wrapped).where(ClientKey.wrapped_by != new)
    if after is not None:
        query = query.where(ClientKey.client_id > after)
    rows = db.session.execute(query.order_by(ClientKey.client_id).limit(BATCH_SIZE)).all()
    if not rows:
        return None
    changes = []
    for client_id, wrapped in rows:
        binding = client_key_binding(client_id)
        with suppress(SealBroken):
            rewrapped = wrap_key(unwrap_key(wrapped, binding), binding)
            changes.append({"of": client_id, "before": wrapped, "rewrapped": rewrapped})
    if changes:
        db.session.connection().execute(
            sa.update(ClientKey.__table__)  # type: ignore[arg-type]
            .where(
                ClientKey.client_id == sa.bindparam("of"),
                ClientKey.wrapped == sa.bindparam("before"),
            )
            .values(wrapped=sa.bindparam("rewrapped"), wrapped_by=new),
            changes,
        )
    return RewrappedBatch(len(changes), rows[-1].client_id)
