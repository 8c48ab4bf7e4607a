"""Pages for a client's safety plans: the overview of both, and one plan with its versions and forms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flask import Blueprint, render_template, url_for

from caseapp.core.permissions import Action
from caseapp.domain.cases.queries import lock_case
from caseapp.domain.practice.queries import get_practice_info
from caseapp.domain.safety_plans.codes import CHANGE_LABELS, FORMS, MAX_LENGTH
from caseapp.domain.safety_plans.operations import (
    record_review,
    remove_from_portal,
    show_in_portal,
    write_plan,
)
from caseapp.domain.safety_plans.printing import list_help_lines, plan_pdf
from caseapp.domain.safety_plans.queries import (
    LockedPlan,
    find_kind,
    get_plan_id,
    get_usual_review_day,
    list_versions,
    lock_plan,
)
from caseapp.domain.safety_plans.rules import (
    find_current,
    list_asked_kinds,
    list_changed_steps,
    list_portal_blockers,
)
from caseapp.domain.safety_plans.schemas import (
    NewPlan,
    NewReview,
    PlanFormSchema,
    PortalWishSchema,
    ReviewSchema,
)
from caseapp.http.downloads import pdf_response
from caseapp.http.forms import BUTTON, Body, Done, FormPage, Forms, Sent
from caseapp.http.guard import needs
from caseapp.web.case_header import load_case_context

if TYPE_CHECKING:
    from uuid import UUID

    from flask.typing import ResponseReturnValue

    from caseapp.core.actor import Actor
    from caseapp.core.errors import Reason
    from caseapp.domain.dashboard.case_page import CasePage
    from caseapp.domain.safety_plans.codes import PlanForm
    from caseapp.domain.safety_plans.schemas import PlanVersion

blueprint = Blueprint("safety_plans", __name__)


@blueprint.get("/case/<string:number>/plan")
@needs(Action.PLAN_READ)
def plan_list(number: str) -> ResponseReturnValue:
    """Show which plans a client has, and which ones an open hold asks for."""
    context = load_case_context(number)
    versions = list_versions(context.case.client_id, context.key)
    holds = [hold for hold in context.safety.holds if hold.kind == "safety"]
    reasons = [reason for hold in holds for reason in hold.reasons]
    return render_template(
        "safety_plans/plan_list.html",
        context=context,
        tab="Safety plan",
        plans=[
            (get_plan_id(kind, context.key), form, find_current(versions, kind))
            for kind, form in FORMS.items()
        ],
        asked={FORMS[kind].title for kind in list_asked_kinds(reasons)} if reasons else set(),
    )


@dataclass(frozen=True)
class PlanView:
    """One plan of a case's client, with its versions, oldest first."""

    context: CasePage
    kind: str
    versions: tuple[PlanVersion, ...]

    @property
    def form(self) -> PlanForm:
        """The form of the plan."""
        return FORMS[self.kind]

    @property
    def current(self) -> PlanVersion | None:
        """The newest version."""
        return self.versions[-1] if self.versions else None

    @property
    def portal_blockers(self) -> list[Reason]:
        """Why the plan may not be in the portal now."""
        context = self.context
        fear = context.safety.answers.get("fear_at_home")
        return list_portal_blockers(self.kind, context.client, context.safety.flags, fear)

    @property
    def history(self) -> list[tuple[PlanVersion, list[str]]]:
        """The versions, newest first, each with the steps that it changed."""
        pairs = zip((None, *self.versions), self.versions, strict=False)
        return [(after, list_changed_steps(before, after)) for before, after in pairs][::-1]


def load_plan(number: str, plan_id: UUID) -> PlanView:
    """Load one plan of a case's client.

    Raises NotFound.
    """
    context = load_case_context(number)
    kind = find_kind(plan_id, context.key)
    versions = list_versions(context.case.client_id, context.key)
    return PlanView(context, kind, tuple(one for one in versions if one.kind == kind))


page = FormPage(
    blueprint,
    "/case/<string:number>/plan/<uuid:plan_id>",
    Action.PLAN_READ,
    load_plan,
    client_of=lambda view: view.context.case.client_id,
)


