"""A circuit breaker for documents: after three failures a document is not rendered until it changes or is released.

Each failure appends one byte to a file named by the document's hash, so the count survives restarts and several
processes may add to it. The file contains nothing from the document.
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
# Failures of the machine or the queue, not of the document.
NOT_COUNTED = {"late", "not_ready"}


def failure_dir() -> Path:
    """Return the folder of the failure counts; deleting a file lets its document be tried again."""
    return settings.active().data_dir / "pdf-failed"


def list_quarantined() -> list[str]:
    """List the hashes of the documents that are no longer tried."""
    return sorted(
        path.name for path in failure_dir().glob("*") if path.stat().st_size >= MAX_FAILURES
    )


@contextmanager
def track_failures(document_hash: str) -> Iterator[None]:
    """Count a failure of the block for the document with this hash; delete the count on success.

    Raises RuleBroken when the document has failed too often, and RenderFailed while another process retries it.
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
            raise RenderFailed("This document is already being created.", "late") from None
        if len(held.read()) >= MAX_FAILURES:
            log.error("pdf.quarantined", document=document_hash)
            raise RuleBroken(
                Reason(
                    "document_quarantined",
                    f"This document failed {MAX_FAILURES} times and won't be tried again unchanged.",
                    "Change its content, or ask your administrator to look at it.",
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
