"""Rules for cover: who may cover for a coach, and for how long. Pure functions."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from caseapp.core.errors import Reason
from caseapp.core.permissions import Role

if TYPE_CHECKING:
    from datetime import date
    from uuid import UUID

    from caseapp.domain.alerts.schemas import StaffMember

MOST_COVER_DAYS = 90
"""How many days one cover may last. Source: the issue about people; awaiting sign-off."""
FARTHEST_DAYS = 365
"""How many days ahead a cover may begin. Awaiting sign-off."""
NOT_ACTIVE = Reason(
    "not_active",
    "Only a coach or supervisor with an active account can cover.",
    "Choose somebody else.",
)
SAME_PERSON = Reason("same_person", "Nobody can cover for themselves.", "Choose somebody else.")
IN_THE_PAST = Reason("in_the_past", "The first day is in the past.", "Choose today or a later day.")
TOO_FAR = Reason(
    "too_far", f"Cover must begin within {FARTHEST_DAYS} days.", "Choose an earlier first day."
)
ENDS_BEFORE = Reason(
    "ends_before", "The last day is before the first.", "Choose the first day or a later one."
)
TOO_LONG = Reason(
    "too_long",
    f"Cover can last {MOST_COVER_DAYS} days at most.",
    "Choose an earlier last day, or hand over the clients.",
)
ENDED = Reason("ended", "This cover has already ended.", "Arrange another one.")


def list_colleague_faults(colleague: StaffMember | None, coach_id: UUID) -> list[Reason]:
    """List why somebody can't cover for a coach."""
    if colleague is None or not colleague.is_active or colleague.role == Role.ADMIN:
        return [NOT_ACTIVE]
    return [SAME_PERSON] if colleague.id == coach_id else []


def list_first_day_faults(starts_on: date, today: date) -> list[Reason]:
    """List why a cover can't begin on a day."""
    if starts_on < today:
        return [IN_THE_PAST]
    return [TOO_FAR] if starts_on - today > timedelta(days=FARTHEST_DAYS) else []


def list_last_day_faults(starts_on: date, ends_on: date) -> list[Reason]:
    """List why a cover can't last until a day, which it includes."""
    if ends_on < starts_on:
        return [ENDS_BEFORE]
    is_long = ends_on - starts_on >= timedelta(days=MOST_COVER_DAYS)
    return [TOO_LONG] if is_long else []


def list_client_faults(names: list[str]) -> list[Reason]:
    """List why clients, named by their cases, can't be covered: the same colleague does so on some of these days."""
    if not names:
        return []
    message = f"This colleague already covers {', '.join(names)} on some of these days."
    return [Reason("covered", message, "Leave them out, or end the other cover.")]


def list_denied_faults(names: list[str]) -> list[Reason]:
    """List why clients, named by their cases, can't be covered: the colleague must not see them."""
    if not names:
        return []
    message = f"This colleague must not see {', '.join(names)}."
    return [Reason("must_not_see", message, "Leave them out, and choose somebody else for them.")]
