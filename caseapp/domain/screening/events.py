"""The facts about a client's safety that are recorded as events: a frozen dataclass for each kind, as JSON and back."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class UnknownFact(Exception):
    """An event was written by a newer release, which knows more kinds than this one."""


@dataclass(frozen=True)
class ScreeningRecorded:
    """The answers of a screening; a question without an answer was not asked.

    `session_at` is when the questions were asked, `note_id` the note that the answers came from. `repeats` are the
    answers and circumstances, by key, that an earlier screening of the same note, given by its id, has recorded
    already. `protocol` is the version that was asked; it was not stored while every version had the same items.
    `lasting_since` has, for some items at watch or above, the day since when the client says it has lasted.
    `circumstances` were ticked; `at_least` are the levels, by item, that count at least because of them. Those of
    `ever_at_least` are of circumstances that never expire and had been ticked before: they count when every earlier
    screening with the circumstance was recorded in error.
    `below_reason` says why a level falls so far.
    """

    note_id: UUID | None
    session_at: datetime
    answers: dict[str, int]
    asked_alone: bool
    actions_taken: list[str] = field(default_factory=list)
    comment: str = field(default="", repr=False)
    repeats: dict[str, str] = field(default_factory=dict)
    protocol: int = 1
    lasting_since: dict[str, date] = field(default_factory=dict)
    circumstances: list[str] = field(default_factory=list)
    at_least: dict[str, int] = field(default_factory=dict)
    below_reason: str = field(default="", repr=False)
    ever_at_least: dict[str, dict[str, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class HoldOpened:
    """A hold was opened; the reasons are answers of a screening. The hold has the id of this event.

    A reason has `restored_at` when its answer counts again since then, because a later one was recorded in error.
    """

    kind: str
    reasons: list[dict[str, Any]]


@dataclass(frozen=True)
class HoldRenewed:
    """An open hold got further reasons."""

    hold_id: UUID
    reasons: list[dict[str, Any]]


@dataclass(frozen=True)
class HoldReleased:
    """A hold was released with a written reason."""

    hold_id: UUID
    reason: str = field(repr=False)


@dataclass(frozen=True)
class SecondPersonNamed:
    """A supervisor was named who may release a hold, instead of the one who was named before."""

    hold_id: UUID
    user_id: UUID


@dataclass(frozen=True)
class HandoutAllowed:
    """A supervisor allowed one handout, by its slug, for one case during a care hold; it replaces an earlier one."""

    hold_id: UUID
    handout: str
    case_id: UUID
    reason: str = field(repr=False)


@dataclass(frozen=True)
class FlagSet:
    """A flag was set, by answers, by facts or by a person. The flag has the id of this event.

    `screening_id` names the screening whose answer counts again after a correction and sets it.
    """

    kind: str
    source: str
    screening_id: UUID | None = None


@dataclass(frozen=True)
class FlagCleared:
    """A flag was cleared with a written reason."""

    flag_id: UUID
    reason: str = field(repr=False)


@dataclass(frozen=True)
class ProposalDeclined:
    """A coach wrote why an item that has lasted at watch is no concern."""

    item: str
    reason: str = field(repr=False)


@dataclass(frozen=True)
class FlagConfirmed:
    """A person or facts set a flag that answers had set before: it stands also without those answers."""

    flag_id: UUID
    source: str


@dataclass(frozen=True)
class ScreeningInError:
    """A screening was recorded in error, with a written reason: none of its answers counts any more."""

    screening_id: UUID
    reason: str = field(repr=False)


@dataclass(frozen=True)
class HoldInError:
    """A hold ended because every answer that opened or renewed it was recorded in error: it was not released."""

    hold_id: UUID


@dataclass(frozen=True)
class FlagInError:
    """A flag ended because the answers that set it were recorded in error: nobody cleared it."""

    flag_id: UUID


@dataclass(frozen=True)
class CircumstanceEnded:
    """A circumstance has ended, with a written reason; `mentioned_at` is when it was mentioned last."""

    circumstance: str
    mentioned_at: datetime
    reason: str = field(repr=False)


Fact = (
    ScreeningRecorded
    | HoldOpened
    | HoldRenewed
    | HoldReleased
    | FlagSet
    | FlagCleared
    | ProposalDeclined
    | FlagConfirmed
    | ScreeningInError
    | HoldInError
    | FlagInError
    | SecondPersonNamed
    | HandoutAllowed
    | CircumstanceEnded
)
# These names are stored and never change.
FACTS: dict[str, type[Fact]] = {
    "screening": ScreeningRecorded,
    "hold_opened": HoldOpened,
    "hold_renewed": HoldRenewed,
    "hold_released": HoldReleased,
    "second_person_named": SecondPersonNamed,
    "handout_allowed": HandoutAllowed,
    "flag_set": FlagSet,
    "flag_cleared": FlagCleared,
    "proposal_declined": ProposalDeclined,
    "flag_confirmed": FlagConfirmed,
    "screening_in_error": ScreeningInError,
    "hold_in_error": HoldInError,
    "flag_in_error": FlagInError,
    "circumstance_ended": CircumstanceEnded,
}
NAMES = {fact: name for name, fact in FACTS.items()}


@dataclass(frozen=True)
class RecordedEvent:
    """A fact with its place in a client's events: who recorded it and when."""

    id: UUID
    client_id: UUID
    seq: int
    recorded_at: datetime
    recorded_by: UUID
    fact: Fact
    recorded_by_name: str = ""


def fact_to_json(fact: Fact) -> dict[str, Any]:
    """Return a fact as plain data, with the name of its kind."""
    return {"fact": NAMES[type(fact)], **to_plain(fact)}


def fact_from_json(data: dict[str, Any]) -> Fact:
    """Build a fact from plain data.

    Raises UnknownFact for a kind that this release doesn't know.
    """
    fact = FACTS.get(data.pop("fact"))
    if fact is None:
        raise UnknownFact
    return from_plain(fact, data)


def to_plain(record: Any) -> dict[str, Any]:  # noqa: ANN401 - a dataclass
    """Return the fields of a dataclass as JSON has them: ids, days and times as texts."""
    return _plain(vars(record))


PLAIN = frozenset({str, int, bool, list, type(None)})


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value if type(value) in PLAIN else _plain_value(value)
        for name, value in values.items()
    }


def _plain_value(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, UUID):
        return value.hex
    if isinstance(value, dict):
        return _plain(value)
    return value.isoformat() if isinstance(value, date) else value


def from_plain(record: type[T], data: dict[str, Any]) -> T:
    """Build a dataclass from what `to_plain` gave; the ends of the names tell which texts are ids, times and days."""
    return record(
        **{
            name: value if value is None or (parse := _find_parser(name)) is None else parse(value)
            for name, value in data.items()
        }
    )


@cache
def _find_parser(name: str) -> Callable[[Any], Any] | None:
    """Find the function that turns a text of this name into a value; None for what stays as it is."""
    if name == "id" or name.endswith(("_id", "_by")):
        return UUID
    if name.endswith("_since"):
        return _parse_days
    return datetime.fromisoformat if name.endswith("_at") else None


def _parse_days(value: str | dict[str, str]) -> Any:  # noqa: ANN401
    if isinstance(value, dict):
        return {key: date.fromisoformat(day) for key, day in value.items()}
    return date.fromisoformat(value)
