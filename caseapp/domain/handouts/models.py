"""Tables: published handout versions, their reviews, and hidden handouts."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from caseapp.core.database import PRINTED, Model, between, one_of, unconstrained
from caseapp.core.ids import new_id
from caseapp.domain.handouts.library import LANGUAGES

WHOLE_TEXT = "The full text of a handout. Its size is checked when it is read."


class HandoutVersion(Model):
    """A published version of a handout in one language; its text never changes, but it may be recalled."""

    __tablename__ = "handout_version"
    __table_args__ = (sa.UniqueConstraint("slug", "language", "number"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    slug: Mapped[str] = mapped_column(sa.String(60))
    language: Mapped[str] = mapped_column(sa.String(5), info=one_of(LANGUAGES))
    number: Mapped[int] = mapped_column(info=between(1))
    sha256: Mapped[str] = mapped_column(sa.String(64))
    source: Mapped[str] = mapped_column(sa.Text, info=unconstrained(WHOLE_TEXT) | PRINTED)
    published_at: Mapped[datetime]
    recalled_at: Mapped[datetime | None]
    recalled_by: Mapped[UUID | None] = mapped_column(sa.ForeignKey("user_account.id"))
    recall_reason: Mapped[str | None] = mapped_column(sa.String(300))


class HandoutVersionReview(Model):
    """A review of a handout version by a licensed clinician."""

    __tablename__ = "handout_version_review"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    handout_version_id: Mapped[UUID] = mapped_column(
        sa.ForeignKey("handout_version.id"), index=True
    )
    clinician: Mapped[str] = mapped_column(sa.String(120))
    reviewed_on: Mapped[date]
    recorded_at: Mapped[datetime]
    recorded_by: Mapped[UUID] = mapped_column(sa.ForeignKey("user_account.id"))


class HiddenHandout(Model):
    """A handout that the practice hides from its lists; assignments stay."""

    __tablename__ = "hidden_handout"

    slug: Mapped[str] = mapped_column(sa.String(60), primary_key=True)
    hidden_at: Mapped[datetime]
    hidden_by: Mapped[UUID] = mapped_column(sa.ForeignKey("user_account.id"))
