"""Table: the disclosure log."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from caseapp.core.database import GUARDED, Model
from caseapp.core.ids import new_id


class Disclosure(Model):
    """An entry in a client's disclosure log. Triggers refuse every change; a correction is another entry.

    It only follows a client who is merged into another one. To whom, what and why are sealed together in `content`.
    """

    __tablename__ = "disclosure"
    __table_args__ = (
        sa.Index("ix_disclosure_client", "client_id", "recorded_at", "id"),
        {"info": GUARDED},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"))
    disclosed_on: Mapped[date]
    recorded_at: Mapped[datetime]
    recorded_by: Mapped[UUID] = mapped_column(sa.ForeignKey("user_account.id"))
    content: Mapped[bytes]
