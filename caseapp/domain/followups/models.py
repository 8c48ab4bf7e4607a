"""Model for follow-ups."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from caseapp.core.database import Model, between, one_of, unconstrained
from caseapp.core.ids import new_id

ORIGIN_KINDS = ("person", "screening", "hold", "case")


class FollowUp(Model):
    """A task about a client. `kind` is a protocol task or `custom`, sealed; only a custom task has a title.

    A completed task has a sealed `result` (its code, method, time and who was told) and a sealed note, `outcome`. A
    task without a `result` was completed before results had codes. `previous_id` is the task that led to this one: the
    attempt before, or for a welfare check the last attempt. `episode_id` is the screening whose urgent answer or new
    concern asked for the task.
    """

    __tablename__ = "follow_up"
    __table_args__ = (
        sa.Index("ix_follow_up_client_open", "client_id", "completed_at", "due_at"),
        sa.Index("ix_follow_up_assigned_open", "assigned_to", "completed_at", "due_at"),
        sa.Index("ix_follow_up_origin", "origin_id"),
        sa.Index(
            "ix_follow_up_open",
            "due_at",
            "id",
            sqlite_where=sa.text("completed_at IS NULL"),
            postgresql_where=sa.text("completed_at IS NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"))
    kind: Mapped[bytes]
    title: Mapped[bytes | None]
    due_at: Mapped[datetime]
    not_before_at: Mapped[datetime | None]
    attempt: Mapped[int] = mapped_column(default=1, server_default="1", info=between(1))
    previous_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey("follow_up.id"))
    assigned_to: Mapped[UUID] = mapped_column(sa.ForeignKey("user_account.id"))
    origin_kind: Mapped[str] = mapped_column(
        sa.String(12), default="person", info=one_of(ORIGIN_KINDS)
    )
    origin_id: Mapped[UUID | None] = mapped_column(
        info=unconstrained("`origin_kind` says which table it refers to.")
    )
    episode_id: Mapped[UUID | None] = mapped_column(
        info=unconstrained("Screenings belong to the package above.")
    )
    created_at: Mapped[datetime]
    created_by: Mapped[UUID] = mapped_column(sa.ForeignKey("user_account.id"))
    completed_at: Mapped[datetime | None]
    completed_by: Mapped[UUID | None] = mapped_column(sa.ForeignKey("user_account.id"))
    result: Mapped[bytes | None]
    outcome: Mapped[bytes | None]
    version: Mapped[int] = mapped_column(default=1, info=between(1))

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - SQLAlchemy's own form
