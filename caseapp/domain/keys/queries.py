"""Queries for keys: a client's key, a key of the ring, and which vault keys wrap what is stored."""

from __future__ import annotations

import base64
import hmac
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core import reads, runtime
from caseapp.core.database import db
from caseapp.core.errors import NotFound
from caseapp.core.vault import (
    DataKey,
    RingKey,
    SealBroken,
    ring_key_binding,
    unwrap_client_key,
    unwrap_key,
)
from caseapp.domain.keys.models import ClientKey, KeyRing
from caseapp.domain.keys.purposes import FINGERPRINT_PURPOSES, FingerprintKind, Purpose

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

FINGERPRINT_BYTES = 16


def open_client_key(wrapped: bytes, client_id: UUID, kind: str, object_id: UUID) -> DataKey:
    """Unwrap a client's key to open a record, whose kind and id the log will name: everything that is read passes here.

    Raises SealBroken when the key belongs to another client or to a vault key that isn't listed.
    """
    reads.note_opened(client_id, kind, object_id)
    return unwrap_client_key(client_id, wrapped)


def open_listed_client_key(wrapped: bytes, client_id: UUID) -> DataKey:
    """Unwrap the key of a client of a list that `reads.note_shown` has noted.

    Raises SealBroken as `open_client_key` does, and ReadTooLate when the log has been written without the client.
    """
    reads.require_noted(client_id)
    return unwrap_client_key(client_id, wrapped)


def get_client_key(client_id: UUID) -> DataKey:
    """Load and open a client's key.

    Raises NotFound when the key was destroyed to erase the client.
    """
    wrapped = db.session.scalar(
        sa.select(ClientKey.wrapped).where(ClientKey.client_id == client_id)
    )
    if wrapped is None:
        raise NotFound
    return open_client_key(wrapped, client_id, "client", client_id)


def get_ring_key(purpose: Purpose, number: int | None = None) -> RingKey:
    """Return the key in use for a purpose, or the one with a number, with which something was sealed earlier.

    The ring is read once and kept for the application; a number that isn't known yet, since another process has just
    added it, has it read again. Raises LookupError when there is no such key.
    """
    kept = runtime.current()
    if (purpose, number) not in kept.ring:
        load_ring()
    try:
        return kept.ring[purpose, number]
    except KeyError:
        raise LookupError(f"There is no key for {purpose}. Run: caseapp init") from None


def list_secrets(purpose: Purpose) -> dict[int, bytes]:
    """List the keys of a purpose by their numbers, those that other processes have added too."""
    load_ring()
    return {
        number: key.secret
        for (of, number), key in runtime.current().ring.items()
        if of == purpose and number is not None
    }


def fingerprint(kind: FingerprintKind, value: str) -> str:
    """Return a keyed hash for exact look-ups (HMAC-SHA-256, 128 bits); useless without the vault key."""
    key = get_ring_key(FINGERPRINT_PURPOSES[kind])
    digest = hmac.digest(key.secret, value.encode(), "sha256")
    return base64.b32encode(digest[:FINGERPRINT_BYTES]).decode().rstrip("=").lower()


def load_ring() -> None:
    """Read the whole key ring and keep it for this application.

    Raises SealBroken when a key was changed or moved, or is wrapped by a vault key that isn't listed.
    """
    ring: dict[tuple[str, int | None], RingKey] = {}
    rows = db.session.execute(
        sa.select(KeyRing.purpose, KeyRing.number, KeyRing.wrapped, KeyRing.retired_at).order_by(
            KeyRing.number
        )
    )
    for purpose, number, wrapped, retired_at in rows:
        key = RingKey(purpose, number, unwrap_key(wrapped, ring_key_binding(purpose, number)))
        ring[purpose, number] = key
        if retired_at is None:
            ring[purpose, None] = key
    runtime.current().ring = ring


@dataclass(frozen=True)
class WrappedKeys:
    """How many stored keys each vault key wraps, by the vault key's id."""

    client_keys: Counter[str]
    ring_keys: Counter[str]

    def count_not_under(self, vault_key: str) -> int:
        """Count the keys that other vault keys than this one wrap."""
        total = self.client_keys + self.ring_keys
        return total.total() - total[vault_key]


def count_wrapped_keys() -> WrappedKeys:
    """Count the stored keys by the vault key that wraps them."""
    return WrappedKeys(_count_by_wrapping(ClientKey), _count_by_wrapping(KeyRing))


def _count_by_wrapping(table: type[ClientKey | KeyRing]) -> Counter[str]:
    rows = db.session.execute(
        sa.select(table.wrapped_by, sa.func.count().label("number")).group_by(table.wrapped_by)
    )
    return Counter({row.wrapped_by: row.number for row in rows})


@dataclass(frozen=True)
class RingItem:
    """A key of the ring without its secret."""

    purpose: str
    number: int
    wrapped_by: str
    created_at: datetime
    retired_at: datetime | None


def list_ring() -> list[RingItem]:
    """List the keys of the ring."""
    rows = db.session.execute(
        sa.select(
            KeyRing.purpose,
            KeyRing.number,
            KeyRing.wrapped_by,
            KeyRing.created_at,
            KeyRing.retired_at,
        ).order_by(KeyRing.purpose, KeyRing.number)
    )
    return [RingItem(*row) for row in rows]


def list_broken_client_keys() -> list[UUID]:
    """Open every client's key; list the clients whose key was changed or moved."""
    broken = []
    rows = db.session.execute(
        sa.select(ClientKey.client_id, ClientKey.wrapped).order_by(ClientKey.client_id)
    )
    for client_id, wrapped in rows:
        try:
            unwrap_client_key(client_id, wrapped)
        except SealBroken:
            broken.append(client_id)
    return broken
