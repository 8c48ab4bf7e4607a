"""Worksheet responses, and uploads whose answers could not be read.

Uploads are stored sealed in the database: destroying the client's key erases them, a backup is complete, and no path
or file name can be guessed.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from caseapp.core.database import Model, between, one_of, private
from caseapp.core.ids import new_id
from caseapp.domain.worksheets.codes import UNREAD_REASONS


class WorksheetResponse(Model):
    """A client's answers to one assignment, sealed to their writing key, and the copy shared with the coach, if any."""

    __tablename__ = "worksheet_response"
    __table_args__ = (
        sa.Index(
            "ix_worksheet_response_unread",
            "shared_at",
            sqlite_where=sa.text("shared_at IS NOT NULL AND shared_read_at IS NULL"),
            postgresql_where=sa.text("shared_at IS NOT NULL AND shared_read_at IS NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    assignment_id: Mapped[UUID] = mapped_column(sa.ForeignKey("assignment.id"), unique=True)
    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"), index=True)
    writing_key_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey("writing_key.id"), index=True)
    answers: Mapped[bytes] = mapped_column(info=private())
    saved_at: Mapped[datetime]
    shared_answers: Mapped[bytes | None]
    shared_at: Mapped[datetime | None]
    shared_read_at: Mapped[datetime | None]
    """When a member of staff first opened the copy; None while nobody has."""
    version: Mapped[int] = mapped_column(default=1, info=between(1))

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - SQLAlchemy's own form


class WorksheetUpload(Model):
    """A file that could not be read; visible to the coach from `sent_at`.

    Until it is sent it is sealed to the client's writing key, from then on under the client's key.
    """

    __tablename__ = "worksheet_upload"
    __table_args__ = (
        sa.Index(
            "ix_worksheet_upload_unread",
            "sent_at",
            sqlite_where=sa.text("sent_at IS NOT NULL AND read_at IS NULL"),
            postgresql_where=sa.text("sent_at IS NOT NULL AND read_at IS NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    assignment_id: Mapped[UUID] = mapped_column(sa.ForeignKey("assignment.id"), index=True)
    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"), index=True)
    writing_key_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey("writing_key.id"), index=True)
    content: Mapped[bytes] = mapped_column(info=private("sent_at IS NULL"))
    size: Mapped[int] = mapped_column(info=between(0))
    reason: Mapped[str] = mapped_column(sa.String(12), info=one_of(UNREAD_REASONS))
    received_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    read_at: Mapped[datetime | None]
    """When a member of staff first opened the file; None while nobody has."""
