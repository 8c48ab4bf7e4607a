"""Table: the contact log."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from caseapp.core.database import GUARDED, Model, one_of
from caseapp.core.ids import new_id
from caseapp.domain.contacts.codes import IN_ERROR, KIND_LABELS, NO_SHOW


class Contact(Model):
    """An entry in a client's contact log. Triggers refuse every change but that it follows a client who is merged.

    An entry of the kind `in_error` says that the one in `corrects_id` was recorded in error; each can be once. How it
    happened, who cancelled and what somebody wrote are sealed together in `content`.
    """

    __tablename__ = "contact"
    __table_args__ = (
        sa.Index("ix_contact_client_happened_at", "client_id", "happened_at", "id"),
        sa.Index(
            "ix_contact_no_show",
            "happened_at",
            "id",
            sqlite_where=sa.text(f"kind = '{NO_SHOW}'"),
            postgresql_where=sa.text(f"kind = '{NO_SHOW}'"),
        ),
        sa.UniqueConstraint("corrects_id"),
        {"info": GUARDED},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"))
    kind: Mapped[str] = mapped_column(sa.String(9), info=one_of((*KIND_LABELS, IN_ERROR)))
    happened_at: Mapped[datetime]
    recorded_at: Mapped[datetime]
    recorded_by: Mapped[UUID] = mapped_column(sa.ForeignKey("user_account.id"))
    corrects_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey("contact.id"))
    content: Mapped[bytes]
