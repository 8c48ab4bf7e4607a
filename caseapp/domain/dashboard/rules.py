"""Rules for Today: the order of open holds by urgency. Pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from caseapp.domain.dashboard.schemas import OpenHold

# Product proposal, awaiting clinical sign-off.
URGENCY = (
    ("safety", "overdue"),
    ("safety", "open"),
    ("care", "overdue"),
    ("safety", "waiting"),
    ("care", "open"),
    ("care", "waiting"),
)
"""The kinds of hold with what is left to do, the most urgent first; `waiting` is for a screening or the release."""


def sort_by_urgency(holds: Iterable[OpenHold]) -> list[OpenHold]:
    """Sort open holds by urgency, not by age.

    Alerts that nobody has acknowledged stand above all holds. Then come safety holds with an overdue action, and those
    with one that is still to do; care holds with an overdue action; safety holds that only wait for a screening or
    for the release; and other care holds. Among equals the hold comes first that was opened or renewed last: whoever
    spoke of danger this morning comes before somebody who has been looked after for a month.
    """
    newest_first = sorted(holds, key=lambda hold: (hold.urgent_since, hold.id), reverse=True)
    return sorted(newest_first, key=lambda hold: URGENCY.index((hold.kind, _left_to_do(hold))))


def _left_to_do(hold: OpenHold) -> str:
    return "overdue" if hold.is_overdue else "open" if hold.next_followup else "waiting"
