"""Table: intakes that were sent to a supervisor."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from caseapp.core.database import Model, between
from caseapp.core.ids import new_id


class Intake(Model):
    """What a coach entered about somebody new, until a supervisor has decided and the coach has opened the case.

    `words` are the client and the case, `about` the clients about whom a supervisor has decided. Both are sealed under
    the coach's own key, which is derived from key `ring_number` of the ring. `is_allowed` is None until the decision.
    """

    __tablename__ = "intake"
    __table_args__ = (sa.Index("ix_intake_asked_by", "asked_by", "asked_at"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    asked_by: Mapped[UUID] = mapped_column(sa.ForeignKey("user_account.id"))
    asked_at: Mapped[datetime]
    ring_number: Mapped[int] = mapped_column(info=between(1))
    words: Mapped[bytes]
    is_allowed: Mapped[bool | None]
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[UUID | None] = mapped_column(sa.ForeignKey("user_account.id"))
    about: Mapped[bytes | None]
