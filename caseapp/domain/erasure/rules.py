"""Rules for erasing a record: what has to be finished before, and who decides. Pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.core.errors import Reason, refuse_for
from caseapp.domain.erasure.codes import REQUESTED
from caseapp.domain.legal_holds.rules import LEGAL_HOLD

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.domain.erasure.queries import LockedErasure, LockedRecord
    from caseapp.domain.erasure.schemas import OpenMatters

OPEN_CASE = Reason("open_case", "The client has an open case.", "Close it first, under Details.")
OPEN_HOLD = Reason(
    "open_hold",
    "A hold is open for this client.",
    "Release it first. If somebody else has to release it, ask them.",
)
OPEN_ALERT = Reason(
    "open_alert", "An alert about this client is waiting.", "Somebody has to acknowledge it first."
)
OFFERED = Reason(
    "offered",
    "This client’s case has been offered to a colleague.",
    "Withdraw the offer first, or let the colleague decide.",
)
EMERGENCY = Reason(
    "emergency_access",
    "Emergency access to this record is still open or hasn’t been reviewed.",
    "Another supervisor has to review it first.",
)
ALREADY_REQUESTED = Reason(
    "already_requested",
    "Somebody has already requested this.",
    "A supervisor or admin will decide about it.",
)
DECIDED = Reason(
    "decided", "This request has already been decided or withdrawn.", "There is nothing to do."
)
SAME_PERSON = Reason(
    "same_person",
    "The person who requested the erasure can’t decide about it.",
    "Ask another supervisor or an admin.",
)
NOT_REQUESTED_BY = Reason(
    "not_requested_by",
    "Only the person who requested the erasure can withdraw the request.",
    "A supervisor or admin can refuse it.",
)
ONLY_COVERS = Reason(
    "only_covers",
    "A colleague who is only covering for the coach can’t request an erasure or decide about one.",
    "Ask the client’s coach or their supervisor.",
)
OUTDATED = Reason(
    "outdated",
    "Something about this client was recorded after this request.",
    "To have the record erased, request it again.",
)
UNFINISHED = Reason(
    "unfinished",
    "Something about this client has to be finished first.",
    "Ask the person who requested the erasure. They can see what it is under Details, Erase this record.",
)
"""For somebody who doesn't see the client, and mustn't learn what it is."""


def list_open_matters(found: OpenMatters) -> list[Reason]:
    """List what has to be finished before a record can be erased, for somebody who sees the client."""
    return [
        reason
        for is_open, reason in (
            (found.has_legal_hold, LEGAL_HOLD),
            (found.has_open_case, OPEN_CASE),
            (found.has_open_hold, OPEN_HOLD),
            (found.has_open_alert, OPEN_ALERT),
            (found.is_offered, OFFERED),
            (found.has_emergency, EMERGENCY),
        )
        if is_open
    ]


def list_request_faults(found: OpenMatters, *, is_responsible: bool) -> list[Reason]:
    """List why somebody can't request that a record is erased; an outdated request keeps nobody from a new one."""
    if not is_responsible:
        return [ONLY_COVERS]
    waits = found.is_requested and not found.is_outdated
    return [ALREADY_REQUESTED] if waits else list_open_matters(found)


def check_request(record: LockedRecord) -> None:
    """Check that somebody can request that a locked record is erased.

    Raises RuleBroken.
    """
    refuse_for(list_request_faults(record.matters, is_responsible=record.is_responsible))


def check_erasure(erasure: LockedErasure, actor_id: UUID) -> None:
    """Check that somebody can erase the record that a locked request is about, at this moment.

    Whoever doesn't see the client isn't told what is open. Raises RuleBroken.
    """
    check_decision(erasure, actor_id)
    if erasure.record is None:
        refuse_for([DECIDED])
        return
    matters = erasure.record.matters
    found = list_open_matters(matters)
    # An admin, who doesn't see the client, may know of a legal hold.
    if LEGAL_HOLD in found and not erasure.is_seen:
        found = [LEGAL_HOLD]
    elif found and not erasure.is_seen:
        found = [UNFINISHED]
    refuse_for(found)
    refuse_for([OUTDATED] if matters.is_outdated else [])


def check_decision(erasure: LockedErasure, actor_id: UUID) -> None:
    """Check that somebody can decide about a locked request: not whoever made it, nor whoever only covers.

    Raises RuleBroken.
    """
    row = erasure.row
    refuse_for(
        list_decision_faults(
            row.state, row.requested_by, actor_id, is_responsible=erasure.is_responsible
        )
    )


def list_decision_faults(
    state: str, requested_by: UUID | None, actor_id: UUID, *, is_responsible: bool
) -> list[Reason]:
    """List why somebody can't decide about a request."""
    if state != REQUESTED:
        return [DECIDED]
    if requested_by == actor_id:
        return [SAME_PERSON]
    return [] if is_responsible else [ONLY_COVERS]


def check_withdrawal(erasure: LockedErasure, actor_id: UUID) -> None:
    """Check that somebody can withdraw a locked request.

    Raises RuleBroken.
    """
    refuse_for(list_withdrawal_faults(erasure.row.state, erasure.row.requested_by, actor_id))


def list_withdrawal_faults(state: str, requested_by: UUID | None, actor_id: UUID) -> list[Reason]:
    """List why somebody can't withdraw a request."""
    if state != REQUESTED:
        return [DECIDED]
    return [] if requested_by == actor_id else [NOT_REQUESTED_BY]
