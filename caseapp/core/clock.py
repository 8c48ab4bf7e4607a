"""The only source of the current time. Times are stored in UTC and shown in the practice's time zone."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from caseapp.core import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

_pinned: ContextVar[datetime | None] = ContextVar("pinned_moment", default=None)


def now() -> datetime:
    """Return the current time in UTC."""
    return _pinned.get() or datetime.now(UTC)  # noqa: TID251 - this is the clock


def today(zone: str) -> date:
    """Return today's date in a time zone such as `Europe/London`."""
    return now().astimezone(ZoneInfo(zone)).date()


def get_week_start(day: date) -> date:
    """Return the Monday of the week of `day`."""
    return day - timedelta(days=day.weekday())


@contextmanager
def at(moment: datetime) -> Iterator[None]:
    """Make `now` return `moment` within the block, for the demo data and the tests.

    Raises RuntimeError in production, where records must have their real time.
    """
    if settings.active().env == "production":
        raise RuntimeError("The clock cannot be set in production.")
    token = _pinned.set(moment.astimezone(UTC))
    try:
        yield
    finally:
        _pinned.reset(token)
