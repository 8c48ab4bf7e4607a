"""How long a caller may wait for a sandbox job, and the one slot in which a page request may wait longer.

A page request occupies one of the server's few threads. If all of them waited for slow documents at the same time,
nobody could write a note (REL-22). A page request therefore waits a short time freely and longer only in the slot,
which all processes of an installation share. Background jobs and commands occupy no thread and need no slot.
"""

from __future__ import annotations

import fcntl
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from caseapp.core import settings
from caseapp.core.logging import request_id

if TYPE_CHECKING:
    from pathlib import Path

FREE_WAIT_SECONDS = 2.0
"""Seconds that a page request may wait when it doesn't hold the slot."""


def slot_path() -> Path:
    """Return the slot's lock file; the kernel releases the lock when its holder exits."""
    return settings.active().data_dir / "slot.lock"


class WaitBudget:
    """The time one caller may wait, counted from its creation; leaving the context frees the slot."""

    def __init__(self, seconds: float) -> None:
        """Start the budget of so many seconds."""
        self.seconds = seconds
        self._started = time.monotonic()
        self._resources = ExitStack()
        # Outside a request no server thread is occupied.
        self._has_slot = not request_id.get()

    def __enter__(self) -> Self:
        """Return the budget."""
        return self

    def __exit__(self, *_fault: object) -> None:
        """Free the slot."""
        self._resources.close()

    def remaining(self, startup_allowance: float = 0) -> float:
        """Return the seconds to wait now; call again when they have passed, since the slot may allow more.

        `startup_allowance` raises the total to so many seconds, for a server that is starting. Raises TimeoutError
        when the time is over, and for a page request after its free time while another one holds the slot.
        """
        longest = max(self.seconds, startup_allowance)
        waited = time.monotonic() - self._started
        if waited >= longest:
            raise TimeoutError
        if not self._has_slot:
            if waited < FREE_WAIT_SECONDS:
                return min(FREE_WAIT_SECONDS, longest) - waited
            self._take_slot()
        return longest - waited

    def wait(self, seconds: float, startup_allowance: float = 0) -> None:
        """Sleep for so many seconds, or less when less remains; raises TimeoutError as `remaining` does."""
        time.sleep(min(seconds, self.remaining(startup_allowance)))

    def _take_slot(self) -> None:
        try:
            held = self._resources.enter_context(slot_path().open("wb"))
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise TimeoutError from None
        self._has_slot = True
