"""A safety plan as one printed page without names: whoever finds it doesn't learn whose it is or where it is from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.core import pdf
from caseapp.core.errors import NotFound
from caseapp.core.i18n import current_language, format_date, gettext, in_language
from caseapp.core.templating import render_text
from caseapp.domain.handouts.rendering import HelpLineEntry, list_help_line_entries
from caseapp.domain.practice.queries import local_day
from caseapp.domain.safety_plans.codes import FORMS

if TYPE_CHECKING:
    from caseapp.domain.clients.queries import ClientRecord
    from caseapp.domain.practice.queries import HelpLines, PracticeInfo
    from caseapp.domain.safety_plans.schemas import PlanVersion

MAX_HELP_LINES = 6
ROOMY_LINES = 34
CHARACTERS_IN_A_LINE = 80
"""About how many characters a line of a step holds, to choose a size in which the page is enough."""


def list_help_lines(kind: str, known: HelpLines) -> list[HelpLineEntry]:
    """List the help lines that stand on a plan of a kind: the emergency number, then the first others with a phone."""
    lines = list_help_line_entries(FORMS[kind].help_block, known)
    emergency = list_help_line_entries("crisis_block", known)[:1]
    others = [line for line in lines if line.phone and line not in emergency]
    return [*emergency, *others][:MAX_HELP_LINES]


def plan_pdf(
    plan: PlanVersion | None, client: ClientRecord, info: PracticeInfo, *, discreet: bool
) -> bytes:
    """Make the page of a plan in the client's language; `discreet` leaves out that it was made with a coach.

    It is made anew each time and never stored. Raises NotFound without a plan, and what `core.pdf` raises.
    """
    if plan is None:
        raise NotFound
    with in_language(client.language or info.practice.language):
        return pdf.render(_render_html(plan, info, discreet=discreet))


def _render_html(plan: PlanVersion, info: PracticeInfo, *, discreet: bool) -> str:
    lines = list_help_lines(plan.kind, info.help_lines)
    steps = [
        (step, plan.answers.get(step.key, ""), lines if step.key == plan.form.help_step else [])
        for step in plan.form.steps
        if plan.answers.get(step.key) or step.key == plan.form.help_step
    ]
    return render_text(
        "pdf/safety_plan.html",
        {
            "language": current_language(),
            "title": gettext("Your reading") if discreet else gettext("My plan"),
            "look": f"{info.practice.paper.lower()} {_choose_size(plan, len(lines))}".strip(),
            "steps": steps,
            "written_on": format_date(local_day(plan.worked_on_at)),
            "review_on": format_date(plan.review_on),
            "discreet": discreet,
        },
    )


def _choose_size(plan: PlanVersion, help_lines: int) -> str:
    """Choose the look in which everything fits on one page: the usual one, or a smaller one."""
    rows = sum(
        1 + len(line) // CHARACTERS_IN_A_LINE
        for text in plan.answers.values()
        for line in text.splitlines()
    )
    return "plan" if rows + help_lines <= ROOMY_LINES else "plan dense"
