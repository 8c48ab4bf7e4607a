"""Table: process notes."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from caseapp.core.database import Model, between
from caseapp.core.ids import new_id


class ProcessNote(Model):
    """What its author wrote about a case for themselves alone; each author has one for a case.

    It is sealed under key `ring_number` of the ring, of which each author has a key of their own, combined with the
    client's key: destroying that one destroys it.
    """

    __tablename__ = "process_note"
    __table_args__ = (sa.UniqueConstraint("case_id", "author_id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"), index=True)
    case_id: Mapped[UUID] = mapped_column(sa.ForeignKey("coaching_case.id"))
    author_id: Mapped[UUID] = mapped_column(sa.ForeignKey("user_account.id"))
    ring_number: Mapped[int] = mapped_column(info=between(1))
    content: Mapped[bytes]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    version: Mapped[int] = mapped_column(default=1, info=between(1))

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - SQLAlchemy's own form
