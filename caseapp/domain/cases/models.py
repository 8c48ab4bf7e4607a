"""Models for cases, their events and the criteria that coaches attest."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from caseapp.core.database import Model
from caseapp.core.ids import new_id


class Case(Model):
    """A course of coaching. Whether it is on hold is derived from the client's holds and never stored."""

    __tablename__ = "coaching_case"
    __table_args__ = (
        sa.Index("ix_coaching_case_client", "client_id", "opened_at", "id"),
        sa.Index("ix_coaching_case_coach", "coach_id", "opened_at", "id"),
        sa.Index("ix_coaching_case_opened", "opened_at", "id"),
        sa.Index(
            "uq_coaching_case_open",
            "client_id",
            unique=True,
            sqlite_where=sa.text("status = 'open'"),
            postgresql_where=sa.text("status = 'open'"),
        ),
        sa.CheckConstraint("status IN ('open', 'closed')", name="status"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    number: Mapped[str] = mapped_column(sa.String(16), unique=True)
    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"))
    coach_id: Mapped[UUID] = mapped_column(sa.ForeignKey("user_account.id"))
    status: Mapped[str] = mapped_column(sa.String(8), default="open")
    stage: Mapped[str] = mapped_column(sa.String(12), default="steady")
    stage_since: Mapped[datetime]
    opened_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    goal: Mapped[str] = mapped_column(sa.String(12), default="undecided")
    goal_chosen_on: Mapped[date | None]
    review_date: Mapped[date | None]
    outcome: Mapped[str | None] = mapped_column(sa.String(24))
    close_reason: Mapped[str | None] = mapped_column(sa.String(24))
    final_screening: Mapped[str | None] = mapped_column(sa.String(12))
    follow_up_on: Mapped[date | None]
    facts: Mapped[bytes | None]
    version: Mapped[int] = mapped_column(default=1)

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - SQLAlchemy's own form


class CaseCounter(Model):
    """The last case number of a year, so that numbers are unique and reveal nothing about other coaches."""

    __tablename__ = "case_counter"

    year: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    last: Mapped[int]


class CaseEvent(Model):
    """An event of a case: opened, moved, closed or reopened."""

    __tablename__ = "case_event"
    __table_args__ = (sa.Index("ix_case_event_case", "case_id", "occurred_at", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    case_id: Mapped[UUID] = mapped_column(sa.ForeignKey("coaching_case.id"))
    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"))
    kind: Mapped[str] = mapped_column(sa.String(10))
    from_stage: Mapped[str | None] = mapped_column(sa.String(12))
    to_stage: Mapped[str | None] = mapped_column(sa.String(12))
    occurred_at: Mapped[datetime]
    recorded_by: Mapped[UUID]
    reason: Mapped[bytes | None]


class Attestation(Model):
    """A coach's statement that a criterion is met, with sealed evidence."""

    __tablename__ = "attestation"
    __table_args__ = (sa.UniqueConstraint("case_id", "criterion"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    case_id: Mapped[UUID] = mapped_column(sa.ForeignKey("coaching_case.id"))
    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"))
    criterion: Mapped[str] = mapped_column(sa.String(60))
    evidence: Mapped[bytes]
    attested_at: Mapped[datetime]
    attested_by: Mapped[UUID]
