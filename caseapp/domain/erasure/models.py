"""Table: requests to erase a client's record, and what became of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from caseapp.core.database import Model, one_of
from caseapp.core.ids import new_id
from caseapp.domain.erasure.codes import GROUNDS, REFUSALS, STATES


class Erasure(Model):
    """A request to erase a client's record and how a second person decided; of an erased record, its certificate.

    Who the client was it never says. `counts` are the numbers of rows by area, `vault_keys` the ids of the vault keys
    that were listed then: as long as the operator keeps one of them, an earlier copy of the database opens.
    `keys_gone_at` is when none of them was listed any more. The row stays for ever. A merge is refused while one
    of the two clients has a request that waits; an erasure erases what was merged into the record too.

    `repeated_at` and `repeated_by` say that the record had come back with an earlier database and was erased again; the
    operator has no account. What that database didn't know is from the tombstone, whose hash `sha256` then is.
    Where the tombstone doesn't say who requested and decided, both are empty; without a ground it says nothing of
    the request, which was made by `requested_at`, the time of the erasure.
    """

    __tablename__ = "erasure"
    __table_args__ = (
        sa.Index(
            "uq_erasure_requested",
            "client_id",
            unique=True,
            sqlite_where=sa.text("state = 'requested'"),
            postgresql_where=sa.text("state = 'requested'"),
        ),
        sa.Index("ix_erasure_requested_at", "requested_at", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"))
    ground: Mapped[str | None] = mapped_column(sa.String(10), info=one_of(GROUNDS))
    state: Mapped[str] = mapped_column(sa.String(10), info=one_of(STATES))
    requested_at: Mapped[datetime]
    requested_by: Mapped[UUID | None] = mapped_column(sa.ForeignKey("user_account.id"))
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[UUID | None] = mapped_column(sa.ForeignKey("user_account.id"))
    refusal: Mapped[str | None] = mapped_column(sa.String(10), info=one_of(REFUSALS))
    counts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    vault_keys: Mapped[list[str]] = mapped_column(default=list)
    keys_gone_at: Mapped[datetime | None]
    repeated_at: Mapped[datetime | None]
    repeated_by: Mapped[UUID | None] = mapped_column(sa.ForeignKey("user_account.id"))
    sha256: Mapped[str | None] = mapped_column(sa.String(64))
