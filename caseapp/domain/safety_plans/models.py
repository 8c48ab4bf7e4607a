"""Table: the versions of clients' safety plans."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from caseapp.core.database import APPEND_ONLY, Model, between
from caseapp.core.ids import new_id


class SafetyPlan(Model):
    """A version of one of a client's plans. Triggers refuse every change; a correction is another version.

    `seq` numbers the versions of all plans of a client from 1. Which of the two forms it is, its text, and whether the
    client wants it in the portal are sealed together: each of them would tell what happened.
    """

    __tablename__ = "safety_plan"
    __table_args__ = (sa.UniqueConstraint("client_id", "seq"), {"info": APPEND_ONLY})

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"))
    seq: Mapped[int] = mapped_column(info=between(1))
    created_at: Mapped[datetime]
    created_by: Mapped[UUID] = mapped_column(sa.ForeignKey("user_account.id"))
    review_on: Mapped[date]
    content: Mapped[bytes]
