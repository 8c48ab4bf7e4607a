"""The brief of a transferred case: its page, and the file that the new coach prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Blueprint, render_template

from caseapp.core.permissions import Action
from caseapp.domain.staffing.transfer_briefs import Brief, get_brief
from caseapp.http.briefs import describe_acceptance, list_sections, make_brief_pdf
from caseapp.http.downloads import pdf_response
from caseapp.http.forms import BUTTON, FormPage, Forms, Sent
from caseapp.http.guard import current_actor

if TYPE_CHECKING:
    from uuid import UUID

    from flask.typing import ResponseReturnValue

blueprint = Blueprint("briefs", __name__)


def load_brief(accepted_id: UUID) -> Brief:
    """Load the brief of a case that the person accepted.

    Raises NotFound.
    """
    return get_brief(current_actor(), accepted_id)


page = FormPage(blueprint, "/transfers/<uuid:accepted_id>/brief", Action.CASE_READ, load_brief)


@page.show
def brief_page(brief: Brief, forms: Forms) -> str:
    """Show the new coach what to know about a case that they accepted."""
    return render_template(
        "transfers/brief.html",
        brief=brief,
        heading=describe_acceptance(brief),
        sections=list_sections(brief),
        forms=forms,
    )


@page.post(
    Action.CASE_EXPORT,
    BUTTON,
    rule="/transfers/<uuid:accepted_id>/brief/file",
    refused="Not downloaded",
    sends_file=True,
)
def download(_body: dict[str, Any], sent: Sent) -> ResponseReturnValue:
    """Return the brief as a PDF; neither its file name nor its title says whose it is."""
    brief = get_brief(sent.actor, sent.args["accepted_id"])
    return pdf_response(make_brief_pdf(sent.actor, brief), "brief.pdf")
