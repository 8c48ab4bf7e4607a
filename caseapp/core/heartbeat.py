"""The heartbeat of the worker: when it last passed on what was due, in a file of the data folder."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from caseapp.core import settings
from caseapp.core.clock import now

if TYPE_CHECKING:
    from pathlib import Path

# The worker looks every few seconds; a busy machine or a slow database may delay it.
MAX_SILENCE = timedelta(seconds=60)


def heartbeat_file() -> Path:
    """Return the file that holds the time of the last heartbeat."""
    return settings.active().data_dir / "worker.heartbeat"


def beat() -> None:
    """Store that the worker has just passed on what was due."""
    path = heartbeat_file()
    fresh = path.with_suffix(".new")
    fresh.write_text(now().isoformat(), encoding="ascii")
    fresh.replace(path)


def get_last_beat() -> datetime | None:
    """Return the time of the last heartbeat; None when no worker has run yet."""
    try:
        return datetime.fromisoformat(heartbeat_file().read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        return None


def is_alive() -> bool:
    """Tell whether the worker has been heard lately; a time ahead of a clock that was set back doesn't count."""
    last = get_last_beat()
    return last is not None and abs(now() - last) <= MAX_SILENCE
