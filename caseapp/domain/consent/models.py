"""Tables: the texts of the practice that clients agree to, and the entries about each client's consent."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from caseapp.core.database import APPEND_ONLY, GUARDED, Model, between, one_of
from caseapp.core.i18n import LANGUAGES
from caseapp.core.ids import new_id
from caseapp.domain.consent.codes import IN_ERROR, KIND_LABELS, MAX_TEXT


class ConsentText(Model):
    """A published version of the practice's consent text in one language. Triggers refuse every change.

    Versions are numbered from 1; a version has one text in each of its languages. The number of the newest one is
    `Practice.consent_version` too.
    """

    __tablename__ = "consent_text"
    __table_args__ = (sa.UniqueConstraint("version", "language"), {"info": APPEND_ONLY})

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    version: Mapped[int] = mapped_column(info=between(1))
    language: Mapped[str] = mapped_column(sa.String(5), info=one_of(LANGUAGES))
    words: Mapped[str] = mapped_column(sa.String(MAX_TEXT))
    published_at: Mapped[datetime]
    published_by: Mapped[UUID] = mapped_column(sa.ForeignKey("user_account.id"))


class Consent(Model):
    """An entry about a client's consent: given or withdrawn on a day. Triggers refuse every change.

    It only follows a client who is merged into another one.
    `text_id` is the text that the client agreed to; None for a withdrawal, and where the practice had published none.
    How the client said it, and who told whom about a withdrawal, are sealed together in `content`. What intake
    recorded stays in `Client.consent_on` and `Client.consent_method`. An entry of the kind `in_error` says that the one
    in `corrects_id` was recorded in error, and why; each can be once.
    """

    __tablename__ = "consent"
    __table_args__ = (
        sa.Index("ix_consent_client", "client_id", "recorded_at", "id"),
        sa.UniqueConstraint("corrects_id"),
        {"info": GUARDED},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"))
    kind: Mapped[str] = mapped_column(sa.String(9), info=one_of((*KIND_LABELS, IN_ERROR)))
    text_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey("consent_text.id"))
    happened_on: Mapped[date]
    recorded_at: Mapped[datetime]
    recorded_by: Mapped[UUID] = mapped_column(sa.ForeignKey("user_account.id"))
    corrects_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey("consent.id"))
    content: Mapped[bytes]
