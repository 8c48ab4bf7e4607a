"""Tables: exports, with who made each and its filters."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from caseapp.core.actor import OPERATOR_HAS_NO_ACCOUNT
from caseapp.core.database import Model, between, one_of, unconstrained
from caseapp.core.ids import new_id
from caseapp.domain.reports.codes import FORMATS


class Export(Model):
    """An export. Its file is built from the filters at each download, with the downloader's rights."""

    __tablename__ = "export"
    __table_args__ = (sa.Index("ix_export_created_at", "created_at", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    format: Mapped[str] = mapped_column(sa.String(4), info=one_of(FORMATS))
    filters: Mapped[dict[str, Any]]
    rows: Mapped[int] = mapped_column(info=between(0))
    created_at: Mapped[datetime]
    created_by: Mapped[UUID] = mapped_column(info=unconstrained(OPERATOR_HAS_NO_ACCOUNT))
