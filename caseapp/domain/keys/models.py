"""Tables: the clients' keys and the key ring, each key wrapped by a vault key."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from caseapp.core.database import Model, between, one_of, unconstrained
from caseapp.domain.keys.purposes import PURPOSES

IN_KEY_FILE = "The id of a key that is stored only in the operator's key file."


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
