"""Tables of handout authoring: drafts and their revisions."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from caseapp.core.database import APPEND_ONLY, PRINTED, Model, between, one_of, unconstrained
from caseapp.core.ids import new_id
from caseapp.domain.handouts.library import LANGUAGES
from caseapp.domain.handouts.models import WHOLE_TEXT

DRAFT_STATES = ("draft", "in_review", "published", "discarded")
REVISION_KINDS = (
    "created",
    "saved",
    "submitted",
    "withdrawn",
    "returned",
    "published",
    "discarded",
)


class HandoutDraft(Model):
    """A draft of a practice handout; its source has the form of a published handout's and may be unfinished.

    `number` is the version number that the handout gets when the draft is published.
    """

    __tablename__ = "handout_draft"
    __table_args__ = (
        sa.CheckConstraint("slug LIKE 'own-%'", name="slug"),
        sa.Index(
            "uq_handout_draft_open",
            "slug",
            "language",
            unique=True,
            sqlite_where=sa.text("state IN ('draft', 'in_review')"),
            postgresql_where=sa.text("state IN ('draft', 'in_review')"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    slug: Mapped[str] = mapped_column(sa.String(60))
    language: Mapped[str] = mapped_column(sa.String(5), info=one_of(LANGUAGES))
    number: Mapped[int] = mapped_column(info=between(1))
    based_on: Mapped[str | None] = mapped_column(sa.String(60))
    title: Mapped[str] = mapped_column(sa.String(200))
    source: Mapped[str] = mapped_column(sa.Text, info=unconstrained(WHOLE_TEXT) | PRINTED)
    state: Mapped[str] = mapped_column(sa.String(10), info=one_of(DRAFT_STATES))
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    version: Mapped[int] = mapped_column(default=1, info=between(1))

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - SQLAlchemy's own form


class HandoutDraftRevision(Model):
    """One action on a draft: who, when, and the source at that moment; triggers refuse every later change."""

    __tablename__ = "handout_draft_revision"
    __table_args__ = (sa.UniqueConstraint("draft_id", "number"), {"info": APPEND_ONLY})

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    draft_id: Mapped[UUID] = mapped_column(sa.ForeignKey("handout_draft.id"))
    number: Mapped[int] = mapped_column(info=between(1))
    kind: Mapped[str] = mapped_column(sa.String(10), info=one_of(REVISION_KINDS))
    recorded_at: Mapped[datetime]
    recorded_by: Mapped[UUID] = mapped_column(sa.ForeignKey("user_account.id"))
    reason: Mapped[str | None] = mapped_column(sa.String(300))
    sha256: Mapped[str] = mapped_column(sa.String(64))
    source: Mapped[str] = mapped_column(sa.Text, info=unconstrained(WHOLE_TEXT) | PRINTED)
