"""Rules about circumstances that have ended: pure functions. They are product proposals, awaiting sign-off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.core.errors import Reason
from caseapp.domain.screening.protocol import CIRCUMSTANCES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from caseapp.domain.screening.schemas import CircumstanceEnd

NOT_CURRENT = Reason(
    "circumstance_not_current",
    "This circumstance has already ended, or no screening that counts mentions it.",
    "Open the page again to see what is current.",
)
NEVER_ENDS = Reason(
    "circumstance_never_ends",
    "This circumstance can’t be ended: once it has happened, the danger stays.",
    "If it was ticked by mistake, mark that screening as recorded in error.",
)
MENTIONED_AGAIN = Reason(
    "circumstance_mentioned_again",
    "The day on which this circumstance was last mentioned has changed since you opened the page.",
    "Check the day. If the circumstance has ended since then, send it again.",
)


def list_end_blockers(current: Mapping[str, datetime], end: CircumstanceEnd) -> list[Reason]:
    """List why a circumstance can't be said to have ended; empty when it can.

    `current` are the client's circumstances, with the time of the newest session with each. One that never expires
    never ends. Content map, section (e), 4c; awaiting clinical sign-off.
    """
    if end.circumstance not in current:
        return [NOT_CURRENT]
    if CIRCUMSTANCES[end.circumstance].never_expires:
        return [NEVER_ENDS]
    return [] if current[end.circumstance] == end.mentioned_at else [MENTIONED_AGAIN]
