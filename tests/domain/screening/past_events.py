"""Safety events of one client that no database holds: on which day what was recorded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from caseapp.domain.screening.events import HoldOpened, RecordedEvent, ScreeningRecorded

START = datetime(2026, 3, 2, 10, tzinfo=UTC)
CLIENT, COACH, HOLD = UUID(int=1), UUID(int=2), UUID(int=3)


def day(number):
    return START + timedelta(days=number)


def asked(on, *, recorded=None, since=None, **answers):
    """Return the moment and fact of a screening on a day; `recorded` is a later day on which it was recorded."""
    days = {} if since is None else dict.fromkeys(answers, since)
    fact = ScreeningRecorded(None, day(on), answers, asked_alone=True, lasting_since=days)
    return day(on if recorded is None else recorded), fact


def hold(on):
    """Return the moment and fact of a care hold about sleep."""
    reason = {"item": "sleep", "level": 2, "screening": str(UUID(int=9))}
    return day(on), HoldOpened("care", [reason])


def record(*facts):
    """Return the events that record facts at their moments, in this order; the n-th one has the id 100 + n."""
    return tuple(
        RecordedEvent(
            HOLD if isinstance(fact, HoldOpened) else UUID(int=100 + n),
            CLIENT,
            n,
            moment,
            COACH,
            fact,
        )
        for n, (moment, fact) in enumerate(facts, 1)
    )
