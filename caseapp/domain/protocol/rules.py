"""Times that the protocol sets. Pure functions."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import TYPE_CHECKING

from caseapp.domain.protocol.file import PROTOCOL

if TYPE_CHECKING:
    from datetime import datetime

    from caseapp.domain.protocol.data import Span

ACTIONS = {action.key: action for action in PROTOCOL.actions}


def due_at(kind: str, moment: datetime) -> datetime:
    """Return when a required action is due; `moment` is when what requires it is recorded, in the practice's time zone.

    Raises ValueError for an action whose day is agreed on.
    """
    due = ACTIONS[kind].due
    if due is None:
        raise ValueError(kind)
    return add_span(moment, due)


def not_before(kind: str, moment: datetime) -> datetime | None:
    """Return the earliest time at which a required action can be done, or None; `moment` as in `due_at`."""
    earliest = ACTIONS[kind].not_before
    return add_span(moment, earliest) if earliest else None


def add_span(moment: datetime, span: Span) -> datetime:
    """Add a length of time to a moment; working days are counted in the time zone of the moment."""
    if span.unit == "working_days":
        return add_working_days(moment, span.amount)
    return moment.astimezone(UTC) + timedelta(**{span.unit: span.amount})


def add_working_days(moment: datetime, days: int) -> datetime:
    """Add working days to a moment, keeping the time of day in its time zone; holidays count like other days.

    The protocol says which days of the week are working days. From a Saturday or Sunday, one working day later is
    Monday.
    """
    while days:
        moment += timedelta(days=1)
        if moment.isoweekday() in PROTOCOL.working_days.weekdays:
            days -= 1
    return moment.astimezone(UTC)
