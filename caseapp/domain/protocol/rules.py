"""Times that the protocol sets. Pure functions."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from caseapp.domain.protocol.file import PROTOCOL

if TYPE_CHECKING:
    from datetime import datetime

    from caseapp.domain.protocol.data import Span

ACTIONS = {action.key: action for action in PROTOCOL.actions}


def due_at(kind: str, moment: datetime) -> datetime:
    """Return when a required action is due; `moment` is when what requires it is recorded.

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
    """Add a length of time to a moment."""
    if span.unit == "working_days":
        return add_working_days(moment, span.amount)
    return moment + timedelta(**{span.unit: span.amount})


def add_working_days(moment: datetime, days: int) -> datetime:
    """Add working days to a moment. Which days of the week count stands in the protocol."""
    while days:
        moment += timedelta(days=1)
        if moment.isoweekday() in PROTOCOL.working_days.weekdays:
            days -= 1
    return moment
