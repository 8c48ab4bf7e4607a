"""What is known of a client, as the model keeps it: screenings, answers, holds, required actions and cases."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.guarantees.safety_model.sources import (
    CARE_ACTIONS,
    CONCERN,
    DECIDED_WHEN_DECLINED,
    FLAGS_SET,
    ITEMS,
    LATE,
    NONE,
    RAISED_BY,
    SAFETY_ACTIONS,
    SAFETY_ITEMS,
    SPOKEN_TO,
    URGENT,
    URGENT_ACTIONS,
    WATCH,
    opens_safety_hold,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from uuid import UUID


@dataclass(frozen=True)
class Screening:
    """Answers to some items at one session."""

    number: int
    by: UUID
    levels: dict[str, int]
    alone: bool
    session_at: datetime
    recorded_at: datetime
    repeats: frozenset[str] = frozenset()
    """Items and circumstances whose answers of this session were recorded before: they require nothing twice."""

    ticked: frozenset[str] = frozenset()
    raised: dict[str, dict[str, int]] = field(default_factory=dict)
    """What each circumstance raises items to, also items that weren't asked."""

    @property
    def at_least(self) -> dict[str, int]:
        """Return what circumstances raise items to."""
        return highest(self.raised.values())

    behind: bool = False
    """Recorded by a clock that was set back: what came before it has a later time."""

    @property
    def counting(self) -> dict[str, int]:
        """Return the levels that count: the answers, or what circumstances raise them to."""
        return highest([self.levels, *self.raised.values()])

    @property
    def new_levels(self) -> dict[str, int]:
        """Return the levels that were not recorded before."""
        answers = {key: level for key, level in self.levels.items() if key not in self.repeats}
        found = [answers]
        for name, raised in self.raised.items():
            is_new = name not in self.repeats
            # One that depends on an answer raises a new one, also when it was ticked before.
            depends = {key for key, when, _level in RAISED_BY[name] if when > NONE} & {*answers}
            found.append({key: level for key, level in raised.items() if is_new or key in depends})
        return highest(found)

    @property
    def full(self) -> bool:
        """Every item was asked: a blank is no answer, (e)."""
        return len(self.levels) == len(ITEMS)

    @property
    def late(self) -> bool:
        """The session was more than 72 hours back."""
        return self.recorded_at - self.session_at > LATE

    @property
    def steady(self) -> bool:
        """Full, in time, and none or watch everywhere."""
        return self.full and not self.late and max(self.counting.values()) <= WATCH

    @property
    def holds(self) -> dict[str, set[str]]:
        """Return which holds the answers require, with the items that do, (d) "The hold"."""
        levels = self.new_levels.items()
        care = {key for key, level in levels if level == CONCERN} - {*SAFETY_ITEMS}
        safety = {key for key, level in levels if opens_safety_hold(key, level)}
        return {kind: keys for kind, keys in (("care", care), ("safety", safety)) if keys}

    @property
    def actions(self) -> set[str]:
        """Return the required actions, (e) "Protocol by level"."""
        levels = {NONE, *self.new_levels.values()}
        found: set[str] = set()
        if max(levels) >= WATCH:
            found.add("recheck")
        if "care" in self.holds:
            found |= CARE_ACTIONS
        if "safety" in self.holds:
            found |= SAFETY_ACTIONS
        if URGENT in levels:
            found |= URGENT_ACTIONS
        return found

    @property
    def flags(self) -> set[str]:
        """Return the flags that the answers set."""
        return {
            flag
            for flag, causes in FLAGS_SET.items()
            if any(self.new_levels.get(key, NONE) >= level for key, level in causes)
        }


def highest(found: Iterable[dict[str, int]]) -> dict[str, int]:
    """Return the highest level of each item that has one."""
    levels: dict[str, int] = {}
    for each in found:
        for key, level in each.items():
            levels[key] = max(level, levels.get(key, NONE))
    return levels


@dataclass(frozen=True)
class Answer:
    """The answer to an item that counts; `asked_at` is when the item was last asked, not late."""

    level: int
    session_at: datetime
    alone: bool
    asked_at: datetime | None
    number: int

    def demands(self, key: str) -> str | None:
        """Return the kind of hold that this answer to an item demands, (d) "The hold"."""
        if opens_safety_hold(key, self.level):
            return "safety"
        return "care" if self.level == CONCERN else None


@dataclass(frozen=True)
class Reason:
    """An answer that a hold stands for; `restored_at` is when it began to count again after a correction."""

    number: int
    item: str
    level: int
    restored_at: datetime | None


@dataclass
class Hold:
    """An open hold: the screenings that opened and renewed it, in the order in which they were recorded."""

    raising: list[Screening]
    reasons: list[Reason]
    episodes: set[int]
    authors: set[UUID] = field(default_factory=set)
    """Who recorded any of them, also in error."""
    second: UUID | None = None
    """The supervisor who was named to release it."""
    allowed: tuple[UUID, str] | None = None
    """The one handout that a supervisor has allowed, in which case, in spite of a care hold."""

    @property
    def items(self) -> set[str]:
        """Return the items that it is about."""
        return {reason.item for reason in self.reasons}

    @property
    def restored_at(self) -> datetime | None:
        """Return when a reason last began to count again."""
        return max(filter(None, (reason.restored_at for reason in self.reasons)), default=None)

    def add(self, one: Screening, levels: dict[str, int], restored_at: datetime | None) -> None:
        """Add what a screening said, in the order in which the screenings were recorded."""
        if one not in self.raising:
            self.raising = sorted([*self.raising, one], key=lambda each: each.number)
        self.reasons += [Reason(one.number, *level, restored_at) for level in levels.items()]
        self.authors.add(one.by)


@dataclass
class Task:
    """A required action that is open, with the number of its screening, and for a decision what it is about."""

    kind: str
    episode: int | None
    not_before: datetime | None
    asked_at: datetime | None = None
    attempt: int = 1
    about: Task | None = None
    source: int | None = None
    """The number of the screening that asked for it."""

    @property
    def is_decision(self) -> bool:
        """Only a supervisor decides on a welfare check, what was declined, and a duty of which a coach isn't sure."""
        return self.about is not None or (self.kind == "duty_check" and self.attempt > 1)

    def allows(self, result: str) -> bool:
        """Tell whether the action can have a result: contact is not lost at the first welfare check."""
        return result != "lost_contact" or self.attempt > 1

    def follow(self, result: str) -> Task | None:
        """Return the action that follows from a result; its time comes from the program."""
        if self.about and self.kind == "welfare_check":
            return self.about.again()
        if self.about:
            return self.about.again() if result == "try_again" else None
        if result == "not_sure":
            return self.again()
        if result == "declined" and self.kind in DECIDED_WHEN_DECLINED:
            return Task("declined_decision", self.episode, None, about=self, source=self.source)
        if result != "not_reached":
            return None
        if self.kind in SPOKEN_TO and self.attempt % 3 == 0:
            return Task(
                "welfare_check", self.episode, None, None, self.attempt // 3, self, self.source
            )
        return self.again()

    def again(self) -> Task:
        """Return the next attempt."""
        return Task(self.kind, self.episode, None, None, self.attempt + 1, source=self.source)


@dataclass
class Case:
    """A case with the facts that matter here."""

    id: UUID
    stage: str = "steady"
    is_open: bool = True
    facts: dict[str, str] = field(default_factory=dict)
    goal_chosen: bool = False


@dataclass(frozen=True)
class Required:
    """What a screening requires: actions, those that may also be asked again, and whether they are of a new episode."""

    actions: set[str]
    possible: set[str]
    starts_episode: bool
