"""Stored: a client's answers to a sheet, and files that came back with answers nobody could read out of them.

A file lies in the database, sealed like every other word of a client: destroying the client's key erases it, a backup
holds all or nothing, and there is no path or file name that anybody could reach for.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from caseapp.core.database import Model
from caseapp.core.ids import new_id


class AnswerSheet(Model):
    """Be the answers to one assignment: the client's own, and the copy of them that the coach may read, if any."""

    __tablename__ = "answer_sheet"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    assignment_id: Mapped[UUID] = mapped_column(sa.ForeignKey("assignment.id"), unique=True)
    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"), index=True)
    answers: Mapped[bytes]
    saved_at: Mapped[datetime]
    shared: Mapped[bytes | None]
    shared_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(default=1)

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - SQLAlchemy's own form


class ReturnedFile(Model):
    """Be a file that could not be read; the coach sees it once the client has sent it on, at `sent_at`."""

    __tablename__ = "returned_file"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    assignment_id: Mapped[UUID] = mapped_column(sa.ForeignKey("assignment.id"), index=True)
    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"), index=True)
    content: Mapped[bytes]
    size: Mapped[int]
    why: Mapped[str] = mapped_column(sa.String(12))
    received_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
