"""Stored: one task about one client."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from caseapp.core.database import Model
from caseapp.core.ids import new_id


class FollowUp(Model):
    """Be a task; `kind` is a word of the protocol or `own`, whose title is sealed."""

    __tablename__ = "follow_up"
    __table_args__ = (
        sa.Index("ix_follow_up_client_open", "client_id", "done_at", "due_at"),
        sa.Index("ix_follow_up_assigned_open", "assigned_to", "done_at", "due_at"),
        sa.Index("ix_follow_up_origin", "origin_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"))
    kind: Mapped[str] = mapped_column(sa.String(24))
    title: Mapped[bytes | None]
    due_at: Mapped[datetime]
    assigned_to: Mapped[UUID]
    origin_kind: Mapped[str] = mapped_column(sa.String(12), default="person")
    origin_id: Mapped[UUID | None]
    made_at: Mapped[datetime]
    made_by: Mapped[UUID]
    done_at: Mapped[datetime | None]
    done_by: Mapped[UUID | None]
    outcome: Mapped[bytes | None]
    version: Mapped[int] = mapped_column(default=1)

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - SQLAlchemy's own form
