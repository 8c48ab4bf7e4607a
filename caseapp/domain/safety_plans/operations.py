"""Operations on safety plans: each adds a version and moves the follow-up for the next review."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import Invalid, Stale
from caseapp.core.ids import new_id
from caseapp.core.permissions import Action
from caseapp.core.vault import seal_padded_json
from caseapp.domain.audit.operations import record
from caseapp.domain.followups.codes import SAFETY_PLAN
from caseapp.domain.followups.operations import complete_followup, schedule_plan_review
from caseapp.domain.practice.queries import get_practice_info, today
from caseapp.domain.safety_plans.codes import (
    CHANGED,
    REMOVED,
    REVIEWED,
    SHOWN,
    WRITTEN,
)
from caseapp.domain.safety_plans.models import SafetyPlan
from caseapp.domain.safety_plans.queries import (
    get_usual_review_day,
    list_asked_plans,
    list_versions,
)
from caseapp.domain.safety_plans.rules import (
    check_exists,
    check_remove,
    check_show,
    find_plan_faults,
    find_review_faults,
    list_plan_blockers,
    review_due_at,
)

if TYPE_CHECKING:
    from datetime import date
    from uuid import UUID

    from caseapp.domain.followups.queries import LockedFollowUp
    from caseapp.domain.followups.schemas import NewResult
    from caseapp.domain.safety_plans.queries import LockedPlan
    from caseapp.domain.safety_plans.schemas import NewPlan, NewReview

BLOCK_SIZE = 4096
"""Contents have a multiple of so many bytes, so that their length doesn't tell which form of plan they are."""


def write_plan(actor: Actor, plan: LockedPlan, new: NewPlan, replaces: int) -> UUID:
    """Write a plan, or replace its text, as a new version; `replaces` is the version that it was made from, 0 for none.

    A plan that the client wants in the portal stays there. Raises Invalid naming each step that is missing or doesn't
    belong, or a wrong day, and Stale when there is a newer version.
    """
    require(actor, Action.PLAN_WRITE)
    _check_version(plan, replaces)
    review_on = new.review_on or get_usual_review_day()
    if faults := find_plan_faults(plan.kind, new.answers, review_on, today()):
        raise Invalid(faults)
    current = plan.current
    answers = {key: text for key, text in new.answers.items() if text}
    return _add_version(
        actor,
        plan,
        CHANGED if current else WRITTEN,
        answers,
        new.note,
        current.shown_on if current else None,
        review_on,
    )


def record_review(actor: Actor, plan: LockedPlan, new: NewReview, version: int) -> UUID:
    """Record that coach and client went through a plan and changed nothing.

    Raises RuleBroken when there is no plan, Invalid for a wrong day, and Stale.
    """
    require(actor, Action.PLAN_WRITE)
    check_exists(plan)
    _check_version(plan, version)
    review_on, current = new.review_on or get_usual_review_day(), plan.versions[-1]
    if faults := find_review_faults(review_on, today()):
        raise Invalid(faults)
    return _add_version(
        actor, plan, REVIEWED, current.answers, new.note, current.shown_on, review_on
    )


def show_in_portal(actor: Actor, plan: LockedPlan, version: int) -> UUID:
    """Show a plan in the portal, since the client has said today that they want it there.

    Raises RuleBroken when it may not be shown, and Stale.
    """
    require(actor, Action.PLAN_WRITE)
    check_show(plan)
    _check_version(plan, version)
    current = plan.versions[-1]
    return _add_version(actor, plan, SHOWN, current.answers, "", today(), current.review_on)


def remove_from_portal(actor: Actor, plan: LockedPlan, version: int) -> UUID:
    """Remove a plan from the portal.

    Raises RuleBroken when it isn't there, and Stale.
    """
    require(actor, Action.PLAN_WRITE)
    check_remove(plan)
    _check_version(plan, version)
    current = plan.versions[-1]
    return _add_version(actor, plan, REMOVED, current.answers, "", None, current.review_on)


def complete_task(actor: Actor, task: LockedFollowUp, new: NewResult, version: int) -> None:
    """Complete a follow-up with a result; one that asks for a plan is only done when the plan is on file.

    Raises what `complete_followup` raises.
    """
    blockers = []
    if task.facts.kind == SAFETY_PLAN and new.result == "done":
        blockers = list_plan_blockers(
            list_asked_plans(task.row),
            list_versions(task.row.client_id, task.key),
            task.row.created_at,
        )
    complete_followup(actor, task, new, version, plan_blockers=blockers)


def _check_version(plan: LockedPlan, version: int) -> None:
    if plan.version != version:
        raise Stale


def _add_version(
    actor: Actor,
    plan: LockedPlan,
    change: str,
    answers: Any,  # noqa: ANN401 - texts by step
    note: str,
    shown_on: date | None,
    review_on: date,
) -> UUID:
    client = plan.client
    row = SafetyPlan(
        id=new_id(),
        client_id=client.id,
        seq=plan.seq + 1,
        created_at=now(),
        created_by=actor.id,
        review_on=review_on,
    )
    content = {
        "kind": plan.kind,
        "change": change,
        "answers": dict(answers),
        "note": note,
        "shown_on": shown_on.isoformat() if shown_on else None,
    }
    row.content = seal_padded_json(row, "content", content, BLOCK_SIZE, client.key)
    db.session.add(row)
    db.session.flush()
    # A plan's kind, and whether it is in the portal, would tell what happened: the log says neither.
    record(actor, Action.PLAN_WRITE, "safety_plan", row.id, client_id=client.id)
    first = min([review_on, *(other.review_on for other in plan.others)])
    schedule_plan_review(actor, client, review_due_at(first, get_practice_info().practice.zone))
    return row.id
