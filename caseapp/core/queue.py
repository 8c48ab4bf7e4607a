"""The queue: one huey task delivers an outbox row, a second one sweeps up what was never taken."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from huey import SqliteHuey, crontab

from caseapp.core import outbox, settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager


def open_queue(context: Callable[[], AbstractContextManager[object]]) -> SqliteHuey:
    """Open the embedded queue in the data directory; its tasks run inside `context`."""
    queue = SqliteHuey("caseapp", filename=str(settings.active().data_dir / "queue.db"))

    @queue.task(name="deliver")  # type: ignore[untyped-decorator]
    def deliver(row: str) -> None:
        with context():
            outbox.deliver(UUID(hex=row))

    @queue.periodic_task(crontab(minute="*"), name="sweep")  # type: ignore[untyped-decorator]
    def sweep() -> None:
        with context():
            outbox.sweep()

    outbox.hand_over_with(lambda row_id: deliver(row_id.hex))
    return queue
