"""The words of a transferred case's brief: the same on its page, in the file, in the API and on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.core.clock import now
from caseapp.domain.dashboard.timeline_events import HOLD_LABELS
from caseapp.domain.notes.codes import ADDENDUM_LABELS
from caseapp.domain.staffing.transfer_briefs import Brief, BriefSection, brief_pdf
from caseapp.http.case_texts import (
    describe_consent,
    describe_hold_reasons,
    describe_safe_contact,
    flag_tags,
)
from caseapp.http.template_helpers import clock_time, long_day

if TYPE_CHECKING:
    from datetime import datetime

    from caseapp.core.actor import Actor
    from caseapp.domain.notes.records import Addendum


def make_brief_pdf(actor: Actor, brief: Brief) -> bytes:
    """Make a brief as pages to print; neither the file nor its title says whose it is.

    Raises what `transfer_briefs.brief_pdf` raises.
    """
    number, heading = brief.context.case.number, describe_acceptance(brief)
    return brief_pdf(actor, number, heading, list_sections(brief))


def describe_acceptance(brief: Brief) -> str:
    """Describe from whom and when a case was accepted, and of when the brief is."""
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
    return (
        f"{many} {age}. Only {brief.former} can read and sign unsigned notes. Once their account is disabled, "
        "the client’s supervisor can read what is left and file it unsigned."
    )


def _list_plan(brief: Brief) -> list[str]:
    note = brief.plan
    if note is None:
        return ["There is no signed note with a plan."]
    signed = "written and never signed" if note.is_filed else "signed"
    lines = [
        f"From the session on {_describe_time(note.actual_session_at)}, {signed} by {note.author}."
    ]
    if not note.is_as_signed:
        lines.append("This note was changed after it was signed, so don’t rely on what it says.")
    lines.append(note.sections.get("plan", ""))
    return [*filter(None, lines), *map(_describe_addendum, note.addenda)]


def _describe_addendum(found: Addendum) -> str:
    where = ", before the note was moved here" if found.signed_elsewhere else ""
    signed_at = _describe_time(found.created_at)
    head = f"{ADDENDUM_LABELS[found.kind]}, signed by {found.author}, {signed_at}{where}."
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
