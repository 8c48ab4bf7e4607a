"""Stored: one row per act; neither UPDATE nor DELETE reaches it (triggers on both databases)."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from caseapp.core.database import Model
from caseapp.core.ids import new_id


class AuditEntry(Model):
    """Hold ids, coded words and field names; never a name of a client or words about one.

    There are no foreign keys, so that history outlives its subjects.
    """

    __tablename__ = "audit_entry"
    __table_args__ = (
        sa.Index("ix_audit_entry_at", "at", "id"),
        sa.Index("ix_audit_entry_client", "client_id", "at"),
        sa.Index("ix_audit_entry_actor", "actor_id", "at"),
        # Which of what they were given a client has opened.
        sa.Index(
            "ix_audit_entry_by_client",
            "object_id",
            "at",
            sqlite_where=sa.text("actor_role = 'client'"),
            postgresql_where=sa.text("actor_role = 'client'"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    at: Mapped[datetime]
    actor_id: Mapped[UUID]
    actor_role: Mapped[str] = mapped_column(sa.String(12))
    via: Mapped[str] = mapped_column(sa.String(8))
    action: Mapped[str] = mapped_column(sa.String(40))
    outcome: Mapped[str] = mapped_column(sa.String(8))
    object_kind: Mapped[str] = mapped_column(sa.String(20))
    object_id: Mapped[UUID | None]
    client_id: Mapped[UUID | None]
    details: Mapped[dict[str, Any]]
    request: Mapped[str] = mapped_column(sa.String(32))
    once: Mapped[str | None] = mapped_column(sa.String(32), unique=True)
