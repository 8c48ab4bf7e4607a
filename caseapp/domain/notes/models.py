"""Tables: session notes. Database triggers refuse every change of a signed note."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from caseapp.core.database import Model, between, one_of
from caseapp.core.ids import new_id
from caseapp.domain.notes.codes import FORMAT_LABELS, MAX_SESSION_MINUTES, MODALITIES


class Note(Model):
    """A session note in draft or signed; its text and the answers in a draft are sealed.

    `has_unrecorded` tells only that some of the answers are not recorded yet.
    """

    __tablename__ = "note"
    __table_args__ = (
        sa.Index("ix_note_case_session_at", "case_id", "session_at", "id"),
        sa.Index("ix_note_author_status", "author_id", "status", "updated_at"),
        sa.Index(
            "ix_note_draft",
            "created_at",
            "id",
            sqlite_where=sa.text("status = 'draft'"),
            postgresql_where=sa.text("status = 'draft'"),
        ),
        sa.Index(
            "ix_note_signed",
            "session_at",
            "id",
            sqlite_where=sa.text("status = 'signed'"),
            postgresql_where=sa.text("status = 'signed'"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    case_id: Mapped[UUID] = mapped_column(sa.ForeignKey("coaching_case.id"))
    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"), index=True)
    author_id: Mapped[UUID] = mapped_column(sa.ForeignKey("user_account.id"))
    format: Mapped[str] = mapped_column(sa.String(4), info=one_of(FORMAT_LABELS))
    session_at: Mapped[datetime]
    minutes: Mapped[int | None] = mapped_column(
        sa.SmallInteger, info=between(1, MAX_SESSION_MINUTES)
    )
    modality: Mapped[str] = mapped_column(sa.String(12), info=one_of(MODALITIES))
    status: Mapped[str] = mapped_column(
        sa.String(8), default="draft", info=one_of(("draft", "signed"))
    )
    sections: Mapped[bytes]
    draft_screening: Mapped[bytes | None]
    has_unrecorded: Mapped[bool] = mapped_column(default=False)
    # The constraint keeps the name of the table before: SQLite would copy every note to rename it.
    screening_id: Mapped[UUID | None] = mapped_column(
        sa.ForeignKey("safety_event.id", name="fk_note_screening_id_screening")
    )
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    signed_at: Mapped[datetime | None]
    signed_by: Mapped[UUID | None] = mapped_column(sa.ForeignKey("user_account.id"))
    sha256: Mapped[str | None] = mapped_column(sa.String(64))
    version: Mapped[int] = mapped_column(default=1, info=between(1))

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - SQLAlchemy's own form
