"""What is recorded about a client's safety: screenings, answers, holds and flags, and which sessions count."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from caseapp.domain.screening.protocol import ITEMS, LATE_AFTER, SCREENING_VALIDITY, Level

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date
    from uuid import UUID

# The clocks of two servers may differ by so much.
CLOCK_SKEW = timedelta(minutes=5)


def merge_levels(*found: Mapping[str, int | None]) -> dict[str, int]:
    """Return the highest level of each item that has one."""
    merged: dict[str, int] = {}
    for levels in found:
        for item, level in levels.items():
            if level is not None:
                merged[item] = max(level, merged.get(item, level))
    return merged


def is_valid(session_at: datetime, moment: datetime) -> bool:
    """Tell whether a session was at most 14 days before a moment, and not in its future."""
    return -CLOCK_SKEW <= moment - session_at <= SCREENING_VALIDITY


@dataclass(frozen=True)
class InError:
    """That a screening was recorded in error: when and by whom this was marked, and why."""

    marked_at: datetime
    marked_by: UUID
    reason: str = field(repr=False)
    marked_by_name: str = ""


@dataclass(frozen=True)
class EndedRecord:
    """That a circumstance has ended: when and by whom this was recorded, and why."""

    ended_at: datetime
    ended_by: UUID
    reason: str = field(repr=False)
    ended_by_name: str = ""


@dataclass(frozen=True)
class CircumstanceRecord:
    """A circumstance that was ticked, with the time of the newest session with it until it ended, if it has.

    `seq` is the place of the end among the client's safety events.
    """

    circumstance: str
    mentioned_at: datetime
    ended: EndedRecord | None = None
    seq: int = 0


@dataclass(frozen=True)
class ScreeningRecord:
    """A screening. `session_at` is when it was asked, `seq` its place among the client's safety events.

    `protocol` is the version of the protocol that was asked. `levels` are the answers; those of `at_least` count at
    least because of circumstances, also for an item that was not asked. One that was recorded `in_error` is shown and
    counts for nothing.
    """

    id: UUID
    client_id: UUID
    recorded_at: datetime
    recorded_by: UUID
    levels: dict[str, int | None]
    asked_alone: bool
    actions_taken: list[str]
    comment: str = field(repr=False)
    session_at: datetime
    seq: int
    protocol: int
    circumstances: list[str]
    at_least: dict[str, int]
    below_reason: str = field(repr=False)
    recorded_by_name: str = ""
    lasting_since: dict[str, date] = field(default_factory=dict)
    in_error: InError | None = None
    note_id: UUID | None = None

    @property
    def is_late(self) -> bool:
        """Tell whether the session was so long before the recording that it says nothing about now."""
        return self.recorded_at - self.session_at > LATE_AFTER

    def is_current(self, moment: datetime) -> bool:
        """Tell whether the session was at most 14 days before a moment, not in its future, and recorded in time."""
        return not self.is_late and is_valid(self.session_at, moment)

    def is_older_than(self, session_at: datetime) -> bool:
        """Tell whether the session was before another one.

        One that lay in the future when this screening was recorded is of a clock that ran ahead, so it doesn't count.
        """
        return self.session_at < session_at <= self.recorded_at

    @property
    def full(self) -> bool:
        """Tell whether every question was asked that the protocol had then."""
        return all(
            self.levels[item.key] is not None for item in ITEMS if item.since <= self.protocol
        )

    @property
    def counting(self) -> dict[str, int | None]:
        """Return the levels that count, by item: the answers, raised by circumstances."""
        return self.levels | merge_levels(self.levels, self.at_least)

    @property
    def above_watch(self) -> bool:
        """Tell whether a level that counts is concern or urgent."""
        return any((level or 0) > Level.WATCH for level in self.counting.values())

    @property
    def steady(self) -> bool:
        """Tell whether every question was asked in time and every answer is none or watch."""
        return not self.is_late and self.full and not self.above_watch


@dataclass(frozen=True)
class Answer:
    """The answer to an item that counts now: its level, the time of the session and whether the client was alone.

    `asked_at` is the time of the newest session in which the item was asked and recorded in time. It is later than
    `session_at` when an older session has raised the level, and None when there was only a session of long ago.
    """

    level: int
    session_at: datetime
    asked_alone: bool
    screening_id: UUID
    asked_at: datetime | None = None

    def is_current(self, moment: datetime) -> bool:
        """Tell whether the item was asked at most 14 days before a moment, and not in its future."""
        return self.asked_at is not None and is_valid(self.asked_at, moment)


@dataclass(frozen=True)
class Raised:
    """Since when an item has been at watch or above without an answer of none in between.

    `began_at` is the first session of that time. It is not before `ended_at`, the session of the last none or the
    release of the last hold about the item, if any. `reported_since` is since when the client said that it has lasted.
    The rest is who last wrote why this is no concern, when and why.
    """

    began_at: datetime
    ended_at: datetime | None = None
    reported_since: date | None = None
    declined_at: datetime | None = None
    declined_by: UUID | None = None
    declined_because: str = field(default="", repr=False)


@dataclass(frozen=True)
class Hold:
    """A pause of the coaching, `care` or `safety`; a client has at most one open hold of each kind.

    A reason is an answer: `item`, `level` and the id of the `screening`; one with `in_error` was recorded in error and
    is none any more. A hold without any reason left ended `in_error` at `released_at`, and nobody released it. `seq` is
    the place of the opening among the client's safety events. `second_person_id` is the supervisor who was named to
    release it. `allowed_handout` is the slug of the handout that a supervisor has allowed in a case during a care hold.
    """

    id: UUID
    client_id: UUID
    kind: str
    opened_at: datetime
    opened_by: UUID
    reasons: list[dict[str, Any]]
    version: int
    seq: int
    renewed_at: datetime | None = None
    released_at: datetime | None = None
    released_by: UUID | None = None
    release_reason: str | None = field(default=None, repr=False)
    in_error: bool = False
    second_person_id: UUID | None = None
    allowed_handout: str = ""
    allowed_case_id: UUID | None = None
    allowed_reason: str = field(default="", repr=False)
    allowed_by: UUID | None = None

    @property
    def standing(self) -> list[dict[str, Any]]:
        """List the reasons that were not recorded in error."""
        return [reason for reason in self.reasons if not reason.get("in_error")]

    @property
    def restored_at(self) -> datetime | None:
        """Return when the last reason began to count again that does so after a correction, or None."""
        times = (reason["restored_at"] for reason in self.standing if "restored_at" in reason)
        return max(map(datetime.fromisoformat, times), default=None)


@dataclass(frozen=True)
class Flag:
    """A lasting mark that decides which handouts are suitable; a client has at most one active flag of each kind.

    `source` says what set it: `person`, `screening` or `facts`. It `stands_alone` when a person or facts have set it
    after answers had. One that ended `in_error` at `cleared_at` was set by answers that were recorded in error.
    """

    id: UUID
    client_id: UUID
    kind: str
    source: str
    set_at: datetime
    set_by: UUID
    cleared_at: datetime | None = None
    cleared_by: UUID | None = None
    clear_reason: str | None = field(default=None, repr=False)
    stands_alone: bool = False
    in_error: bool = False
