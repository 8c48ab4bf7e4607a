"""Models for screenings, holds and flags. A screening is never changed; a correction is a new row."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from caseapp.core.database import Model, between, one_of, unconstrained
from caseapp.core.ids import new_id
from caseapp.domain.screening.protocol import FLAG_LABELS, Level

LEVEL = between(min(Level), max(Level))
HOLD_KINDS = ("care", "safety")
FLAG_SOURCES = ("person", "screening", "facts")


class Screening(Model):
    """A recorded screening. Each level is 0 (none) to 3 (urgent), or NULL when the question was not asked."""

    __tablename__ = "screening"
    __table_args__ = (
        sa.Index("ix_screening_client_recorded_at", "client_id", "recorded_at", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"))
    recorded_at: Mapped[datetime]
    recorded_by: Mapped[UUID] = mapped_column(sa.ForeignKey("user_account.id"))
    note_id: Mapped[UUID | None] = mapped_column(
        info=unconstrained("If a draft is discarded, a screening recorded from it is kept.")
    )
    sleep: Mapped[int | None] = mapped_column(sa.SmallInteger, info=LEVEL)
    eating: Mapped[int | None] = mapped_column(sa.SmallInteger, info=LEVEL)
    caring: Mapped[int | None] = mapped_column(sa.SmallInteger, info=LEVEL)
    work: Mapped[int | None] = mapped_column(sa.SmallInteger, info=LEVEL)
    household: Mapped[int | None] = mapped_column(sa.SmallInteger, info=LEVEL)
    self_harm: Mapped[int | None] = mapped_column(sa.SmallInteger, info=LEVEL)
    harm_to_others: Mapped[int | None] = mapped_column(sa.SmallInteger, info=LEVEL)
    fear_at_home: Mapped[int | None] = mapped_column(sa.SmallInteger, info=LEVEL)
    substances: Mapped[int | None] = mapped_column(sa.SmallInteger, info=LEVEL)
    asked_alone: Mapped[bool]
    actions_taken: Mapped[list[str]]
    comment: Mapped[bytes | None]


class Hold(Model):
    """A pause of the coaching, `care` or `safety`; a client has at most one open hold of each kind."""

    __tablename__ = "hold"
    __table_args__ = (
        sa.Index(
            "uq_hold_open",
            "client_id",
            "kind",
            unique=True,
            sqlite_where=sa.text("released_at IS NULL"),
            postgresql_where=sa.text("released_at IS NULL"),
        ),
        sa.Index("ix_hold_client", "client_id", "opened_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"))
    kind: Mapped[str] = mapped_column(sa.String(8), info=one_of(HOLD_KINDS))
    opened_at: Mapped[datetime]
    opened_by: Mapped[UUID] = mapped_column(sa.ForeignKey("user_account.id"))
    reasons: Mapped[list[dict[str, Any]]]
    released_at: Mapped[datetime | None]
    released_by: Mapped[UUID | None] = mapped_column(sa.ForeignKey("user_account.id"))
    release_reason: Mapped[bytes | None]
    version: Mapped[int] = mapped_column(default=1, info=between(1))

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - SQLAlchemy's own form


class Flag(Model):
    """A lasting mark that decides which handouts are suitable; a client has at most one active flag of each kind."""

    __tablename__ = "flag"
    __table_args__ = (
        sa.Index(
            "uq_flag_active",
            "client_id",
            "kind",
            unique=True,
            sqlite_where=sa.text("cleared_at IS NULL"),
            postgresql_where=sa.text("cleared_at IS NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"))
    kind: Mapped[str] = mapped_column(sa.String(24), info=one_of(FLAG_LABELS))
    source: Mapped[str] = mapped_column(sa.String(12), info=one_of(FLAG_SOURCES))
    set_at: Mapped[datetime]
    set_by: Mapped[UUID] = mapped_column(sa.ForeignKey("user_account.id"))
    cleared_at: Mapped[datetime | None]
    cleared_by: Mapped[UUID | None] = mapped_column(sa.ForeignKey("user_account.id"))
    clear_reason: Mapped[bytes | None]
