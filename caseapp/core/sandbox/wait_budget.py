"""Waiting: how long one asker may wait for work apart, and the one seat in which a page may wait longer.

A page that is being made holds one of the server's few threads. If every one of them waited for a slow document at the
same time, nobody could write a note (REL-22); so a page waits a short while freely, and longer only in the seat, which
all processes of an installation share. Jobs and commands hold no page and need no seat.
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

FREELY = 2.0
"""Seconds that a page may wait without the seat."""


def seat() -> Path:
    """Say where the seat is: a file that whoever sits holds locked; the kernel frees it when its holder ends."""
    return settings.active().data_dir / "seat.lock"


class Waiting:
    """Be one asker's wait, from its beginning; leaving it frees the seat."""

    def __init__(self, patience: float) -> None:
        """Begin to count; take how many seconds it may last."""
        self.patience = patience
        self._began = time.monotonic()
        self._held = ExitStack()
        # What answers no request has no page to hold.
        self._may_stay = not request_id.get()

    def __enter__(self) -> Self:
        """Give the wait itself."""
        return self

    def __exit__(self, *_fault: object) -> None:
        """Stand up."""
        self._held.close()

    def left(self, at_least: float = 0) -> float:
        """Give the seconds to wait now; ask again when they have passed, since the seat may be there for more.

        Whatever may take `at_least` so many seconds from the beginning is waited for beyond one's patience. Raises
        TimeoutError once that is over, and when this is a page that has waited its short while and somebody else sits.
        """
        longest = max(self.patience, at_least)
        waited = time.monotonic() - self._began
        if waited >= longest:
            raise TimeoutError
        if not self._may_stay:
            if waited < FREELY:
                return min(FREELY, longest) - waited
            self._sit_down()
        return longest - waited

    def _sit_down(self) -> None:
        try:
            held = self._held.enter_context(seat().open("wb"))
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise TimeoutError from None
        self._may_stay = True
