"""Stored: each export that was asked for, by whom and with which filters."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from caseapp.core.database import Model
from caseapp.core.ids import new_id


class Export(Model):
    """Be one export; its file is made from the filters when it is fetched, with the fetcher's rights."""

    __tablename__ = "export"
    __table_args__ = (sa.Index("ix_export_created_at", "created_at", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    format: Mapped[str] = mapped_column(sa.String(4))
    filters: Mapped[dict[str, Any]]
    rows: Mapped[int]
    created_at: Mapped[datetime]
    created_by: Mapped[UUID]
