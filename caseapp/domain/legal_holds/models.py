"""Table: legal holds on clients' records."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from caseapp.core.database import Model, one_of
from caseapp.core.ids import new_id
from caseapp.domain.legal_holds.codes import KINDS, LIFT_LABELS


class LegalHold(Model):
    """A legal hold: why a client's record has to be kept, who placed it, and who lifted it.

    It stands until `lifted_at`. Nothing is written about the matter, and what there is survives an erasure, which is
    possible once every hold was lifted. `lifted_by` is None where an erasure was repeated, which nobody decides.
    """

    __tablename__ = "legal_hold"
    __table_args__ = (
        sa.Index("ix_legal_hold_client", "client_id"),
        sa.Index("ix_legal_hold_placed", "placed_at", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"))
    kind: Mapped[str] = mapped_column(sa.String(14), info=one_of(KINDS))
    placed_at: Mapped[datetime]
    placed_by: Mapped[UUID] = mapped_column(sa.ForeignKey("user_account.id"))
    review_on: Mapped[date]
    lifted_at: Mapped[datetime | None]
    lifted_by: Mapped[UUID | None] = mapped_column(sa.ForeignKey("user_account.id"))
    lift_reason: Mapped[str | None] = mapped_column(sa.String(10), info=one_of(LIFT_LABELS))
