"""Rules for safety plans: what is missing, which plan a hold asks for, and when one may be in the portal. Pure."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from caseapp.core.errors import Reason, refuse_for
from caseapp.core.text import count_written
from caseapp.domain.clients.rules import UNSAFE_FLAGS, list_channel_blockers
from caseapp.domain.followups.codes import BEFORE_CREATION, SAFETY_PLAN
from caseapp.domain.safety_plans.codes import EXIT, FORMS, MAX_REVIEW_DAYS, SAFETY, WORKED_ON
from caseapp.domain.screening.protocol import LEVEL_RULES, Level

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import date

    from caseapp.domain.clients.queries import ClientRecord
    from caseapp.domain.safety_plans.queries import LockedPlan
    from caseapp.domain.safety_plans.schemas import PlanVersion
    from caseapp.domain.screening.records import Answer

NO_PLAN_YET = Reason(
    "no_plan_yet",
    "There is no such plan yet.",
    "Write it first, together with the client.",
)
NOT_SHOWN = Reason(
    "not_shown",
    "This plan isn’t in the portal.",
    "There is nothing to remove.",
)
EXIT_NEVER_SHOWN = Reason(
    "exit_plan",
    "An exit plan is never shown in the portal.",
    "Agree with the client where a copy on paper is safe.",
)
FEAR_NOT_EXCLUDED = Reason(
    "fear_not_excluded",
    "A plan can be in the portal only if the client, when asked alone, said that they fear nobody at home.",
    "Ask about fear at home when the client is alone, and record the screening.",
)
UNSAFE = Reason(
    "unsafe",
    "Somebody else may read what is sent to the client, so no plan can be in the portal.",
    "Agree with the client where a copy on paper is safe.",
)
_STEP_MISSING = "Write something here, even if it is only “nothing yet”."


def find_plan_faults(
    kind: str, answers: Mapping[str, str], review_on: date, today: date
) -> dict[str, list[str]]:
    """Find what is wrong with the text of a plan of this kind: messages by field, empty when all is right.

    Which steps no plan can be without is a product proposal, awaiting clinical sign-off.
    """
    steps = {step.key: step for step in FORMS[kind].steps}
    faults = {
        key: [_STEP_MISSING]
        for key, step in steps.items()
        if step.required and not count_written(answers.get(key, ""))
    }
    faults |= {
        key: ["This plan has no such step."]
        for key, text in answers.items()
        if text and key not in steps
    }
    return faults | find_review_faults(review_on, today)


def find_review_faults(review_on: date, today: date) -> dict[str, list[str]]:
    """Find what is wrong with the day of the next review."""
    if today <= review_on <= today + timedelta(days=MAX_REVIEW_DAYS):
        return {}
    return {"review_on": ["Choose today or a later day, within a year."]}


def review_due_at(review_on: date, zone: str) -> datetime:
    """Return when the follow-up for a review is due: at noon of its day in the practice's time zone."""
    return datetime.combine(review_on, time(12), ZoneInfo(zone))


def list_asked_kinds(reasons: Iterable[Mapping[str, Any]]) -> set[str]:
    """List the kinds of plan that the reasons of a hold ask for.

    Fear at home asks for an exit plan, every other answer that requires a plan for a safety plan; a client with both
    needs both, since one doesn't replace the other. Content map, section (d), and product proposal; awaiting clinical
    sign-off.
    """
    asked = {
        EXIT if reason["item"] == "fear_at_home" else SAFETY
        for reason in reasons
        if SAFETY_PLAN in LEVEL_RULES[reason["item"], Level(reason["level"])].actions
    }
    return asked or {SAFETY}


def list_plan_blockers(
    asked: Collection[str], versions: Iterable[PlanVersion], required_at: datetime
) -> list[Reason]:
    """List which of the plans asked for were neither written, changed nor reviewed since they were required."""
    since = required_at - BEFORE_CREATION
    done = {
        version.kind
        for version in versions
        if version.change in WORKED_ON and version.created_at >= since
    }
    return [
        Reason(
            "no_plan",
            f"The {FORMS[kind].title.lower()} has been neither written nor reviewed since this was required.",
            "Open the safety plan, go through it with the client, and save it or record the review.",
        )
        for kind in FORMS
        if kind in asked and kind not in done
    ]


def list_portal_blockers(
    kind: str, client: ClientRecord, flags: Collection[str], fear: Answer | None
) -> list[Reason]:
    """List why a plan of this kind may not be in a client's portal now; empty when it may.

    `flags` are the client's active flags, `fear` the answer about fear at home that counts now. Somebody who looks at
    the client's phone would read the plan, so that unknown fear counts as fear. Content map, section (e), 4c; product
    proposal, awaiting clinical sign-off.
    """
    if kind == EXIT:
        return [EXIT_NEVER_SHOWN]
    reasons = list_channel_blockers(client, flags, "portal")
    if not UNSAFE_FLAGS.isdisjoint(flags):
        reasons.append(UNSAFE)
    if fear is None or not fear.asked_alone or fear.level != Level.NONE:
        reasons.append(FEAR_NOT_EXCLUDED)
    return reasons


def check_exists(plan: LockedPlan) -> None:
    """Check that a plan has been written.

    Raises RuleBroken.
    """
    if not plan.versions:
        refuse_for([NO_PLAN_YET])


def check_show(plan: LockedPlan) -> None:
    """Check that a plan may be shown in the portal.

    Raises RuleBroken with every reason against it.
    """
    check_exists(plan)
    safety = plan.safety
    refuse_for(
        list_portal_blockers(
            plan.kind, plan.client.record, safety.flags, safety.answers.get("fear_at_home")
        )
    )


def check_remove(plan: LockedPlan) -> None:
    """Check that a plan is in the portal, or was before something barred it.

    Raises RuleBroken.
    """
    check_exists(plan)
    if plan.versions[-1].shown_on is None:
        refuse_for([NOT_SHOWN])


def list_changed_steps(before: PlanVersion | None, after: PlanVersion) -> list[str]:
    """List the labels of the steps whose text differs between two versions of a plan."""
    old = before.answers if before else {}
    return [
        step.heading
        for step in after.form.steps
        if old.get(step.key, "") != after.answers.get(step.key, "")
    ]


def find_current(versions: Sequence[PlanVersion], kind: str) -> PlanVersion | None:
    """Find the newest version of a kind; `versions` are oldest first."""
    return next((version for version in reversed(versions) if version.kind == kind), None)
