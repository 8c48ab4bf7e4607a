"""The task queue: one task delivers an outbox row, periodic ones deliver what is due and delete expired files."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from huey import Huey, crontab
from huey.storage import SqliteStorage

from caseapp.core import outbox, pdf_cache, settings
from caseapp.core.sandbox import limit_hits

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from contextlib import AbstractContextManager


class QueueStorage(SqliteStorage):  # type: ignore[misc]
    """The queue's file, whose commits don't wait for the disk: SQLite's NORMAL, which is safe with a write-ahead log.

    A message that a power cut loses is only late: its row is stored, and the sweep of the next minute delivers it.
    """

    def _create_connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection = super()._create_connection()
        connection.execute("PRAGMA synchronous=1")
        return connection


def open_queue(
    context: Callable[[], AbstractContextManager[object]], remove_expired: Callable[[], object]
) -> Huey:
    """Open the embedded queue in the data directory; its tasks run inside `context`."""
    file = settings.active().data_dir / "queue.db"
    queue = Huey("caseapp", storage_class=QueueStorage, filename=str(file))

    @queue.task(name="deliver")  # type: ignore[untyped-decorator]
    def deliver(row: str) -> None:
        with context():
            outbox.deliver(UUID(hex=row))

    schedule_periodic_tasks(queue, context, remove_expired)
    outbox.set_dispatcher(lambda row_id: deliver(row_id.hex))
    return queue


def schedule_periodic_tasks(
    queue: Huey,
    context: Callable[[], AbstractContextManager[object]],
    remove_expired: Callable[[], object],
) -> None:
    """Let the worker deliver what is due each minute, and delete twice an hour what has expired."""

    @queue.periodic_task(crontab(minute="*"), name="sweep")  # type: ignore[untyped-decorator]
    def sweep() -> None:
        with context():
            outbox.sweep()

    @queue.periodic_task(crontab(minute="17"), name="sweep_pdfs")  # type: ignore[untyped-decorator]
    def sweep_pdfs() -> None:
        with context():
            pdf_cache.delete_expired()
            limit_hits.delete_expired()

    @queue.periodic_task(crontab(minute="47"), name="sweep_expired")  # type: ignore[untyped-decorator]
    def sweep_expired() -> None:
        with context():
            remove_expired()
