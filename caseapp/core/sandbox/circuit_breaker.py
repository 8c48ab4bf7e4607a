"""Documents that fail again and again: tried three times, then not before they change or the operator says so.

Each failure is one more byte in a file that bears the document's hash, so that the count outlives the program and
several processes may add to it. There is nothing of the document in it.
"""

from __future__ import annotations

import fcntl
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog

from caseapp.core import settings
from caseapp.core.errors import Reason, RenderFailed, RuleBroken

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

log = structlog.get_logger()

MAX_FAILURES = 3
# These tell about the machine or the queue, not about the document.
NOT_COUNTED = {"late", "not_ready"}


def failure_dir() -> Path:
    """Say where the counts lie; removing one lets its document be tried again."""
    return settings.active().data_dir / "pdf-failed"


def list_quarantined() -> list[str]:
    """List the hashes of the documents that are not tried any more."""
    return sorted(path.name for path in failure_dir().glob("*") if path.stat().st_size >= MAX_FAILURES)


@contextmanager
def track_failures(document_hash: str) -> Iterator[None]:
    """Try the document that has this hash: count it when it fails, forget the count when it does not.

    Raises RuleBroken when it has failed too often, and RenderFailed when another process is trying it again just now.
    """
    count = failure_dir() / document_hash
    if not count.exists():
        with _count_failure(count):
            yield
        return
    with count.open("rb") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RenderFailed("This document is being tried again just now.", "late") from None
        if len(held.read()) >= MAX_FAILURES:
            log.error("pdf.quarantined", document=document_hash)
            raise RuleBroken(
                Reason(
                    "document_quarantined",
                    f"This document could not be made {MAX_FAILURES} times and is not tried again as it is.",
                    "Change what is in it, or ask whoever runs this program to look at it.",
                )
            )
        with _count_failure(count):
            yield
        count.unlink(missing_ok=True)


@contextmanager
def _count_failure(count: Path) -> Iterator[None]:
    try:
        yield
    except RenderFailed as fault:
        if fault.cause not in NOT_COUNTED:
            count.parent.mkdir(parents=True, exist_ok=True)
            with count.open("ab") as held:
                held.write(b".")
        raise
