"""Tables of bulk assignments and of the cases in each."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from caseapp.core.database import PRINTED, Model, between, one_of
from caseapp.core.ids import new_id
from caseapp.domain.handouts.library import CHANNELS, LANGUAGES

ITEM_STATES = WAITING, ASSIGNED, SKIPPED = "waiting", "assigned", "skipped"
FAILURES = CASE_NOT_FOUND, CREATOR_INACTIVE, FAILED = "case_not_found", "creator_inactive", "failed"
"""Why a case was skipped without looking at its client; these say nothing about them."""


class BulkAssignment(Model):
    """A request to assign one handout version to several clients; a job carries it out case by case."""

    __tablename__ = "bulk_assignment"
    __table_args__ = (sa.Index("ix_bulk_assignment_created_by", "created_by", "created_at"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    slug: Mapped[str] = mapped_column(sa.String(60))
    language: Mapped[str] = mapped_column(sa.String(5), info=one_of(LANGUAGES))
    handout_version_id: Mapped[UUID] = mapped_column(sa.ForeignKey("handout_version.id"))
    channel: Mapped[str] = mapped_column(sa.String(12), info=one_of(CHANNELS))
    due_on: Mapped[date | None]
    created_at: Mapped[datetime]
    created_by: Mapped[UUID] = mapped_column(sa.ForeignKey("user_account.id"))


class BulkAssignmentItem(Model):
    """One case of a bulk assignment: waiting, assigned or skipped, either for a `failure` or for `reasons`.

    `reasons` are codes, which tell about holds and flags, so they are sealed (`codes`). While the case waits, they are
    those that the coach confirmed. They are erased once it is assigned, and `message` once it is done.
    """

    __tablename__ = "bulk_assignment_item"
    __table_args__ = (
        sa.Index("ix_bulk_assignment_item_waiting", "bulk_assignment_id", "state", "id"),
        sa.Index("ix_bulk_assignment_item_client", "client_id"),
        sa.UniqueConstraint("bulk_assignment_id", "case_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    bulk_assignment_id: Mapped[UUID] = mapped_column(sa.ForeignKey("bulk_assignment.id"))
    case_id: Mapped[UUID] = mapped_column(sa.ForeignKey("coaching_case.id"))
    client_id: Mapped[UUID] = mapped_column(sa.ForeignKey("client.id"))
    message: Mapped[bytes | None] = mapped_column(info=PRINTED)
    confirmed: Mapped[bool]
    state: Mapped[str] = mapped_column(sa.String(10), info=one_of(ITEM_STATES))
    codes: Mapped[bytes | None]
    failure: Mapped[str | None] = mapped_column(sa.String(20), info=one_of(FAILURES))
    attempts: Mapped[int] = mapped_column(default=0, info=between(0))
    assignment_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey("assignment.id"))
    done_at: Mapped[datetime | None]
