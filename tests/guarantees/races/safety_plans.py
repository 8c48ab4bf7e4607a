"""Races of changes of safety plans, and of the required action that needs one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.core.transaction import transaction
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.followups.queries import list_client_followups, lock_followup
from caseapp.domain.safety_plans.codes import SAFETY
from caseapp.domain.safety_plans.models import SafetyPlan
from caseapp.domain.safety_plans.operations import (
    complete_task,
    record_review,
    remove_from_portal,
    show_in_portal,
    write_plan,
)
from caseapp.domain.safety_plans.queries import lock_plan
from caseapp.domain.safety_plans.schemas import NewPlan, NewReview
from caseapp.domain.screening.operations import set_manual_flag
from tests.guarantees.races.race import Race, Team, count, recording_urgent
from tests.support import builders, safety_plans
from tests.support.followups import result_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from caseapp.domain.safety_plans.queries import LockedPlan


def planned(team: Team) -> UUID:
    """Add a client who fears nobody and has a safety plan."""
    client_id: UUID = builders.client(team["coach"])
    builders.screen(team["coach"], client_id)
    safety_plans.write(team["coach"], client_id)
    return client_id


def write_over(team: Team, client_id: UUID, replaces: int) -> Callable[[], object]:
    """Return a function that writes the next version of a plan."""
    coach = team["coach"]
    return lambda: write_plan(
        coach,
        lock_plan(coach, client_id, SAFETY),
        NewPlan(safety_plans.answers()),
        replaces,
    )


def writing(team: Team) -> Race:
    """Write a plan while it is being written in another window: the first one is kept."""
    client_id: UUID = builders.client(team["coach"])
    write = write_over(team, client_id, 0)
    return Race(
        write, write, "stale", lambda: count(SafetyPlan, SafetyPlan.client_id == client_id) == 1
    )


def reviewing(team: Team) -> Race:
    """Record a review while the plan is being changed: what was reviewed is no longer the plan."""
    coach, client_id = team["coach"], planned(team)
    return Race(
        write_over(team, client_id, 1),
        lambda: record_review(coach, lock_plan(coach, client_id, SAFETY), NewReview(), 1),
        "stale",
    )


def showing(team: Team) -> Race:
    """Show a plan in the portal while something unsafe is being recorded."""
    coach, client_id = team["coach"], planned(team)
    return Race(
        lambda: set_manual_flag(coach, lock_client(coach, client_id), "unsafe_delivery"),
        lambda: show_in_portal(coach, lock_plan(coach, client_id, SAFETY), 1),
        "unsafe",
    )


def removing(team: Team) -> Race:
    """Remove a plan from the portal while somebody else removes it."""
    coach, client_id = team["coach"], planned(team)
    safety_plans.show(coach, client_id)

    def remove(plan: LockedPlan) -> None:
        remove_from_portal(coach, plan, 2)

    return Race(
        lambda: remove(lock_plan(coach, client_id, SAFETY)),
        lambda: remove(lock_plan(coach, client_id, SAFETY)),
        "not_shown",
    )


def completing(team: Team) -> Race:
    """Say that a plan was made while it is being written: it is on file then."""
    coach, made = team["coach"], builders.case(team["coach"])
    with transaction():
        recording_urgent(coach, made)()
    [task_id] = [
        task.id
        for task in list_client_followups(coach, made.client_id, open_only=True)
        if task.kind == "safety_plan"
    ]
    new = result_for("safety_plan", "done")
    return Race(
        write_over(team, made.client_id, 0),
        lambda: complete_task(coach, lock_followup(coach, task_id), new, 1),
    )


SAFETY_PLANS = {
    "write_plan": writing,
    "record_review": reviewing,
    "show_in_portal": showing,
    "remove_from_portal": removing,
    "complete_task": completing,
}
