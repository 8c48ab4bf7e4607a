"""Table of assignments."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from caseapp.core.database import Model
from caseapp.core.ids import new_id


class Assignment(Model):
    """One handout version assigned to one client; it keeps pointing to that version."""

    __tablename__ = "assignment"
    __table_args__ = (
        sa.Index("ix_assignment_case", "case_id", "assigned_at", "id"),
        sa.Index("ix_assignment_client", "client_id", "assigned_at", "id"),
        sa.Index("ix_assignment_handout_version", "handout_version_id"),
        sa.UniqueConstraint("client_id", "position"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    case_id: Mapped[UUID] = mapped_column(sa.ForeignKey("coaching_case.id"))
    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"))
    handout_version_id: Mapped[UUID] = mapped_column(sa.ForeignKey("handout_version.id"))
    position: Mapped[int]
    stage: Mapped[str] = mapped_column(sa.String(12))
    channel: Mapped[str] = mapped_column(sa.String(12))
    message: Mapped[bytes | None]
    levels: Mapped[dict[str, Any]]
    due_on: Mapped[date | None]
    assigned_at: Mapped[datetime]
    assigned_by: Mapped[UUID]
    read_at: Mapped[datetime | None]
    withdrawn_at: Mapped[datetime | None]
    withdrawn_by: Mapped[UUID | None]
    version: Mapped[int] = mapped_column(default=1)

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - SQLAlchemy's own form
