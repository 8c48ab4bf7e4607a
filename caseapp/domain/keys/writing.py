"""Writing keys: what a client wrote for nobody else opens with their PIN, after a new invitation with the earlier one.

Which columns that is, they say themselves (`core.database.private`), so that nothing is left behind when it is sealed
anew. Argon2id stretches the PIN before this module sees it.
"""

from __future__ import annotations

import base64
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core.clock import now
from caseapp.core.database import Model, db
from caseapp.core.errors import NotFound
from caseapp.core.ids import new_id
from caseapp.core.sessions import Session
from caseapp.core.tokens import hash_token
from caseapp.core.transaction import separate_transaction
from caseapp.core.vault import (
    DataKey,
    PrivateKey,
    SealBroken,
    new_private_key,
    seal_bound,
    seal_private,
    unseal_bound,
    unseal_bytes,
    unseal_private,
)
from caseapp.domain.keys.models import WritingKey
from caseapp.domain.keys.queries import get_client_key, get_ring_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from typing import Any
    from uuid import UUID

MAX_TRIES = 100
"""How often somebody may try to open a closed key with an earlier PIN, of which there are a million."""


@dataclass(frozen=True)
class StretchedPin:
    """A PIN that Argon2id has stretched: its parameters and salt in the PHC format, and the result."""

    salt: str
    secret: bytes = field(repr=False)


def read_stretched(stored: str) -> StretchedPin:
    """Read a stored hash in the PHC format, which holds a stretched PIN."""
    salt, _, encoded = stored.rpartition("$")
    return StretchedPin(salt, base64.b64decode(encoded + "=" * (-len(encoded) % 4)))


def create_writing_key(client_id: UUID, pin: StretchedPin) -> PrivateKey:
    """Create a client's writing key, and seal to it what they wrote before there were writing keys.

    The caller holds the client's lock. Closed keys to which nothing is sealed any more are deleted.
    """
    _delete_unused(client_id)
    private = new_private_key(new_id(), get_ring_key("writing").number)
    db.session.add(
        WritingKey(
            id=private.id,
            client_id=client_id,
            public_key=private.public.hex(),
            ring_number=private.ring_number,
            pin_salt=pin.salt,
            wrapped=_wrap(private, client_id, _pin_secret(pin)),
            created_at=now(),
        )
    )
    db.session.flush()
    _seal_anew(client_id, None, private)
    return private


def close_writing_key(client_id: UUID, pin: StretchedPin | None) -> None:
    """Close a client's writing key for a new invitation; the caller holds the client's lock.

    A client who has not signed in since there are writing keys has none. What they wrote is sealed to one now, which
    their earlier PIN opens: `pin` is None when they have none.
    """
    is_open = sa.and_(WritingKey.client_id == client_id, WritingKey.closed_at.is_(None))
    if pin is not None and db.session.scalar(sa.select(WritingKey.id).where(is_open)) is None:
        create_writing_key(client_id, pin)
    db.session.execute(sa.update(WritingKey).where(is_open).values(closed_at=now()))


def rewrap_writing_key(private: PrivateKey, client_id: UUID, pin: StretchedPin) -> bool:
    """Wrap an opened key with another PIN; the earlier one no longer opens it. The caller holds the client's lock.

    Return False, having changed nothing, when it isn't the open key any more.
    """
    changed = db.session.execute(
        sa.update(WritingKey)
        .where(
            WritingKey.id == private.id,
            WritingKey.client_id == client_id,
            WritingKey.closed_at.is_(None),
        )
        .values(pin_salt=pin.salt, wrapped=_wrap(private, client_id, _pin_secret(pin)))
        .returning(WritingKey.id)
    ).scalar()
    return changed is not None


def find_pin_salt(client_id: UUID) -> str | None:
    """Return how to stretch the PIN of a client's open key; None without one."""
    return db.session.scalar(
        sa.select(WritingKey.pin_salt).where(
            WritingKey.client_id == client_id, WritingKey.closed_at.is_(None)
        )
    )


def open_writing_key(client_id: UUID, pin: StretchedPin) -> PrivateKey | None:
    """Open a client's writing key with their PIN; None when they have no open key.

    Raises SealBroken for another PIN, or when the key was changed.
    """
    row = db.session.scalar(
        sa.select(WritingKey).where(
            WritingKey.client_id == client_id, WritingKey.closed_at.is_(None)
        )
    )
    return None if row is None else unwrap_with_pin(row, pin)


def unwrap_with_pin(row: WritingKey, pin: StretchedPin) -> PrivateKey:
    """Open a key with the PIN that it was wrapped with.

    Raises SealBroken for another PIN, or when the key was changed.
    """
    return _unwrap(row.id, row.client_id, row.ring_number, row.wrapped, _pin_secret(pin))


def keep_in_session(private: PrivateKey, client_id: UUID, token: str) -> None:
    """Wrap an opened key for a session, so that only its cookie's token opens it."""
    wrapped = _wrap(private, client_id, _session_secret(token))
    db.session.execute(
        sa.update(Session)
        .where(Session.secret_hash == hash_token(token))
        .values(wrapped_writing_key=wrapped)
    )


def open_in_session(
    key_id: UUID, client_id: UUID, ring_number: int, wrapped: bytes, token: str
) -> PrivateKey:
    """Open a key that `keep_in_session` has wrapped.

    Raises SealBroken when it was changed or belongs to another session.
    """
    return _unwrap(key_id, client_id, ring_number, wrapped, _session_secret(token))


