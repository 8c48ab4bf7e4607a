"""Table: the people who work in the practice."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from caseapp.core.database import PRINTED, Model, between, one_of
from caseapp.core.i18n import LANGUAGES
from caseapp.core.ids import new_id
from caseapp.core.permissions import STAFF_ROLES, Role


class User(Model):
    """A member of staff: coach, supervisor or admin."""

    __tablename__ = "user_account"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    email: Mapped[str] = mapped_column(sa.String(254), unique=True)
    name: Mapped[str] = mapped_column(sa.String(120), info=PRINTED)
    role: Mapped[str] = mapped_column(
        sa.String(12), info=one_of(role for role in Role if role in STAFF_ROLES)
    )
    supervisor_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey("user_account.id"), index=True)
    deputy_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey("user_account.id"))
    """Who is alerted when this supervisor doesn't acknowledge an alert."""
    phone: Mapped[str] = mapped_column(sa.String(30), default="", server_default=sa.text("''"))
    on_call_hours: Mapped[str] = mapped_column(
        sa.String(60), default="", server_default=sa.text("''")
    )
    language: Mapped[str | None] = mapped_column(sa.String(5), info=one_of(LANGUAGES))
    """The language of the mail that they get; None for the practice's."""
    needs_cosignature: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    """Whether a supervisor co-signs each note that this coach signs."""
    created_at: Mapped[datetime]
    disabled_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(default=1, info=between(1))

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - SQLAlchemy's own form
