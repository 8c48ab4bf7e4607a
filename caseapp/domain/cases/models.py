"""Models for cases, their events and the criteria that coaches attest."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from caseapp.core.database import Model, between, one_of, unconstrained
from caseapp.core.ids import new_id
from caseapp.domain.cases.facts import CLOSE_REASONS, FINAL_SCREENING, GOALS, OUTCOMES
from caseapp.domain.cases.stages import stage_by_id

STATUSES = ("open", "closed")
EVENT_KINDS = ("opened", "moved", "closed", "reopened", "handed_over")


class Case(Model):
    """A course of coaching. Whether it is on hold is derived from the client's holds and never stored."""

    __tablename__ = "coaching_case"
    __table_args__ = (
        sa.Index("ix_coaching_case_client", "client_id", "opened_at", "id"),
        sa.Index("ix_coaching_case_coach", "coach_id", "opened_at", "id"),
        sa.Index("ix_coaching_case_opened", "opened_at", "id"),
        sa.Index(
            "ix_coaching_case_stage",
            "stage",
            "client_id",
            sqlite_where=sa.text("status = 'open'"),
            postgresql_where=sa.text("status = 'open'"),
        ),
        sa.Index(
            "ix_coaching_case_updated",
            "updated_at",
            "id",
            sqlite_where=sa.text("status = 'open'"),
            postgresql_where=sa.text("status = 'open'"),
        ),
        sa.Index(
            "uq_coaching_case_open",
            "client_id",
            unique=True,
            sqlite_where=sa.text("status = 'open'"),
            postgresql_where=sa.text("status = 'open'"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    number: Mapped[str] = mapped_column(sa.String(16), unique=True)
    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"))
    coach_id: Mapped[UUID] = mapped_column(sa.ForeignKey("user_account.id"))
    status: Mapped[str] = mapped_column(sa.String(8), default="open", info=one_of(STATUSES))
    stage: Mapped[str] = mapped_column(sa.String(12), default="steady", info=one_of(stage_by_id()))
    stage_since: Mapped[datetime]
    opened_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    goal: Mapped[str] = mapped_column(sa.String(12), default="undecided", info=one_of(GOALS))
    goal_chosen_on: Mapped[date | None]
    review_date: Mapped[date | None]
    outcome: Mapped[str | None] = mapped_column(sa.String(24), info=one_of(OUTCOMES))
    close_reason: Mapped[str | None] = mapped_column(sa.String(24), info=one_of(CLOSE_REASONS))
    final_screening: Mapped[str | None] = mapped_column(sa.String(12), info=one_of(FINAL_SCREENING))
    follow_up_on: Mapped[date | None]
    facts: Mapped[bytes | None]
    version: Mapped[int] = mapped_column(default=1, info=between(1))

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - SQLAlchemy's own form


class CaseCounter(Model):
    """The last case number of a year, so that numbers are unique and reveal nothing about other coaches."""

    __tablename__ = "case_counter"

    year: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, info=between(1, 9999))
    last: Mapped[int] = mapped_column(info=between(1))


class CaseEvent(Model):
    """An event of a case: opened, moved, closed, reopened, or handed over from one coach to another."""

    __tablename__ = "case_event"
    __table_args__ = (sa.Index("ix_case_event_case", "case_id", "occurred_at", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    case_id: Mapped[UUID] = mapped_column(sa.ForeignKey("coaching_case.id"))
    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"))
    kind: Mapped[str] = mapped_column(sa.String(12), info=one_of(EVENT_KINDS))
    from_stage: Mapped[str | None] = mapped_column(sa.String(12), info=one_of(stage_by_id()))
    to_stage: Mapped[str | None] = mapped_column(sa.String(12), info=one_of(stage_by_id()))
    from_coach_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey("user_account.id"))
    to_coach_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey("user_account.id"))
    occurred_at: Mapped[datetime]
    recorded_by: Mapped[UUID] = mapped_column(sa.ForeignKey("user_account.id"))
    reason: Mapped[bytes | None]


class Attestation(Model):
    """A coach's statement at a move of a case that a criterion is met, with sealed evidence; the newest counts.

    A case that went back and moves on again gets another one: what was written at the first move stays with it.
    """

    __tablename__ = "attestation"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    case_id: Mapped[UUID] = mapped_column(sa.ForeignKey("coaching_case.id"), index=True)
    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"))
    criterion: Mapped[str] = mapped_column(
        sa.String(60),
        info=unconstrained(
            "The criteria come from the library; an attestation is kept even if its criterion is removed."
        ),
    )
    evidence: Mapped[bytes]
    attested_at: Mapped[datetime]
    attested_by: Mapped[UUID] = mapped_column(sa.ForeignKey("user_account.id"))
