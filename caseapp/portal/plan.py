"""The client's safety plan, for a client who wants it in the portal: a page, and the same as a PDF."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import render_template

from caseapp.core.errors import NotFound
from caseapp.core.i18n import format_date
from caseapp.core.permissions import Action
from caseapp.domain.practice.queries import get_practice_info
from caseapp.domain.safety_plans.printing import list_help_lines, plan_pdf
from caseapp.domain.safety_plans.queries import find_own_plan
from caseapp.http.downloads import pdf_response
from caseapp.http.guard import current_actor, needs
from caseapp.http.template_helpers import local_date
from caseapp.portal.handouts import blueprint, neutral_pdf_error
from caseapp.portal.reading_list import get_coach_name

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

__all__ = ["blueprint"]


@blueprint.get("/plan")
@needs(Action.PORTAL_READ)
def plan_page() -> ResponseReturnValue:
    """Show the client's plan.

    Raises NotFound when there is none, when they don't want it here, and when it can't be here now: all look the same.
    """
    actor = current_actor()
    _, plan = find_own_plan(actor)
    if plan is None:
        raise NotFound
    help_lines = get_practice_info().help_lines
    return render_template(
        "portal/plan.html",
        plan=plan,
        written_on=local_date(plan.worked_on_at),
        review_on=format_date(plan.review_on),
        lines=list_help_lines(plan.kind, help_lines),
        emergency=help_lines.emergency,
        coach_name=get_coach_name(actor),
    )


@blueprint.get("/reading-plan.pdf")
@needs(Action.PORTAL_READ)
def plan_file() -> ResponseReturnValue:
    """Return the client's plan as a discreet PDF with a neutral file name.

    Raises NotFound as the page does.
    """
    client, plan = find_own_plan(current_actor())
    if plan is None:
        raise NotFound
    with neutral_pdf_error():
        content = plan_pdf(plan, client, get_practice_info(), discreet=True)
    return pdf_response(content, "reading-plan.pdf")
