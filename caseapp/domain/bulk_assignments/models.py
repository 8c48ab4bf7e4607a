"""Stored: givings, and what became of each of their cases."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from caseapp.core.database import Model
from caseapp.core.ids import new_id

WAITING, GIVEN, LEFT_OUT = "waiting", "given", "left_out"


class Giving(Model):
    """Be one wish to give one edition to several clients; a job carries it out case by case."""

    __tablename__ = "giving"
    __table_args__ = (sa.Index("ix_giving_made_by", "made_by", "made_at"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    slug: Mapped[str] = mapped_column(sa.String(60))
    language: Mapped[str] = mapped_column(sa.String(5))
    edition_id: Mapped[UUID] = mapped_column(sa.ForeignKey("edition.id"))
    channel: Mapped[str] = mapped_column(sa.String(12))
    due_on: Mapped[date | None]
    made_at: Mapped[datetime]
    made_by: Mapped[UUID]


class GivingItem(Model):
    """Be one case of a giving: waiting, given or left out; `reasons` are codes.

    While it waits, `reasons` are those that were confirmed; `line` is forgotten once it is done.
    """

    __tablename__ = "giving_item"
    __table_args__ = (
        sa.Index("ix_giving_item_waiting", "giving_id", "state", "id"),
        sa.Index("ix_giving_item_client", "client_id"),
        sa.UniqueConstraint("giving_id", "case_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    giving_id: Mapped[UUID] = mapped_column(sa.ForeignKey("giving.id"))
    case_id: Mapped[UUID] = mapped_column(sa.ForeignKey("coaching_case.id"))
    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"))
    line: Mapped[bytes | None]
    confirmed: Mapped[bool]
    state: Mapped[str] = mapped_column(sa.String(10))
    reasons: Mapped[list[str]]
    tries: Mapped[int] = mapped_column(default=0)
    assignment_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey("assignment.id"))
    done_at: Mapped[datetime | None]
