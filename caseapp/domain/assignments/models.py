"""Table of assignments."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from caseapp.core.database import PRINTED, Model, between, one_of
from caseapp.core.ids import new_id
from caseapp.domain.cases.stages import stage_by_id
from caseapp.domain.handouts.library import CHANNELS


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
    position: Mapped[int] = mapped_column(info=between(1))
    stage: Mapped[str] = mapped_column(sa.String(12), info=one_of(stage_by_id()))
    channel: Mapped[str] = mapped_column(sa.String(12), info=one_of(CHANNELS))
    message: Mapped[bytes | None] = mapped_column(info=PRINTED)
    due_on: Mapped[date | None]
    assigned_at: Mapped[datetime]
    assigned_by: Mapped[UUID] = mapped_column(sa.ForeignKey("user_account.id"))
    opened_at: Mapped[datetime | None]
    read_at: Mapped[datetime | None]
    withdrawn_at: Mapped[datetime | None]
    withdrawn_by: Mapped[UUID | None] = mapped_column(sa.ForeignKey("user_account.id"))
    version: Mapped[int] = mapped_column(default=1, info=between(1))

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - SQLAlchemy's own form
