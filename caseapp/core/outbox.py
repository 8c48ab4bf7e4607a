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

from caseapp.core.clock import now
from caseapp.core.database import Model, db
from caseapp.core.ids import new_id
from caseapp.core.transaction import after_commit, transaction

if TYPE_CHECKING:
    from collections.abc import Callable

SHORTEST_WAIT = timedelta(seconds=15)
TAKEN_FOR = timedelta(minutes=5)
LARGEST_WAIT = timedelta(hours=1)
GIVE_UP_AFTER = 12

log = structlog.get_logger()


class OutboxRow(Model):
    """Keep one piece of work until it is done; it names records and never holds words about a person."""

    __tablename__ = "outbox"
    __table_args__ = (sa.Index("ix_outbox_waiting", "done_at", "not_before"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    kind: Mapped[str] = mapped_column(sa.String(40))
    payload: Mapped[dict[str, Any]]
    made_at: Mapped[datetime]
    not_before: Mapped[datetime]
    tries: Mapped[int] = mapped_column(default=0)
    done_at: Mapped[datetime | None]


_handlers: dict[str, Callable[[UUID, dict[str, Any]], None]] = {}
_hand_over: list[Callable[[UUID], None]] = []


def handle(kind: str, handler: Callable[[UUID, dict[str, Any]], None]) -> None:
    """Name the function that does one kind of work; wired by the factory."""
    _handlers[kind] = handler


def hand_over_with(call: Callable[[UUID], None]) -> None:
    """Name how a committed row reaches the queue; wired by the factory."""
    _hand_over[:] = [call]


def put(kind: str, payload: dict[str, Any]) -> UUID:
    """Write a piece of work in the open transaction; it is handed to the queue after the commit."""
    row = OutboxRow(kind=kind, payload=payload, made_at=now(), not_before=now())
    db.session.add(row)
    db.session.flush()
    row_id = row.id

    def hand_over() -> None:
        for call in _hand_over:
            try:
                call(row_id)
            except Exception:  # noqa: BLE001 - the row is safe; the sweep takes it up
                log.warning("outbox.queue_unreachable", row=str(row_id))

    after_commit(hand_over)
    return row_id


def deliver(row_id: UUID) -> bool:
    """Do one row's work unless it is done, not due or in another worker's hands; tell whether it is done now.

    Taking a row puts it off for a while, so that two workers do not send the same mail side by side and a worker that
    dies leaves it for later. A fault puts it off too, twice as long each time, up to an hour.
    """
    with transaction() as session:
        row = session.get(OutboxRow, row_id, with_for_update=True, populate_existing=True)
        if row is None or row.done_at is not None:
            return True
        if row.not_before > now() or row.tries >= GIVE_UP_AFTER:
            return False
        kind, payload, tries = row.kind, row.payload, row.tries
        row.tries = tries + 1
        row.not_before = now() + TAKEN_FOR
    try:
        _handlers[kind](row_id, payload)
    except Exception as fault:  # noqa: BLE001 - any fault means: try again later
        wait = min(LARGEST_WAIT, SHORTEST_WAIT * 2**tries)
        log.warning("outbox.put_off", row=str(row_id), kind=kind, fault=type(fault).__name__)
        _note(row_id, not_before=now() + wait)
        return False
    _note(row_id, done_at=now())
    return True


def _note(row_id: UUID, **values: datetime) -> None:
    with transaction() as session:
        session.execute(sa.update(OutboxRow).where(OutboxRow.id == row_id).values(**values))


def sweep(limit: int = 100) -> int:
    """Deliver what is due and was never taken up; give the number done."""
    due = db.session.scalars(
        sa.select(OutboxRow.id)
        .where(
            OutboxRow.done_at.is_(None),
            OutboxRow.not_before <= now(),
            OutboxRow.tries < GIVE_UP_AFTER,
        )
        .order_by(OutboxRow.not_before)
        .limit(limit)
    ).all()
    return sum(deliver(row_id) for row_id in due)
