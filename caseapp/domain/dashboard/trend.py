"""The trend of a client's levels: the last screenings, what changed since, and what happened at that time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from caseapp.domain.screening.events import ScreeningRecorded
from caseapp.domain.screening.protocol import ITEMS, Level
from caseapp.domain.screening.state import DerivedState, apply, find_errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from caseapp.domain.screening.history import SafetyHistory
    from caseapp.domain.screening.records import ScreeningRecord

TREND_LENGTH = 12
"""How many of the last screenings a trend shows."""
SHORTEST = timedelta(days=1)


@dataclass(frozen=True)
class Answered:
    """The level of an item at the time of a session."""

    asked_at: datetime
    level: int


@dataclass(frozen=True)
class Change:
    """The last change of an item's level in the time of a trend; `since` is the first session with the new level."""

    item: str
    before: int
    after: int
    since: datetime

    @property
    def is_worse(self) -> bool:
        """Tell whether the level is higher than before."""
        return self.after > self.before


@dataclass(frozen=True)
class ItemTrend:
    """The answers to an item in the time of a trend, oldest session first, and the level that counts now."""

    item: str
    answers: tuple[Answered, ...]
    level: int


@dataclass(frozen=True)
class Mark:
    """Something else that happened: a `session`, a `handout` that was assigned, a `safety` or `care` hold.

    `until` is when a hold was released, None while it is open.
    """

    kind: str
    begins_at: datetime
    until: datetime | None = None
    title: str = ""


@dataclass(frozen=True)
class Trend:
    """The last screenings of a client, oldest session first, with each item that was at watch or above since.

    `changes` are the worst first, then the newest. `marks` are the oldest first.
    """

    begins_at: datetime
    ends_at: datetime
    screenings: tuple[ScreeningRecord, ...]
    items: tuple[ItemTrend, ...]
    changes: tuple[Change, ...]
    marks: tuple[Mark, ...]

    def place(self, moment: datetime) -> float:
        """Return where a moment lies in the time of the trend, in percent."""
        share = (moment - self.begins_at) / (self.ends_at - self.begins_at)
        return round(100 * min(max(share, 0), 1), 2)


def build_trend(history: SafetyHistory, marks: Iterable[Mark], moment: datetime) -> Trend | None:
    """Build the trend of a client at a moment; None without a screening.

    `marks` are sessions and handouts; those of before are left out. The holds come from the history.
    """
    newest = sorted(history.screenings[:TREND_LENGTH], key=lambda found: found.session_at)
    if not newest:
        return None
    begins_at = newest[0].session_at
    ends_at = max(moment, newest[-1].session_at, begins_at + SHORTEST)
    counted = _list_counted(history)
    items = [
        ItemTrend(item.key, _list_answers(newest, item.key), answers[-1].level)
        for item in ITEMS
        if (answers := counted.get(item.key))
    ]
    raised = [item for item in items if any(found.level >= Level.WATCH for found in item.answers)]
    holds = [
        Mark(hold.kind, hold.opened_at, hold.released_at)
        for hold in history.holds.values()
        if not hold.in_error and (hold.released_at is None or hold.released_at >= begins_at)
    ]
    recent = [mark for mark in marks if mark.begins_at >= begins_at]
    return Trend(
        begins_at=begins_at,
        ends_at=ends_at,
        screenings=tuple(newest),
        items=tuple(sorted(raised, key=lambda item: -item.level)),
        changes=tuple(_list_changes(counted, begins_at)),
        marks=tuple(sorted([*holds, *recent], key=lambda mark: mark.begins_at)),
    )


def _list_answers(screenings: Iterable[ScreeningRecord], item: str) -> tuple[Answered, ...]:
    return tuple(
        Answered(screening.session_at, level)
        for screening in screenings
        if (level := screening.counting[item]) is not None
    )


def _list_counted(history: SafetyHistory) -> dict[str, list[Answered]]:
    """List, by item, the answers that counted one after another."""
    state, found = DerivedState(), dict[str, list[Answered]]()
    in_error = find_errors(history.events)
    for event in history.events:
        state = apply(state, event, in_error)
        if isinstance(event.fact, ScreeningRecorded):
            for item, answer in state.answers.items():
                if answer.screening_id == event.id:
                    answered = Answered(answer.session_at, answer.level)
                    found.setdefault(item, []).append(answered)
    return found


def _list_changes(counted: Mapping[str, list[Answered]], since: datetime) -> list[Change]:
    found = []
    for item, answers in counted.items():
        level, first = answers[-1].level, len(answers) - 1
        while first > 0 and answers[first - 1].level == level:
            first -= 1
        if first > 0 and answers[first].asked_at >= since:
            changed = Change(item, answers[first - 1].level, level, answers[first].asked_at)
            found.append(changed)
    newest_first = sorted(found, key=lambda change: change.since, reverse=True)
    return sorted(newest_first, key=lambda change: not change.is_worse)