@page.show
def plan_page(view: PlanView, forms: Forms) -> str:
    """Show a plan with the form to write or change it, and its versions."""
    return render_template(
        "safety_plans/plan.html",
        context=view.context,
        tab="Safety plan",
        view=view,
        forms=forms,
        plan_id=forms.args["plan_id"],
        help_lines=list_help_lines(view.kind, get_practice_info().help_lines),
        change_labels=CHANGE_LABELS,
        max_length=MAX_LENGTH,
    )


def lock_plan_of_case(actor: Actor, number: str, plan_id: UUID) -> LockedPlan:
    """Lock the client of a case, then load one of their plans.

    Raises Forbidden and NotFound.
    """
    return lock_plan(actor, lock_case(actor, number).case.client_id, plan_id)


def plan_values(plan: PlanView | LockedPlan) -> dict[str, Any]:
    """Return what the plan's form shows untouched: the newest text, and the usual day of the next review."""
    answers = plan.current.answers if plan.current else {}
    steps = {step.key: answers.get(step.key, "") for step in FORMS[plan.kind].steps}
    return {**steps, "note": "", "review_on": get_usual_review_day()}


def step_labels() -> dict[str, str]:
    """Return what each step is called, by the name of its field."""
    return {step.key: step.heading for form in FORMS.values() for step in form.steps}


@page.form(
    Action.PLAN_WRITE,
    Body(PlanFormSchema, NewPlan),
    lock=lock_plan_of_case,
    values=plan_values,
    labels=step_labels,
    refused="The plan was not saved",
)
def save(plan: LockedPlan, new: NewPlan, sent: Sent) -> Done:
    """Save a plan as a new version."""
    write_plan(sent.actor, plan, new, sent.version)
    return Done(_address(sent), "plan_saved")


def review_values(_plan: PlanView | LockedPlan) -> dict[str, Any]:
    """Return what the form of a review shows untouched."""
    return {"review_note": "", "next_review_on": get_usual_review_day()}


@page.form(
    Action.PLAN_WRITE,
    Body(ReviewSchema, NewReview),
    lock=lock_plan_of_case,
    rule="/case/<string:number>/plan/<uuid:plan_id>/review",
    values=review_values,
    refused="The review was not recorded",
)
def review(plan: LockedPlan, new: NewReview, sent: Sent) -> Done:
    """Record that coach and client went through the plan."""
    record_review(sent.actor, plan, new, sent.version)
    return Done(_address(sent), "plan_reviewed")


@page.form(
    Action.PLAN_WRITE,
    Body(PortalWishSchema, dict[str, Any]),
    lock=lock_plan_of_case,
    rule="/case/<string:number>/plan/<uuid:plan_id>/portal",
    refused="The plan can’t be in the portal now",
)
def show(plan: LockedPlan, _wish: dict[str, Any], sent: Sent) -> Done:
    """Show a plan in the portal, since the client wants it there."""
    show_in_portal(sent.actor, plan, sent.version)
    return Done(_address(sent), "plan_shown")


@page.form(
    Action.PLAN_WRITE,
    BUTTON,
    lock=lock_plan_of_case,
    rule="/case/<string:number>/plan/<uuid:plan_id>/portal/remove",
    refused="The plan was not removed from the portal",
)
def remove(plan: LockedPlan, _body: dict[str, Any], sent: Sent) -> Done:
    """Remove a plan from the portal."""
    remove_from_portal(sent.actor, plan, sent.version)
    return Done(_address(sent), "plan_removed")


def _address(sent: Sent) -> str:
    return url_for("safety_plans.plan_page", **sent.args)


@blueprint.get("/case/<string:number>/plan/<uuid:plan_id>/plan.pdf")
@needs(Action.PLAN_READ)
def download(number: str, plan_id: UUID) -> ResponseReturnValue:
    """Return a plan's newest version as one page to print.

    Raises NotFound before there is one.
    """
    view = load_plan(number, plan_id)
    client, info = view.context.client, get_practice_info()
    return pdf_response(plan_pdf(view.current, client, info, discreet=False), "plan.pdf")
