"""Stored: drafts of the practice's own handouts, with every step of each."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from caseapp.core.database import Model
from caseapp.core.ids import new_id


class HandoutDraft(Model):
    """Be a text of the practice's own on its way to an edition: a source like an edition's, perhaps unfinished."""

    __tablename__ = "handout_draft"
    __table_args__ = (
        sa.CheckConstraint("state IN ('draft', 'waiting', 'published', 'dropped')", name="state"),
        sa.CheckConstraint("slug LIKE 'own-%'", name="slug"),
        sa.Index(
            "uq_handout_draft_open",
            "slug",
            "language",
            unique=True,
            sqlite_where=sa.text("state IN ('draft', 'waiting')"),
            postgresql_where=sa.text("state IN ('draft', 'waiting')"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    slug: Mapped[str] = mapped_column(sa.String(60))
    language: Mapped[str] = mapped_column(sa.String(5))
    number: Mapped[int]
    based_on: Mapped[str | None] = mapped_column(sa.String(60))
    title: Mapped[str] = mapped_column(sa.String(200))
    source: Mapped[str] = mapped_column(sa.Text)
    state: Mapped[str] = mapped_column(sa.String(10))
    started_at: Mapped[datetime]
    changed_at: Mapped[datetime]
    version: Mapped[int] = mapped_column(default=1)

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - SQLAlchemy's own form


class HandoutDraftRevision(Model):
    """Say who did what to a draft, when, and what its text was then; triggers refuse every later change."""

    __tablename__ = "draft_step"
    __table_args__ = (sa.UniqueConstraint("draft_id", "number"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    draft_id: Mapped[UUID] = mapped_column(sa.ForeignKey("handout_draft.id"))
    number: Mapped[int]
    kind: Mapped[str] = mapped_column(sa.String(10))
    at: Mapped[datetime]
    by: Mapped[UUID]
    reason: Mapped[str | None] = mapped_column(sa.String(300))
    sha256: Mapped[str] = mapped_column(sa.String(64))
    source: Mapped[str] = mapped_column(sa.Text)
