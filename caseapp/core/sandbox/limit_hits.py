"""Documents that are left alone: three times within 24 hours they reached a limit of their own.

Only the limits of time, memory and length count, since no other document and no fault of the machine can make a
document reach them. Each time is a line in a file named by the document's hash, so the count survives restarts and
several processes may add to it. The file holds nothing of the document.
"""

from __future__ import annotations

import fcntl
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from caseapp.core import clock, settings
from caseapp.core.errors import Reason, RenderFailed, RuleBroken
from caseapp.core.i18n import lazy_gettext
from caseapp.core.sandbox.protocol import LATE, OWN_LIMITS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

log = structlog.get_logger()

MAX_HITS = 3
HIT_PERIOD = timedelta(hours=24)


def hit_dir() -> Path:
    """Return the folder of the counts; deleting a file lets its document be tried again."""
    return settings.active().data_dir / "pdf-failed"


def list_quarantined() -> list[str]:
    """List the hashes of the documents that are not tried now."""
    return sorted(path.name for path in hit_dir().glob("*") if _read_hits(path) >= MAX_HITS)


def delete_expired() -> None:
    """Delete the counts of documents that reached no limit in the last 24 hours."""
    for path in hit_dir().glob("*"):
        if not _read_hits(path):
            path.unlink(missing_ok=True)


@contextmanager
def count_limit_hits(document_hash: str) -> Iterator[None]:
    """Count when the block ends at a limit of the document with this hash; forget its count on success.

    Raises RuleBroken when the document is left alone, and RenderFailed while another process retries it.
    """
    count = hit_dir() / document_hash
    if not count.exists():
        with _count_hit(count):
            yield
        return
    with count.open(encoding="ascii") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RenderFailed(
                lazy_gettext("This document is already being created."), LATE
            ) from None
        if _count_hits(held.read()) >= MAX_HITS:
            log.error("pdf.quarantined", document=document_hash)
            raise RuleBroken(
                Reason(
                    "document_quarantined",
                    f"This document exceeded the limits on time, memory or pages {MAX_HITS} times and won’t be "
                    "tried again unchanged today.",
                    "Change its content, try again tomorrow, or ask your administrator to look at it.",
                )
            )
        with _count_hit(count):
            yield
        count.unlink(missing_ok=True)


def _read_hits(path: Path) -> int:
    # Another process may delete the file at the same moment.
    with suppress(FileNotFoundError):
        return _count_hits(path.read_text(encoding="ascii"))
    return 0


def _count_hits(lines: str) -> int:
    """Count the times of the last 24 hours among lines of seconds since 1970; earlier releases wrote dots."""
    oldest = (clock.now() - HIT_PERIOD).timestamp()
    return sum(line.isdecimal() and int(line) > oldest for line in lines.splitlines())


@contextmanager
def _count_hit(count: Path) -> Iterator[None]:
    try:
        yield
    except RenderFailed as fault:
        if fault.cause in OWN_LIMITS:
            count.parent.mkdir(parents=True, exist_ok=True)
            with count.open("a", encoding="ascii") as held:
                held.write(f"{clock.now().timestamp():.0f}\n")
        raise
