"""When an item that has lasted at watch is proposed as a concern. Pure functions over the protocol.

Articles name lasting trouble without a number; two weeks are ordinary clinical caution, an interval of the protocol. In
self-harm, harm to others and fear at home one report is enough at its own level, so nothing is proposed there. Content
map, section (e), "Rules that hold for every domain"; awaiting clinical sign-off.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING

from caseapp.core.errors import Invalid, Reason, refuse_for
from caseapp.domain.screening.protocol import (
    LASTING_ITEMS,
    PROPOSED_AGAIN_AFTER,
    SUSTAINED_AFTER,
    Level,
)
from caseapp.domain.screening.rules import opens_safety_hold

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date

    from caseapp.domain.screening.current import SafetyState
    from caseapp.domain.screening.records import Raised
    from caseapp.domain.screening.schemas import NewScreening
    from caseapp.domain.screening.state import DerivedState

NOT_PROPOSED = Reason(
    "not_proposed",
    "One of these items is no longer proposed as a concern: somebody has decided or asked again in the meantime.",
    "Open the page again, and decide about the items that it still lists.",
)
IN_FUTURE = "Enter a day that is not in the future."
TOO_LONG_AGO = "Enter a day within the last 50 years."
MAX_YEARS = 50
"""How far back something can be said to have lasted; a plain limit against slips of the pen."""


@dataclass(frozen=True)
class Proposal:
    """An item that is proposed as a concern from a moment on: since when it has lasted, by sessions and as reported."""

    item: str
    raised: Raised
    proposed_at: datetime

    @property
    def lasts_since(self) -> datetime:
        """Return since when the item has lasted."""
        return lasts_since(self.raised)


def lasts_since(raised: Raised) -> datetime:
    """Return since when an item has been at watch or above: the first session, or an earlier day that was reported."""
    if raised.reported_since is None:
        return raised.began_at
    return min(raised.began_at, datetime.combine(raised.reported_since, time.min, UTC))


def list_proposals(state: DerivedState | SafetyState, moment: datetime) -> list[Proposal]:
    """List what is proposed at a moment, what was proposed first before the others."""
    return [found for found in list_coming_proposals(state) if found.proposed_at <= moment]


def list_coming_proposals(state: DerivedState | SafetyState) -> list[Proposal]:
    """List what is proposed or will be if nothing else is recorded, the earliest first.

    An item is proposed as long as the answer that counts is watch. One for which a hold is open was a concern already.
    """
    held = {reason["item"] for hold in state.holds for reason in hold.standing}
    found = [
        Proposal(item, state.raised[item], _proposed_at(state.raised[item]))
        for item in LASTING_ITEMS
        if item in state.raised and item not in held and state.answers[item].level == Level.WATCH
    ]
    return sorted(found, key=lambda proposal: proposal.proposed_at)


def _proposed_at(raised: Raised) -> datetime:
    proposed_at = lasts_since(raised) + SUSTAINED_AFTER
    if raised.declined_at is None:
        return proposed_at
    return max(proposed_at, raised.declined_at + PROPOSED_AGAIN_AFTER)


def check_decided(items: Iterable[str], proposals: Sequence[Proposal]) -> None:
    """Check that each of these items is proposed.

    Raises RuleBroken.
    """
    if not {*items} <= {proposal.item for proposal in proposals}:
        refuse_for([NOT_PROPOSED])


def find_wrong_days(days: Mapping[str, date], today: date) -> dict[str, list[str]]:
    """List what is wrong with the days since when items have lasted, by the name of each field."""
    found = {}
    for item, day in days.items():
        if day > today:
            found[_name(item)] = [IN_FUTURE]
        elif (day.year + MAX_YEARS, day.month, day.day) < (today.year, today.month, today.day):
            found[_name(item)] = [TOO_LONG_AGO]
    return found


def check_lasting_since(new: NewScreening, today: date) -> None:
    """Check the days since when the items of a screening have lasted.

    A slip in one never keeps a safety hold from being opened: then it is left out. Raises Invalid.
    """
    wrong = find_wrong_days(new.reported_days, today)
    if wrong and not any(opens_safety_hold(item, level) for item, level in new.levels.items()):
        raise Invalid(wrong)


def keep_right_days(new: NewScreening, today: date) -> NewScreening:
    """Leave out the days that are wrong."""
    wrong = find_wrong_days(new.lasting_since, today)
    days = {item: day for item, day in new.lasting_since.items() if _name(item) not in wrong}
    return replace(new, lasting_since=days)


def _name(item: str) -> str:
    return f"lasting_since.{item}"
