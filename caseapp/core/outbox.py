"""The transactional outbox: tasks stored with the change that causes them and delivered at least once.

Handlers are functions of `caseapp.jobs` and must be idempotent.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, mapped_column

from caseapp.core import runtime
from caseapp.core.clock import now
from caseapp.core.database import Model, between, db, run_for_each, unconstrained
from caseapp.core.ids import new_id
from caseapp.core.transaction import after_commit, transaction

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MIN_RETRY_DELAY = timedelta(seconds=15)
CLAIM_PERIOD = timedelta(minutes=5)
MAX_RETRY_DELAY = timedelta(hours=1)
MAX_ATTEMPTS = 12
# Clocks of two machines differ by less; a row from further ahead was stored before the clock was set back.
MAX_CLOCK_SKEW = timedelta(minutes=5)

NAMESPACE = UUID("5d0c6c0e-6a39-4b1d-9f0a-2f6f1c9f3a54")
"""What the ids of rows that are added once are made from, with their names."""

log = structlog.get_logger()


class OutboxRow(Model):
    """A task to run after the commit; its payload holds record ids, and personal data only sealed."""

    __tablename__ = "outbox"
    __table_args__ = (sa.Index("ix_outbox_waiting", "delivered_at", "next_attempt_at"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    kind: Mapped[str] = mapped_column(
        sa.String(40), info=unconstrained("Handlers are registered by kind when the app starts.")
    )
    payload: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    next_attempt_at: Mapped[datetime]
    attempts: Mapped[int] = mapped_column(default=0, info=between(0))
    delivered_at: Mapped[datetime | None]


INSERT_ROWS = sa.insert(OutboxRow.__table__)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Task:
    """A task to add: at once, or with a due time."""

    kind: str
    payload: dict[str, Any]
    due_at: datetime | None = None


def register_handler(kind: str, handler: Callable[[UUID, dict[str, Any]], None]) -> None:
    """Register the function that handles one kind of task."""
    runtime.current().outbox_handlers[kind] = handler


def set_dispatcher(call: Callable[[UUID], None]) -> None:
    """Set the function that passes a committed row to the queue."""
    runtime.current().dispatch = call


def enqueue(kind: str, payload: dict[str, Any], *, due_at: datetime | None = None) -> UUID:
    """Add a task in the open transaction.

    It is passed to the queue after the commit; with a due time the sweep delivers it then. Neither needs the process
    that added it.
    """
    return enqueue_all([Task(kind, payload, due_at)])[0]


def enqueue_all(tasks: Sequence[Task]) -> list[UUID]:
    """Add tasks in the open transaction with one statement, as `enqueue` adds one; return their ids.

    Raises RuntimeError outside a transaction.
    """
    if not tasks:
        return []
    ids, moment = [new_id() for _ in tasks], now()
    at_once = [row_id for row_id, task in zip(ids, tasks, strict=True) if task.due_at is None]
    after_commit(lambda: _dispatch(at_once))
    rows = [
        {
            "id": row_id,
            "kind": task.kind,
            "payload": task.payload,
            "created_at": moment,
            "next_attempt_at": task.due_at or moment,
        }
        for row_id, task in zip(ids, tasks, strict=True)
    ]
    run_for_each(INSERT_ROWS, rows)
    return ids


def _dispatch(row_ids: Sequence[UUID]) -> None:
    call = runtime.current().dispatch
    if call is None:
        return
    for row_id in row_ids:
        try:
            call(row_id)
        except Exception:  # noqa: BLE001 - the row is stored; the sweep will deliver it
            log.warning("outbox.queue_unreachable", row=str(row_id))


def enqueue_once(name: str, kind: str, payload: dict[str, Any], due_at: datetime) -> None:
    """Add a task with a due time in the open transaction, unless one with this name was ever added.

    However often and by however many processes it is called, the task runs once; the sweep delivers it when it is due.
    """
    insert = postgresql.insert if db.engine.dialect.name == "postgresql" else sqlite.insert
    row = {
        "id": uuid5(NAMESPACE, name),
        "kind": kind,
        "payload": payload,
        "created_at": now(),
        "next_attempt_at": due_at,
        "attempts": 0,
    }
    db.session.execute(insert(OutboxRow).values(row).on_conflict_do_nothing(index_elements=["id"]))


def deliver(row_id: UUID) -> bool:
    """Run one row's task unless it is delivered, not due or claimed by another worker; return whether it is delivered.

    Claiming a row postpones it for CLAIM_PERIOD, so that two workers do not send the same mail and the row of a worker
    that dies is retried later. An error postpones it too, twice as long each time, up to an hour.
    """
    with transaction() as session:
        row = session.get(OutboxRow, row_id, with_for_update=True, populate_existing=True)
        if row is None or row.delivered_at is not None:
            return True
        if not _is_due(row) or row.attempts >= MAX_ATTEMPTS:
            return False
        kind, payload, attempts = row.kind, row.payload, row.attempts
        row.attempts = attempts + 1
        row.next_attempt_at = now() + CLAIM_PERIOD
    try:
        runtime.current().outbox_handlers[kind](row_id, payload)
    except Exception as fault:  # noqa: BLE001 - any error means a retry
        wait = min(MAX_RETRY_DELAY, MIN_RETRY_DELAY * 2**attempts)
        log.warning("outbox.put_off", row=str(row_id), kind=kind, fault=type(fault).__name__)
        _update(row_id, next_attempt_at=now() + wait)
        return False
    _update(row_id, delivered_at=now())
    return True


def _is_due(row: OutboxRow) -> bool:
    """Tell whether a row's time has come, or the clock was set back: early does no harm, lost does."""
    moment = now()
    if row.attempts == 0 and row.created_at > moment + MAX_CLOCK_SKEW:
        return True
    return row.next_attempt_at <= moment


def _update(row_id: UUID, **values: datetime) -> None:
    with transaction() as session:
        session.execute(sa.update(OutboxRow).where(OutboxRow.id == row_id).values(**values))


def count_late(delay: timedelta) -> int:
    """Count the rows that wait although they were due longer ago than `delay`, or have failed since then."""
    limit = now() - delay
    found = db.session.scalar(
        sa.select(sa.func.count())
        .select_from(OutboxRow)
        .where(
            OutboxRow.delivered_at.is_(None),
            OutboxRow.created_at < limit,
            sa.or_(OutboxRow.attempts > 0, OutboxRow.next_attempt_at < limit),
        )
    )
    return found or 0


def sweep(limit: int = 100, *, kind: str | None = None) -> int:
    """Deliver up to `limit` rows that are due, of one kind or of all; return how many were delivered."""
    moment = now()
    is_due = sa.or_(
        OutboxRow.next_attempt_at <= moment,
        sa.and_(OutboxRow.attempts == 0, OutboxRow.created_at > moment + MAX_CLOCK_SKEW),
    )
    query = sa.select(OutboxRow.id).where(
        OutboxRow.delivered_at.is_(None), is_due, OutboxRow.attempts < MAX_ATTEMPTS
    )
    if kind is not None:
        query = query.where(OutboxRow.kind == kind)
    due = db.session.scalars(query.order_by(OutboxRow.next_attempt_at).limit(limit)).all()
    return sum(deliver(row_id) for row_id in due)
