"""The rules of the protocol, as values. Every rule has its provenance and its sign-off."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import date

CLINICAL, PRODUCT = "clinical", "product"
CLAIM = re.compile(r"[A-Z]{3}-\d\d")
HOLDS = ("care", "safety")
"""The kinds of hold, the milder one first."""


Place = tuple[str | int, ...]
"""Where something is in the file: names of keys, and positions in lists."""


class InvalidProtocolFile(Exception):
    """A protocol file that is broken; the message has a line for each problem, with its place."""


class Level(IntEnum):
    """An answer to an item. "Not asked" is None and never counts as none."""

    NONE = 0
    WATCH = 1
    CONCERN = 2
    URGENT = 3


LEVEL_KEYS = {level.name.lower(): level for level in Level}


@dataclass(frozen=True)
class SignOff:
    """A licensed clinician's approval of one rule; `digest` is that of its text, so that it covers no later one."""

    by: str
    date: date
    digest: str


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A rule of the protocol.

    `provenance` holds ids of claims of the articles, `clinical` (ordinary clinical common sense) and `product` (our
    proposal). Without a `sign_off` the rule awaits a licensed clinician.
    """

    key: str
    provenance: tuple[str, ...]
    sign_off: SignOff | None

    @property
    def claims(self) -> tuple[str, ...]:
        """Return the ids of the claims that the rule rests on."""
        return tuple(name for name in self.provenance if CLAIM.fullmatch(name))


@dataclass(frozen=True)
class Span:
    """A length of time. The unit is hours, days or working_days."""

    amount: int
    unit: str

    def __str__(self) -> str:
        """Return the length in words."""
        unit = self.unit.replace("_", " ")
        return f"{self.amount} {unit.removesuffix('s') if self.amount == 1 else unit}"


@dataclass(frozen=True, kw_only=True)
class Principle(Rule):
    """A rule for every item, in words."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Item(Rule):
    """A screening question with an observable anchor for each level, from none to urgent.

    `since` is the first version of the protocol that asks it.
    """

    label: str
    icon: str
    safety: bool
    since: int
    question: str
    anchors: tuple[str, ...]


@dataclass(frozen=True)
class Raise:
    """A level that an item has at least; `when` is the lowest answer to it that is needed, None that none is."""

    item: str
    level: Level
    when: Level | None


@dataclass(frozen=True, kw_only=True)
class Circumstance(Rule):
    """A fact about the client that a coach ticks in a screening, and the levels that it raises.

    One that `never_expires` holds for good once it was said: ticking it again requires nothing more.
    """

    label: str
    raises: tuple[Raise, ...]
    never_expires: bool


@dataclass(frozen=True, kw_only=True)
class LevelRule(Rule):
    """What a level requires: the hold it opens, the kinds of action, and who is told.

    It applies to all items, to the safety items, or to the others.
    """

    level: Level
    items: str
    summary: str
    time_limit: str
    hold: str | None
    actions: tuple[str, ...]
    told: str


@dataclass(frozen=True, kw_only=True)
class RequiredAction(Rule):
    """A task that the protocol requires. It can't be done before `not_before`; without `due` its day is agreed on."""

    label: str
    due: Span | None
    not_before: Span | None


@dataclass(frozen=True, kw_only=True)
class ImmediateSteps(Rule):
    """What to do at once when an answer to the item of this key, or to any `other`, opens a safety hold."""

    steps: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class FlagRule(Rule):
    """A flag: the lowest answers that set it, the recorded facts that do, and whether a person can set it."""

    label: str
    set_by: tuple[tuple[str, Level], ...]
    set_by_facts: str
    set_by_hand: bool


@dataclass(frozen=True, kw_only=True)
class HoldRule(Rule):
    """What a kind of hold pauses, and what its release needs."""

    label: str
    pauses: tuple[str, ...]
    release: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Interval(Rule):
    """A number of days that a rule of the application uses."""

    label: str
    days: int


@dataclass(frozen=True, kw_only=True)
class WorkingDays(Rule):
    """The days of the week that count as working days; Monday is 1."""

    weekdays: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class ActionTaken(Rule):
    """Something that a coach can say they did in a screening."""

    label: str


@dataclass(frozen=True)
class Revision:
    """A version of the protocol with what it changed."""

    version: int
    date: date
    change: str


@dataclass(frozen=True)
class Protocol:
    """The whole protocol."""

    version: int
    history: tuple[Revision, ...]
    principles: tuple[Principle, ...]
    items: tuple[Item, ...]
    circumstances: tuple[Circumstance, ...]
    levels: tuple[LevelRule, ...]
    actions: tuple[RequiredAction, ...]
    immediate_steps: tuple[ImmediateSteps, ...]
    flags: tuple[FlagRule, ...]
    holds: tuple[HoldRule, ...]
    intervals: tuple[Interval, ...]
    working_days: WorkingDays
    actions_taken: tuple[ActionTaken, ...]

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Return every rule, in the order of the file."""
        return (
            *self.principles,
            *self.items,
            *self.circumstances,
            *self.levels,
            *self.actions,
            *self.immediate_steps,
            *self.flags,
            *self.holds,
            *self.intervals,
            self.working_days,
            *self.actions_taken,
        )

    @property
    def unsigned(self) -> int:
        """Return how many rules await sign-off."""
        return sum(rule.sign_off is None for rule in self.rules)
