"""Rules for intakes: who may see one, when it is decided, and when its case is opened. Pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.core.errors import Reason, refuse_for
from caseapp.domain.intakes.codes import MOST_WAITING

if TYPE_CHECKING:
    from collections.abc import Collection
    from uuid import UUID

    from caseapp.domain.intakes.queries import LockedIntake

NO_SUPERVISOR = Reason(
    "no_supervisor", "You have no supervisor who could decide.", "Ask an admin to name one."
)
ALREADY_DECIDED = Reason(
    "already_decided",
    "This has been decided already.",
    "The coach can ask again if something has changed.",
)
OWN_INTAKE = Reason(
    "own_intake",
    "You can’t decide about your own intake.",
    "Ask another supervisor, or look at the matching records and add the client yourself.",
)
OTHERS_FIT = Reason(
    "other_matches",
    "The records that match this intake have changed since you opened the page.",
    "Look at the records that match now, and decide again.",
)
NOT_ALLOWED = Reason(
    "not_allowed",
    "A supervisor has decided that you can’t open this case.",
    "Talk to your supervisor. If what you entered was wrong, correct it and ask again.",
)


def list_asking_blockers(*, has_supervisor: bool, waiting: int) -> list[Reason]:
    """List why somebody can't put an intake to their supervisor; `waiting` is how many of theirs wait already."""
    blockers = [] if has_supervisor else [NO_SUPERVISOR]
    if waiting >= MOST_WAITING:
        blockers.append(
            Reason(
                "too_many_waiting",
                f"{waiting} of your intakes are already waiting for a supervisor.",
                "Talk to your supervisor about these first.",
            )
        )
    return blockers


def may_see_intake(
    found: Collection[UUID],
    *,
    denied: Collection[UUID],
    denied_to_supervisor: Collection[UUID] | None,
) -> bool:
    """Tell whether a supervisor sees an intake of somebody else that fits the clients `found`, of those named below.

    `denied` are the clients whom they must not see themselves: an intake that fits one of these isn't there for them.
    `denied_to_supervisor` are those of the coach's own supervisor, None where that is they themselves: an intake that
    the coach's own supervisor must not see goes to every other one, any other intake to the coach's own only.
    """
    if not set(found).isdisjoint(denied):
        return False
    return denied_to_supervisor is None or not set(found).isdisjoint(denied_to_supervisor)


def check_decision(intake: LockedIntake, decided_by: UUID) -> None:
    """Refuse a decision about an intake that has one, or about one's own. Raises RuleBroken."""
    reasons = [ALREADY_DECIDED] if intake.row.decided_at else []
    refuse_for([*reasons, *([OWN_INTAKE] if intake.row.asked_by == decided_by else [])])


def list_unshown_blockers(found: Collection[UUID], shown: Collection[UUID]) -> list[Reason]:
    """List what is against a decision when the intake fits clients who were not shown to whoever decides."""
    return [] if set(found) <= set(shown) else [OTHERS_FIT]


def check_opening(intake: LockedIntake) -> None:
    """Refuse to open the case of an intake that a supervisor has refused. Raises RuleBroken."""
    refuse_for([NOT_ALLOWED] if intake.row.is_allowed is False else [])
