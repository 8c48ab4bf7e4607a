"""Rules for Today: the order of everything that needs attention. Pure functions."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from caseapp.domain.followups.codes import CUSTOM
from caseapp.domain.followups.rules import DueState, get_due_state

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from caseapp.domain.dashboard.schemas import OpenHold, Today
    from caseapp.domain.followups.schemas import FollowUpRecord

# Product proposals, awaiting clinical sign-off.
NEW_FOR = timedelta(hours=24)
"""A safety hold is new for so long after it was opened or renewed: until its first check is due."""
PRESSING = (("safety", "new"), ("safety", "overdue"), ("care", "overdue"))
URGENCY = (
    *PRESSING,
    ("safety", "open"),
    ("safety", "waiting"),
    ("care", "open"),
    ("care", "waiting"),
)
"""The kinds of hold with what is left to do, the most urgent first; `waiting` is for a screening or the release."""


def order_attention(today: Today) -> list[tuple[str, Any]]:
    """List everything that needs attention by urgency, not by age, as pairs of what it is and its record.

    1. Alerts that nobody has acknowledged, and drafts with a concern that isn't recorded.
    2. New safety holds, then holds with an overdue action, then the reader's other overdue actions, then clients with
       an open hold or an active flag who did not come and with whom nobody was in contact since.
    3. Worksheets that clients have shared and nobody has opened: no program judges what they say, so until a person
       has read them they may be as urgent as anything above, and lead everything that somebody already looks after.
       Only what is known to be dangerous or late stands above them, since it can't wait for reading either.
    4. Notes that aren't as they were signed, portals closed by wrong PINs, holds that the reader was named to release,
       all other holds, proposed concerns.

    Source: the issue about safety, points 9 and 14; the order itself is a product proposal, awaiting clinical sign-off.
    """
    return [
        *(("alert", alert) for alert in today.alerts),
        *(("draft", draft) for draft in today.unrecorded_concerns),
        *(("hold", hold) for hold in today.holds if is_pressing(hold, today.now)),
        *(("action", task) for task in _list_overdue(today)),
        *(("no_show", found) for found in today.no_shows),
        *(("shared", item) for item in today.portal_items if item.kind == "shared"),
        *(("altered", item) for item in today.portal_items if item.kind == "altered"),
        *(("guessed", item) for item in today.portal_items if item.kind == "guessed"),
        *(("named", hold) for hold in today.named_holds),
        *(("hold", hold) for hold in today.holds if not is_pressing(hold, today.now)),
        *(("proposed", found) for found in today.proposed),
    ]


def _list_overdue(today: Today) -> Iterator[FollowUpRecord]:
    """List the reader's overdue required actions, without those of a hold that is listed itself."""
    held = {hold.id for hold in today.holds}
    for task in today.overdue:
        if task.origin_id not in held:
            yield task


def is_overdue_action(task: FollowUpRecord, moment: datetime) -> bool:
    """Tell whether a task is a required action that is overdue at a moment, so that no list leaves it out."""
    return task.kind != CUSTOM and get_due_state(task, moment) is DueState.OVERDUE


def sort_by_urgency(holds: Iterable[OpenHold], moment: datetime) -> list[OpenHold]:
    """Sort open holds by urgency at a moment, not by age.

    First come safety holds that were opened or renewed within NEW_FOR, then those with an overdue action, care holds
    with one, safety holds with an action that is still to do, and those that only wait for a screening or for the
    release; then other care holds. Among equals the hold comes first that was opened or renewed last: whoever spoke of
    danger this morning comes before somebody who has been looked after for a month.
    """
    newest_first = sorted(holds, key=lambda hold: (hold.urgent_since, hold.id), reverse=True)
    return sorted(newest_first, key=lambda hold: URGENCY.index(_rank(hold, moment)))


def is_pressing(hold: OpenHold, moment: datetime) -> bool:
    """Tell whether a hold is a new safety hold or has an overdue action, so that no list leaves it out."""
    return _rank(hold, moment) in PRESSING


def _rank(hold: OpenHold, moment: datetime) -> tuple[str, str]:
    if hold.kind == "safety" and moment - hold.urgent_since < NEW_FOR:
        return (hold.kind, "new")
    if hold.is_overdue:
        return (hold.kind, "overdue")
    return (hold.kind, "open" if hold.next_followup else "waiting")
