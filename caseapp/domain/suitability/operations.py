"""Operations on suitability: allow one handout during a care hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.core.actor import Actor, require
from caseapp.core.errors import Invalid, NotFound
from caseapp.core.permissions import Action
from caseapp.domain.screening.hold_operations import record_allowed_handout
from caseapp.domain.suitability.queries import assess_library
from caseapp.domain.suitability.rules import check_allowing

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.domain.cases.queries import LockedCase
    from caseapp.domain.screening.schemas import NewException


def allow_handout(
    actor: Actor, case: LockedCase, hold_id: UUID, new: NewException, version: int
) -> None:
    """Allow one handout in a case with a written reason, while the care hold is open; supervisors only.

    It passes the bar of the care hold only, until the hold ends or is renewed, a safety hold opens or another handout
    is allowed. Raises NotFound, Invalid for an unknown handout, RuleBroken when something else bars it, or Stale when
    the hold has changed since `version`.
    """
    require(actor, Action.HOLD_ALLOW)
    hold = next((one for one in case.safety.holds if one.id == hold_id), None)
    if hold is None:
        raise NotFound
    suitabilities = [
        option.suitability
        for option in assess_library(case, (), language=None)
        if option.handout.id == new.handout
    ]
    if not suitabilities:
        raise Invalid({"handout": ["Choose a handout."]})
    check_allowing(case, suitabilities)
    record_allowed_handout(actor, case.locked_client, hold, new, version)
