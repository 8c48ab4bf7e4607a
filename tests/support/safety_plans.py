"""Write and show safety plans, as a coach does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.core.transaction import transaction
from caseapp.domain.safety_plans.codes import FORMS, SAFETY
from caseapp.domain.safety_plans.operations import show_in_portal, write_plan
from caseapp.domain.safety_plans.queries import lock_plan
from caseapp.domain.safety_plans.schemas import NewPlan

if TYPE_CHECKING:
    from datetime import date
    from uuid import UUID

    from caseapp.core.actor import Actor

TEXT = "Call Anne, then walk to the lake."


def answers(kind: str = SAFETY, text: str = TEXT) -> dict[str, str]:
    """Return a text for every step of a kind of plan."""
    return {step.key: f"{text} {number}" for number, step in enumerate(FORMS[kind].steps, 1)}


def write(
    actor: Actor,
    client_id: UUID,
    kind: str = SAFETY,
    text: str = TEXT,
    *,
    note: str = "",
    review_on: date | None = None,
) -> UUID:
    """Write a plan, or a new version of it."""
    with transaction():
        plan = lock_plan(actor, client_id, kind)
        return write_plan(actor, plan, NewPlan(answers(kind, text), note, review_on), plan.version)


def show(actor: Actor, client_id: UUID) -> UUID:
    """Show a client's safety plan in the portal."""
    with transaction():
        plan = lock_plan(actor, client_id, SAFETY)
        return show_in_portal(actor, plan, plan.version)
