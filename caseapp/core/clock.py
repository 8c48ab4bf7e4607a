"""The only clock. Times are kept in UTC and shown in the practice's zone."""

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
    """Tell the present moment in UTC."""
    return _pinned.get() or datetime.now(UTC)  # noqa: TID251 - this is the clock


def today(zone: str) -> date:
    """Tell today's date in a time zone such as `Europe/London`."""
    return now().astimezone(ZoneInfo(zone)).date()


def get_week_start(day: date) -> date:
    """Give the Monday of a day's week."""
    return day - timedelta(days=day.weekday())


@contextmanager
def at(moment: datetime) -> Iterator[None]:
    """Pretend that it is `moment`; only the demo's history and the tests may.

    Raises RuntimeError in production, where no record may be given another time.
    """
    if settings.active().env == "production":
        raise RuntimeError("The clock cannot be set in production.")
    token = _pinned.set(moment.astimezone(UTC))
    try:
        yield
    finally:
        _pinned.reset(token)
