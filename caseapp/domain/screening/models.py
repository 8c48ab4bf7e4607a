"""Stored: screenings, holds and flags; corrections are new rows, never changes."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from caseapp.core.database import Model
from caseapp.core.ids import new_id


class Screening(Model):
    """Be one recorded screening; each level is 0 none to 3 urgent, NULL where it was not asked."""

    __tablename__ = "screening"
    __table_args__ = (sa.Index("ix_screening_client_at", "client_id", "at", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"))
    at: Mapped[datetime]
    recorded_by: Mapped[UUID]
    note_id: Mapped[UUID | None]
    sleep: Mapped[int | None] = mapped_column(sa.SmallInteger)
    eating: Mapped[int | None] = mapped_column(sa.SmallInteger)
    caring: Mapped[int | None] = mapped_column(sa.SmallInteger)
    work: Mapped[int | None] = mapped_column(sa.SmallInteger)
    household: Mapped[int | None] = mapped_column(sa.SmallInteger)
    self_harm: Mapped[int | None] = mapped_column(sa.SmallInteger)
    harm_to_others: Mapped[int | None] = mapped_column(sa.SmallInteger)
    fear_at_home: Mapped[int | None] = mapped_column(sa.SmallInteger)
    substances: Mapped[int | None] = mapped_column(sa.SmallInteger)
    asked_alone: Mapped[bool]
    actions_taken: Mapped[list[str]]
    comment: Mapped[bytes | None]


class Hold(Model):
    """Be a pause of the coaching: `care` or `safety`; at most one of each kind is open."""

    __tablename__ = "hold"
    __table_args__ = (
        sa.Index(
            "uq_hold_open",
            "client_id",
            "kind",
            unique=True,
            sqlite_where=sa.text("cleared_at IS NULL"),
            postgresql_where=sa.text("cleared_at IS NULL"),
        ),
        sa.Index("ix_hold_client", "client_id", "opened_at"),
        sa.CheckConstraint("kind IN ('care', 'safety')", name="kind"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"))
    kind: Mapped[str] = mapped_column(sa.String(8))
    opened_at: Mapped[datetime]
    opened_by: Mapped[UUID]
    reasons: Mapped[list[dict[str, Any]]]
    cleared_at: Mapped[datetime | None]
    cleared_by: Mapped[UUID | None]
    clear_reason: Mapped[bytes | None]
    version: Mapped[int] = mapped_column(default=1)

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - SQLAlchemy's own form


class Flag(Model):
    """Be a lasting mark that decides which advice is safe; at most one of each kind is up."""

    __tablename__ = "flag"
    __table_args__ = (
        sa.Index(
            "uq_flag_up",
            "client_id",
            "kind",
            unique=True,
            sqlite_where=sa.text("lowered_at IS NULL"),
            postgresql_where=sa.text("lowered_at IS NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"))
    kind: Mapped[str] = mapped_column(sa.String(24))
    source: Mapped[str] = mapped_column(sa.String(12))
    raised_at: Mapped[datetime]
    raised_by: Mapped[UUID]
    lowered_at: Mapped[datetime | None]
    lowered_by: Mapped[UUID | None]
    lower_reason: Mapped[bytes | None]