def find_public_key(client_id: UUID, moment: datetime) -> tuple[UUID, bytes] | None:
    """Return the id and public half of the writing key that a client had at this time, which may be closed since.

    What they typed in a form that was opened then is sealed to it, though the session has ended and whoever got new
    codes has another key. None for a client who has no writing key yet. Raises NotFound when the key of that time is
    gone; the caller holds the client's lock, so that it doesn't go meanwhile.
    """
    was_there = WritingKey.created_at <= moment
    row = db.session.execute(
        sa.select(WritingKey.id, WritingKey.public_key, was_there.label("was_there"))
        .where(WritingKey.client_id == client_id)
        .order_by(was_there.desc(), WritingKey.created_at.desc(), WritingKey.id.desc())
        .limit(1)
    ).first()
    if row is None:
        return None
    if not row.was_there:
        raise NotFound
    return row.id, bytes.fromhex(row.public_key)


def list_tries_left(client_id: UUID) -> list[int]:
    """List how many tries are left for each closed key to which something of a client is sealed."""
    tries = db.session.scalars(
        sa.select(WritingKey.tries).where(
            WritingKey.client_id == client_id, WritingKey.closed_at.is_not(None), _is_used()
        )
    )
    return [max(MAX_TRIES - tried, 0) for tried in tries]


def count_tries(client_id: UUID) -> Sequence[WritingKey]:
    """Count a try at each of a client's closed keys, in a transaction of its own; return them, newest first.

    Those that were tried MAX_TRIES times are left out: nothing opens them any more.
    """
    tried = sa.and_(
        WritingKey.client_id == client_id,
        WritingKey.closed_at.is_not(None),
        WritingKey.tries < MAX_TRIES,
    )
    with separate_transaction() as connection:
        ids = connection.scalars(
            sa.update(WritingKey)
            .where(tried)
            .values(tries=WritingKey.tries + 1)
            .returning(WritingKey.id)
        ).all()
    return db.session.scalars(
        sa.select(WritingKey).where(WritingKey.id.in_(ids)).order_by(WritingKey.created_at.desc())
    ).all()


def move_writing(client_id: UUID, closed: PrivateKey, current: PrivateKey) -> bool:
    """Seal everything of a closed key to the open one and delete the closed one; the caller holds the client's lock.

    Return False, having changed nothing, when `current` isn't the open key any more.
    """
    found = db.session.scalar(
        sa.select(WritingKey.id).where(
            WritingKey.client_id == client_id, WritingKey.closed_at.is_(None)
        )
    )
    if found != current.id:
        return False
    _seal_anew(client_id, closed, current)
    _delete_unused(client_id)
    return True


def list_keys_without_ring() -> list[UUID]:
    """List the clients with a writing key whose key of the ring is missing, so that no PIN opens it."""
    numbers = set(db.session.scalars(sa.select(WritingKey.ring_number).distinct()))
    missing = []
    for number in numbers:
        try:
            get_ring_key("writing", number)
        except LookupError:
            missing.append(number)
    return [
        *db.session.scalars(
            sa.select(WritingKey.client_id)
            .where(WritingKey.ring_number.in_(missing))
            .distinct()
            .order_by(WritingKey.client_id)
        )
    ]


def _private_columns() -> Iterator[tuple[sa.Table, sa.Column[Any]]]:
    for table in Model.metadata.sorted_tables:
        for column in table.columns:
            if "private" in column.info:
                yield table, column


def _seal_anew(client_id: UUID, source: PrivateKey | None, target: PrivateKey) -> None:
    """Seal everything of one key, or without it what is under the client's key still, to another one.

    A text that was changed in the database doesn't open; it stays as it is.
    """
    key = get_client_key(client_id)
    for table, column in _private_columns():
        held = table.c.writing_key_id == (source.id if source else None)
        if source is None:
            held = sa.and_(held, sa.text(column.info["private"]))
        rows = db.session.execute(
            sa.select(table.c.id, column).where(table.c.client_id == client_id, held)
        ).all()
        for row_id, sealed in rows:
            place = (table.name, column.name, row_id)
            with suppress(SealBroken):
                text = (
                    unseal_private(*place, sealed, source, key)
                    if source
                    else unseal_bytes(*place, sealed, key)
                )
                sealed_anew = seal_private(*place, text, target.public, key)
                db.session.execute(
                    sa.update(table)
                    .where(table.c.id == row_id)
                    .values({column.name: sealed_anew, "writing_key_id": target.id})
                )


def _is_used() -> sa.ColumnElement[bool]:
    """Build the SQL condition that something is sealed to a writing key."""
    used = (
        sa.exists().where(table.c.writing_key_id == WritingKey.id)
        for table, _ in _private_columns()
    )
    return sa.or_(*used)


def _delete_unused(client_id: UUID) -> None:
    db.session.execute(
        sa.delete(WritingKey).where(
            WritingKey.client_id == client_id,
            WritingKey.closed_at.is_not(None),
            sa.not_(_is_used()),
        )
    )


def _pin_secret(pin: StretchedPin) -> str:
    return f"pin\x1f{pin.secret.hex()}"


def _session_secret(token: str) -> str:
    return f"session\x1f{token}"


def _wrap(private: PrivateKey, client_id: UUID, label: str) -> bytes:
    key = _wrapping_key(private.ring_number, client_id, label)
    return seal_bound(private.secret, _binding(private.id, client_id), key)


def _unwrap(
    key_id: UUID, client_id: UUID, ring_number: int, wrapped: bytes, label: str
) -> PrivateKey:
    key = _wrapping_key(ring_number, client_id, label)
    return PrivateKey(key_id, ring_number, unseal_bound(wrapped, _binding(key_id, client_id), key))


def _wrapping_key(ring_number: int, client_id: UUID, label: str) -> DataKey:
    return DataKey(client_id, get_ring_key("writing", ring_number).derive(label))


def _binding(key_id: UUID, client_id: UUID) -> bytes:
    return f"writing_key\x1f{key_id.hex}\x1f{client_id.hex}".encode()
