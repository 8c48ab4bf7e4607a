"""After-commit work: a row written in the same transaction as the change, delivered at least once.

Handlers live in the slice that owns the work; they must act once however often they run.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Mapped, mapped_column

from caseapp.core import runtime
from caseapp.core.clock import now
from caseapp.core.database import Model, db
from caseapp.core.ids import new_id
from caseapp.core.transaction import after_commit, transaction

if TYPE_CHECKING:
    from collections.abc import Callable

MIN_RETRY_DELAY = timedelta(seconds=15)
CLAIM_PERIOD = timedelta(minutes=5)
MAX_RETRY_DELAY = timedelta(hours=1)
MAX_ATTEMPTS = 12

log = structlog.get_logger()


class OutboxRow(Model):
    """A task to run after the commit; its payload holds record ids and never personal data."""

    __tablename__ = "outbox"
    __table_args__ = (sa.Index("ix_outbox_waiting", "delivered_at", "next_attempt_at"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    kind: Mapped[str] = mapped_column(sa.String(40))
    payload: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    next_attempt_at: Mapped[datetime]
    attempts: Mapped[int] = mapped_column(default=0)
    delivered_at: Mapped[datetime | None]


def register_handler(kind: str, handler: Callable[[UUID, dict[str, Any]], None]) -> None:
    """Name the function that does one kind of work; wired by the factory."""
    runtime.current().outbox_handlers[kind] = handler


def set_dispatcher(call: Callable[[UUID], None]) -> None:
    """Name how a committed row reaches the queue; wired by the factory."""
    runtime.current().dispatch = call


def enqueue(kind: str, payload: dict[str, Any]) -> UUID:
    """Write a piece of work in the open transaction; it is handed to the queue after the commit."""
    row = OutboxRow(kind=kind, payload=payload, created_at=now(), next_attempt_at=now())
    db.session.add(row)
    db.session.flush()
    row_id = row.id

    def dispatch() -> None:
        call = runtime.current().dispatch
        if call is None:
            return
        try:
            call(row_id)
        except Exception:  # noqa: BLE001 - the row is safe; the sweep takes it up
            log.warning("outbox.queue_unreachable", row=str(row_id))

    after_commit(dispatch)
    return row_id


def deliver(row_id: UUID) -> bool:
    """Do one row's work unless it is done, not due or in another worker's hands; tell whether it is done now.

    Taking a row puts it off for a while, so that two workers do not send the same mail side by side and a worker that
    dies leaves it for later. A fault puts it off too, twice as long each time, up to an hour.
    """
    with transaction() as session:
        row = session.get(OutboxRow, row_id, with_for_update=True, populate_existing=True)
        if row is None or row.delivered_at is not None:
            return True
        if row.next_attempt_at > now() or row.attempts >= MAX_ATTEMPTS:
            return False
        kind, payload, attempts = row.kind, row.payload, row.attempts
        row.attempts = attempts + 1
        row.next_attempt_at = now() + CLAIM_PERIOD
    try:
        runtime.current().outbox_handlers[kind](row_id, payload)
    except Exception as fault:  # noqa: BLE001 - any fault means: try again later
        wait = min(MAX_RETRY_DELAY, MIN_RETRY_DELAY * 2**attempts)
        log.warning("outbox.put_off", row=str(row_id), kind=kind, fault=type(fault).__name__)
        _update(row_id, next_attempt_at=now() + wait)
        return False
    _update(row_id, delivered_at=now())
    return True


def _update(row_id: UUID, **values: datetime) -> None:
    with transaction() as session:
        session.execute(sa.update(OutboxRow).where(OutboxRow.id == row_id).values(**values))


def sweep(limit: int = 100) -> int:
    """Deliver what is due and was never taken up; give the number done."""
    due = db.session.scalars(
        sa.select(OutboxRow.id)
        .where(
            OutboxRow.delivered_at.is_(None),
            OutboxRow.next_attempt_at <= now(),
            OutboxRow.attempts < MAX_ATTEMPTS,
        )
        .order_by(OutboxRow.next_attempt_at)
        .limit(limit)
    ).all()
    return sum(deliver(row_id) for row_id in due)
