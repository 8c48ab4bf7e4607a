"""Tables: the clients' keys and the key ring, each key wrapped by a vault key."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from caseapp.core.database import Model, between, one_of, unconstrained
from caseapp.core.ids import new_id
from caseapp.domain.keys.purposes import PURPOSES

IN_KEY_FILE = "The id of a key that is stored only in the operator’s key file."


class ClientKey(Model):
    """A client's data key, wrapped by a vault key. Deleting this row erases the client's sealed data."""

    __tablename__ = "client_key"

    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"), primary_key=True)
    wrapped: Mapped[bytes]
    wrapped_by: Mapped[str] = mapped_column(sa.String(16), info=unconstrained(IN_KEY_FILE))


class KeyRing(Model):
    """A random key of the installation for one purpose, wrapped by a vault key.

    The key in use is the one with the highest number that isn't retired; a retired one still opens what it sealed.
    """

    __tablename__ = "key_ring"

    purpose: Mapped[str] = mapped_column(sa.String(20), primary_key=True, info=one_of(PURPOSES))
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, info=between(1))
    wrapped: Mapped[bytes]
    wrapped_by: Mapped[str] = mapped_column(sa.String(16), info=unconstrained(IN_KEY_FILE))
    created_at: Mapped[datetime]
    retired_at: Mapped[datetime | None]


class WritingKey(Model):
    """The key of what a client wrote for nobody else: anything can be sealed to its public half, in hexadecimal.

    The other half is wrapped under key `ring_number` of the ring together with the client's PIN, and in a session
    together with its cookie, so that the database and the vault key never open it without one of them. A new
    invitation closes the key; then only the earlier PIN opens it. `pin_salt` holds how Argon2id stretches the PIN:
    parameters and salt, in the PHC format without the hash.
    """

    __tablename__ = "writing_key"
    __table_args__ = (
        sa.Index(
            "uq_writing_key_open",
            "client_id",
            unique=True,
            sqlite_where=sa.text("closed_at IS NULL"),
            postgresql_where=sa.text("closed_at IS NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"), index=True)
    public_key: Mapped[str] = mapped_column(sa.String(64))
    ring_number: Mapped[int] = mapped_column(info=between(1))
    pin_salt: Mapped[str] = mapped_column(sa.String(100))
    wrapped: Mapped[bytes]
    tries: Mapped[int] = mapped_column(default=0, info=between(0))
    """How often somebody has tried to open the closed key with an earlier PIN."""
    created_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
