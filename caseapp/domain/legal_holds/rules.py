"""Rules for legal holds: what they keep from happening, and who places and lifts one. Pure functions."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from caseapp.core.errors import Invalid, Reason, refuse_for
from caseapp.domain.legal_holds.codes import MAX_REVIEW_DAYS

if TYPE_CHECKING:
    from datetime import date, datetime
    from uuid import UUID

    from caseapp.domain.legal_holds.queries import LockedLegalHold, LockedLegalHolds

LEGAL_HOLD = Reason(
    "legal_hold",
    "There is a legal hold on this record: it has to be kept as it is.",
    "An admin or the client’s supervisor can lift it once it is no longer needed.",
)
"""For everybody who is refused; why the record has to be kept stands with the hold, for admins and supervisors."""
ERASED = Reason("record_erased", "This record was erased.", "There is nothing left to keep.")
LIFTED = Reason(
    "legal_hold_lifted", "This legal hold has already been lifted.", "There is nothing to do."
)
SAME_PERSON = Reason(
    "same_person",
    "The person who placed a legal hold can’t lift it.",
    "Ask an admin or another supervisor of the client.",
)
OWN_CLIENT = Reason(
    "own_client",
    "You work with this client as a coach, so you can’t lift a legal hold that somebody else placed.",
    "Ask an admin or another supervisor of the client.",
)
HELD_SINCE = Reason(
    "held_since",
    "Somebody has placed a legal hold on a record that came back after it was erased.",
    "Give the record to the person who needs it, then lift the hold and repeat the erasure.",
)


def check_place(holds: LockedLegalHolds, review_on: date, today: date) -> None:
    """Check that a legal hold can be placed on a client's record.

    Raises RuleBroken when it was erased, and Invalid for another day of review.
    """
    refuse_for([ERASED] if holds.is_erased else [])
    require_review_day(review_on, today)


def require_review_day(review_on: date, today: date) -> None:
    """Require that a day of review is after today, and a year away at most.

    Raises Invalid.
    """
    if not today < review_on <= today + timedelta(days=MAX_REVIEW_DAYS):
        raise Invalid({"review_on": ["Choose a day after today and within a year."]})


def check_review(hold: LockedLegalHold, review_on: date, today: date) -> None:
    """Check that the next review of a legal hold can be on a day.

    Raises RuleBroken when it was lifted, and Invalid for another day.
    """
    refuse_for([LIFTED] if hold.row.lifted_at else [])
    require_review_day(review_on, today)


def check_lift(hold: LockedLegalHold, actor_id: UUID, *, coaches: bool) -> None:
    """Check that somebody can lift a legal hold; `coaches` tells that they work with the client as a coach.

    Raises RuleBroken.
    """
    row = hold.row
    refuse_for(list_lift_faults(row.lifted_at, row.placed_by, actor_id, coaches=coaches))


def list_lift_faults(
    lifted_at: datetime | None, placed_by: UUID, actor_id: UUID, *, coaches: bool
) -> list[Reason]:
    """List why somebody can't lift a legal hold.

    It takes another person than the one who placed it, and nobody who coaches the client or covers for the coach: the
    matter may be about them. Awaiting sign-off by a lawyer.
    """
    if lifted_at:
        return [LIFTED]
    if placed_by == actor_id:
        return [SAME_PERSON]
    return [OWN_CLIENT] if coaches else []


def check_return(holds: LockedLegalHolds, erased_at: datetime) -> None:
    """Check that the holds on a record that came back with an earlier database don't keep it from being erased again.

    Raises RuleBroken when one was placed since the erasure.
    """
    kept = any(is_kept_from_repeating(row.placed_at, erased_at) for row in holds.standing)
    refuse_for([HELD_SINCE] if kept else [])


def is_kept_from_repeating(placed_at: datetime, erased_at: datetime) -> bool:
    """Tell whether a hold on a record that came back keeps it from being erased again.

    One from before the erasure came back with the record: it had been lifted, or nobody could have erased it. One from
    after it was placed on the record that came back. `erased_at` is known to the second.
    """
    return placed_at >= erased_at + timedelta(seconds=1)
