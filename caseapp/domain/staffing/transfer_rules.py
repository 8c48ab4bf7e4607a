"""Rules for offering cases to a colleague: who can get them, who decides, and until when. Pure functions."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from caseapp.core.errors import Reason, refuse_for
from caseapp.core.permissions import Role
from caseapp.domain.clients.codes import UNDO_HOURS
from caseapp.domain.staffing.rules import NO_SECOND

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from caseapp.domain.alerts.schemas import StaffMember
    from caseapp.domain.staffing.transfer_queries import LockedTransfer

OFFERED_FOR = timedelta(days=7)
"""How long a colleague has for deciding about an offer. Awaiting sign-off."""
UNDO_WITHIN = timedelta(hours=UNDO_HOURS)
"""How long after it was accepted a transfer can be undone. Awaiting sign-off."""
BRIEF_FOR = UNDO_WITHIN + timedelta(days=14)
"""How long after the acceptance the new coach can open the brief of the case. Awaiting sign-off."""
NOT_ACTIVE = Reason(
    "not_active",
    "Only a coach or supervisor with an active account can take over a case.",
    "Choose somebody else.",
)
SAME_PERSON = Reason(
    "same_person", "A case can’t be offered to its own coach.", "Choose somebody else."
)
NOT_RECIPIENT = Reason(
    "not_recipient",
    "Only the colleague to whom a case is offered can accept or decline it.",
    "Ask them, or withdraw the offer.",
)
NOT_OFFERING = Reason(
    "not_offering",
    "Only the coach who offers a case, or their supervisor, can withdraw it.",
    "Decline it instead.",
)
DECIDED = Reason(
    "decided",
    "This offer has already been accepted, declined or withdrawn.",
    "There is nothing to do.",
)
EXPIRED = Reason(
    "expired",
    f"This offer has expired: nobody decided within {OFFERED_FOR.days} days.",
    "The coach can offer the case again.",
)
NO_COACH = Reason(
    "no_coach",
    "The person who offered this case is no longer the client’s coach.",
    "Ask the coach to offer it.",
)
NOT_ACCEPTED = Reason(
    "not_accepted", "Only a transfer that was accepted can be undone.", "There is nothing to do."
)
TOO_LATE = Reason(
    "too_late",
    f"A transfer can only be undone within {UNDO_WITHIN // timedelta(hours=1)} hours.",
    "The case can be offered back.",
)
PASSED_ON = Reason(
    "passed_on",
    "The client’s coach has changed since then.",
    "The current coach can offer it back.",
)
ASK_SUPERVISOR = Reason(
    "ask_supervisor",
    "This case can’t be transferred between these two people now.",
    "Ask a supervisor of the coach to hand it over: Board, Hand over. The supervisor will see what is missing.",
)
"""Says nothing of a hold, since whoever reads it may not see the client; that it is refused lets them guess one."""


def list_recipient_faults(person: StaffMember | None, from_id: UUID) -> list[Reason]:
    """List why somebody can't take over cases of a coach."""
    if person is None or not person.is_active or person.role == Role.ADMIN:
        return [NOT_ACTIVE]
    return [SAME_PERSON] if person.id == from_id else []


def list_case_faults(
    denied: list[str], coached: list[str], offered: list[str], unreleasable: list[str]
) -> list[Reason]:
    """List why some of the chosen cases can't be offered to a colleague.

    These are the numbers of the cases whose clients the colleague must not see, whom they coach already, who are
    offered to somebody already, and whose open hold nobody could release if the colleague coached them. Whoever offers
    a case sees its holds.
    """
    found = []
    if denied:
        message = f"This colleague must not see {', '.join(denied)}."
        found.append(Reason("must_not_see", message, "Choose somebody else for them."))
    if coached:
        message = f"This colleague already coaches {', '.join(coached)}."
        found.append(Reason("already_coaches", message, "Leave them out."))
    if offered:
        message = f"{', '.join(offered)}: already offered to a colleague."
        found.append(Reason("already_offered", message, "Withdraw that offer first."))
    if unreleasable:
        message = f"Nobody else could then release the hold of {', '.join(unreleasable)}."
        found.append(Reason(NO_SECOND.code, message, NO_SECOND.way_out))
    return found


def check_waiting(transfer: LockedTransfer, moment: datetime) -> None:
    """Check that a locked offer waits for a decision.

    Raises RuleBroken.
    """
    row = transfer.row
    refuse_for(list_waiting_faults(row.state, row.expires_at, moment))


def list_waiting_faults(state: str, expires_at: datetime, moment: datetime) -> list[Reason]:
    """List why an offer doesn't wait for a decision at a moment."""
    if state == "expired" or (state == "offered" and expires_at <= moment):
        return [EXPIRED]
    return [] if state == "offered" else [DECIDED]


def check_acceptance(
    transfer: LockedTransfer, person: StaffMember | None, moment: datetime
) -> None:
    """Check that the colleague, whose account is locked, can accept a locked offer; those of a hand-over hold too.

    Raises RuleBroken.
    """
    check_waiting(transfer, moment)
    refuse_for(list_recipient_faults(person, transfer.row.from_id))
    refuse_for([] if transfer.from_coaches else [NO_COACH])


def check_undo(transfer: LockedTransfer, former: StaffMember | None, moment: datetime) -> None:
    """Check that a locked transfer can be undone; the account of the former coach is locked.

    Raises RuleBroken.
    """
    row = transfer.row
    refuse_for(
        list_undo_faults(
            row.state,
            row.decided_at,
            moment,
            is_as_left=transfer.is_as_left,
        )
    )
    refuse_for(list_recipient_faults(former, row.to_id))
    refuse_for([ASK_SUPERVISOR] if transfer.from_is_denied else [])


def list_undo_faults(
    state: str, decided_at: datetime | None, moment: datetime, *, is_as_left: bool
) -> list[Reason]:
    """List why a transfer can't be undone at a moment.

    `decided_at` is when it was accepted. `is_as_left` says that the colleague has coached the client since then, and
    whoever offered the case doesn't.
    """
    if state != "accepted" or decided_at is None:
        return [NOT_ACCEPTED]
    if moment - decided_at >= UNDO_WITHIN:
        return [TOO_LATE]
    return [] if is_as_left else [PASSED_ON]
