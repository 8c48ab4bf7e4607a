"""Table: the merges of clients who had two records."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from caseapp.core.database import APPEND_ONLY, Model
from caseapp.core.ids import new_id


class ClientMerge(Model):
    """That a client's record was merged into another one's, by whom and why. Triggers refuse every change.

    `client_id` is the client whose record went, and `into_id` the one whose record stayed; the reason is sealed under
    the latter's key. At a further merge it stays as it is. At an erasure of either client it stays as well: it holds
    ids and a time, and the reason goes with the key.
    """

    __tablename__ = "client_merge"
    __table_args__ = ({"info": APPEND_ONLY},)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"), unique=True)
    into_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"), index=True)
    merged_at: Mapped[datetime]
    merged_by: Mapped[UUID] = mapped_column(sa.ForeignKey("user_account.id"))
    reason: Mapped[bytes]
