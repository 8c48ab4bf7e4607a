"""The brief of a transferred case: its page, and the file that the new coach prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Blueprint, render_template

from caseapp.core.clock import now
from caseapp.core.permissions import Action
from caseapp.domain.dashboard.timeline_events import HOLD_LABELS
from caseapp.domain.notes.codes import ADDENDUM_LABELS
from caseapp.domain.staffing.transfer_briefs import Brief, BriefSection, brief_pdf, get_brief
from caseapp.http.downloads import pdf_response
from caseapp.http.forms import BUTTON, FormPage, Forms, Sent
from caseapp.http.guard import current_actor
from caseapp.http.template_helpers import clock_time, long_day
from caseapp.web.case_header import (
    describe_consent,
    describe_hold_reasons,
    describe_safe_contact,
    flag_tags,
)

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from flask.typing import ResponseReturnValue

    from caseapp.domain.notes.records import Addendum

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
        heading=_describe_acceptance(brief),
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
    number, heading = brief.context.case.number, _describe_acceptance(brief)
    return pdf_response(brief_pdf(sent.actor, number, heading, list_sections(brief)), "brief.pdf")


def _describe_acceptance(brief: Brief) -> str:
    return (
        f"Accepted from {brief.former} on {_describe_time(brief.accepted_at)}."
        f" As of {_describe_time(now())}."
    )


def list_sections(brief: Brief) -> list[BriefSection]:
    """List the parts of a brief, as they are shown and printed, with dates in full."""
    context = brief.context
    safe, unsafe = describe_safe_contact(context.client, context.safety.flags)
    holds = [
        f"{HOLD_LABELS[hold.kind]} since {long_day(hold.opened_at)}. {describe_hold_reasons(hold)}"
        for hold in context.safety.holds
    ]
    if flags := ", ".join(label for label, _ in flag_tags(context)):
        holds.append(f"Flags: {flags}.")
    due = [
        f"{task.title}: {'overdue since' if task.due_at < now() else 'due'} {_describe_time(task.due_at)}."
        for task in brief.due
    ]
    unread = [
        f"{one.handout.title}, assigned on {long_day(one.assigned_at)}"
        f"{', suspended' if one.blockers else ''}."
        for one in brief.unread
    ]
    return [
        BriefSection("Safe contact", tuple(filter(None, (f"Safe: {safe}", unsafe)))),
        BriefSection("Consent", (describe_consent(context.client),)),
        BriefSection("Open holds and flags", tuple(holds) or ("None.",)),
        BriefSection("Due within a week", tuple(due) or ("Nothing.",)),
        BriefSection("The former coach’s unsigned notes", (_describe_drafts(brief),)),
        BriefSection("Handouts not read yet", tuple(unread) or ("None.",)),
        BriefSection("Last plan", tuple(_list_plan(brief))),
    ]


def _describe_drafts(brief: Brief) -> str:
    if not brief.drafts:
        return "None."
    days = (now() - brief.drafts[0]).days
    age = "today" if days == 0 else "one day ago" if days == 1 else f"{days} days ago"
    count = len(brief.drafts)
    many = "One, begun" if count == 1 else f"{count}, the oldest begun"
    return f"{many} {age}. Only {brief.former} can read and sign unsigned notes."


def _list_plan(brief: Brief) -> list[str]:
    note = brief.plan
    if note is None:
        return ["There is no signed note with a plan."]
    lines = [
        f"From the session on {_describe_time(note.actual_session_at)}, signed by {note.author}."
    ]
    if not note.is_as_signed:
        lines.append("This note was changed after it was signed, so don’t rely on what it says.")
    lines.append(note.sections.get("plan", ""))
    return [*filter(None, lines), *map(_describe_addendum, note.addenda)]


def _describe_addendum(found: Addendum) -> str:
    head = f"{ADDENDUM_LABELS[found.kind]}, signed by {found.author}, {_describe_time(found.created_at)}."
    parts = [head, found.text]
    if found.session_at:
        parts.append(f"The session began on {_describe_time(found.session_at)}.")
    if found.minutes:
        parts.append(f"It lasted {found.minutes} minutes.")
    if found.reason:
        parts.append(f"Reason: {found.reason}")
    return "\n".join(filter(None, parts))


def _describe_time(moment: datetime) -> str:
    return f"{long_day(moment)}, {clock_time(moment)}"
