"""Stored: one note per session; once signed, triggers refuse every change."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from caseapp.core.database import Model
from caseapp.core.ids import new_id


class Note(Model):
    """Be a draft of its author's or a signed record; text and draft levels are sealed."""

    __tablename__ = "note"
    __table_args__ = (
        sa.Index("ix_note_case_session_at", "case_id", "session_at", "id"),
        sa.Index("ix_note_author_status", "author_id", "status", "updated_at"),
        sa.CheckConstraint("status IN ('draft', 'signed')", name="status"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    case_id: Mapped[UUID] = mapped_column(sa.ForeignKey("coaching_case.id"))
    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"))
    author_id: Mapped[UUID] = mapped_column(sa.ForeignKey("user_account.id"))
    format: Mapped[str] = mapped_column(sa.String(4))
    session_at: Mapped[datetime]
    minutes: Mapped[int | None] = mapped_column(sa.SmallInteger)
    modality: Mapped[str] = mapped_column(sa.String(12))
    status: Mapped[str] = mapped_column(sa.String(8), default="draft")
    sections: Mapped[bytes]
    draft_screening: Mapped[bytes | None]
    unrecorded_level: Mapped[int | None] = mapped_column(sa.SmallInteger)
    screening_id: Mapped[UUID | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    signed_at: Mapped[datetime | None]
    signed_by: Mapped[UUID | None]
    sha256: Mapped[str | None] = mapped_column(sa.String(64))
    version: Mapped[int] = mapped_column(default=1)

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - SQLAlchemy's own form
