"""Which events of a case a timeline shows: their kinds, and the days between which they happened."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from caseapp.core.pagination import Window, page_window
from caseapp.domain.practice.queries import get_practice

KIND_LABELS = {
    "session": "Sessions",
    "contact": "Contact",
    "screening": "Screenings",
    "hold": "Holds",
    "plan": "Safety plans",
    "handout": "Handouts",
    "file": "Files",
    "stage": "Stages",
    "coach": "Changes of coach",
    "followup": "Follow-ups",
}
EVENT_KINDS = tuple(KIND_LABELS)
FIRST_DAY, LAST_DAY = date(1900, 1, 1), date(2199, 12, 31)
"""Between these days every day has a beginning in UTC, whatever the time zone."""


@dataclass(frozen=True)
class TimelineFilter:
    """The kinds of the events that a timeline shows, and the first and the last day of theirs; None means any."""

    kinds: frozenset[str] = frozenset(EVENT_KINDS)
    since: date | None = None
    until: date | None = None

    def make_window(self, cursor: str | None, limit: int) -> Window:
        """Return the window of a page, one row longer than the page; days are those of the practice's time zone.

        Raises Invalid for a cursor that this application did not create.
        """
        window, before = page_window(cursor, limit), None
        if self.until:
            # No id is less than zero, so that this is before everything of the next day.
            before = (_start_of_day(self.until + timedelta(days=1)), UUID(int=0))
        starts = [position for position in (window.before, before) if position]
        since = _start_of_day(self.since) if self.since else None
        return replace(window, before=min(starts, default=None), since=since)


EVERYTHING = TimelineFilter()


def _start_of_day(day: date) -> datetime:
    return datetime.combine(day, time(), ZoneInfo(get_practice().zone)).astimezone(UTC)


class TimelineFilterSchema(Schema):
    """The filters of a timeline, as its page, the API and the form for its PDF send them."""

    kind = fields.List(
        fields.String(validate=validate.OneOf(EVENT_KINDS)),
        metadata={"description": "A kind of event; may be repeated. Without it, all kinds."},
    )
    since = fields.Date(
        allow_none=True,
        validate=validate.Range(FIRST_DAY, LAST_DAY),
        metadata={"description": "The first day, in the time zone of the practice."},
    )
    until = fields.Date(
        allow_none=True,
        validate=validate.Range(FIRST_DAY, LAST_DAY),
        metadata={"description": "The last day, in the time zone of the practice."},
    )

    @validates_schema
    def _in_order(self, data: dict[str, Any], **_: object) -> None:
        since, until = data.get("since"), data.get("until")
        if since and until and until < since:
            raise ValidationError("The last day is before the first day.", "until")


def build_filter(found: dict[str, Any]) -> TimelineFilter:
    """Build the filter of a timeline from what TimelineFilterSchema loads."""
    kinds = frozenset(found.get("kind") or EVENT_KINDS)
    return TimelineFilter(kinds, found.get("since"), found.get("until"))
