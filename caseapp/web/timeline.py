"""The timeline of a case: one stream of everything that happened, with filters in its address."""

from __future__ import annotations

from calendar import month_name
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from uuid import UUID

from flask import Blueprint, render_template, request, url_for

from caseapp.core.clock import now
from caseapp.core.errors import Invalid
from caseapp.core.pagination import PAGE_SIZE, make_cursor
from caseapp.core.permissions import Action
from caseapp.domain.cases.queries import get_case_context_by_number
from caseapp.domain.dashboard.case_page import CaseTimeline, get_case_timeline
from caseapp.domain.dashboard.record_printing import (
    MAX_EVENTS,
    MAX_NOTES,
    make_record_pdf,
)
from caseapp.domain.dashboard.timeline_filter import (
    EVENT_KINDS,
    EVERYTHING,
    KIND_LABELS,
    TimelineFilter,
    TimelineFilterSchema,
    build_filter,
)
from caseapp.http.downloads import pdf_response
from caseapp.http.forms import Body, FormPage, Forms, Sent
from caseapp.http.guard import current_actor
from caseapp.http.request_parsing import Form, load

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from caseapp.domain.dashboard.schemas import TimelineEvent

blueprint = Blueprint("timeline", __name__)

LAST_ID = UUID(int=2**128 - 1)
YEAR, QUARTER = 12, 3


@dataclass(frozen=True)
class TimelineView:
    """A page of the timeline of a case, with its filters as they were read from the address."""

    found: CaseTimeline
    form: Form
    filters: TimelineFilter


def load_timeline(number: str) -> TimelineView:
    """Load a page of the timeline of a case, as far as the filters say.

    Raises NotFound, and Invalid for an invalid cursor.
    """
    form, filters = read_filter()
    cursor = request.args.get("cursor")
    found = get_case_timeline(current_actor(), number, filters, cursor=cursor, limit=PAGE_SIZE)
    return TimelineView(found, form, filters)


page = FormPage(
    blueprint,
    "/case/<string:number>/timeline",
    Action.CASE_READ,
    load_timeline,
    client_of=lambda view: view.found.page.case.client_id,
)


@page.show
def timeline_page(view: TimelineView, forms: Forms) -> ResponseReturnValue:
    """Show a page of the timeline of a case, with its filters and the form for its PDF."""
    case, filters = view.found.page.case, view.filters
    first, last = case.opened_at.year, (case.closed_at or now()).year
    is_short = view.found.page.met.sessions <= MAX_NOTES * (last - first + 1)
    periods = list_periods(first, last, YEAR if is_short else QUARTER)
    answer = render_template(
        "timeline/timeline.html",
        context=view.found.page,
        tab="Timeline",
        page=view.found.timeline,
        form=view.form,
        is_filtered=filters != EVERYTHING,
        chosen=[
            *(("kind", kind) for kind in filters.kinds if filters.kinds != EVERYTHING.kinds),
            *(
                (name, day)
                for name, day in (("since", filters.since), ("until", filters.until))
                if day
            ),
        ],
        kinds=KIND_LABELS,
        kinds_in_links=_list_kinds(filters),
        periods=periods,
        max_notes=MAX_NOTES,
        max_events=MAX_EVENTS,
        forms=forms,
    )
    return (answer, 422) if view.form.errors else answer


@page.post(
    Action.RECORD_EXPORT,
    Body(TimelineFilterSchema, dict[str, Any]),
    rule="/case/<string:number>/timeline/pdf",
    refused="The PDF was not made",
    sends_file=True,
)
def print_record(found: dict[str, Any], sent: Sent) -> ResponseReturnValue:
    """Send the record of a case as a PDF, as far as the filters say; every copy is recorded."""
    number = sent.args["number"]
    context = get_case_context_by_number(sent.actor, number)
    content = make_record_pdf(sent.actor, context, build_filter(found))
    return pdf_response(content, f"record-{context.case.number}.pdf")


def _list_kinds(filters: TimelineFilter) -> list[str]:
    """List the kinds that an address has to name, none when all are shown."""
    return [
        kind for kind in EVENT_KINDS if kind in filters.kinds and filters.kinds != EVERYTHING.kinds
    ]


def list_periods(
    first: int, last: int, months: int = YEAR
) -> list[tuple[str, date | None, date | None]]:
    """List the years of a case with their days, without a gap: what happened before and after it belongs to one too.

    They are divided into parts of so many `months`. The client's contacts and screenings can be older than the case,
    and a case that is closed gets events still.
    """
    before = (f"before {first}", None, date(first - 1, 12, 31))
    starts = [
        date(year, month, 1) for year in range(first, last + 1) for month in range(1, 13, months)
    ]
    newest = starts[-1]
    found = [
        (_name_period(start, months), start, following - timedelta(days=1))
        for start, following in pairwise(starts)
    ]
    since = f"{month_name[newest.month]} {newest.year}" if months < YEAR else str(newest.year)
    return [before, *found, (f"since {since}", newest, None)]


def _name_period(start: date, months: int) -> str:
    if months == YEAR:
        return str(start.year)
    return f"{month_name[start.month]} to {month_name[start.month + months - 1]} {start.year}"


def read_filter() -> tuple[Form, TimelineFilter]:
    """Read the filter from the query string; with an error in it, everything is shown."""
    raw = {
        name: values if name == "kind" else values[0]
        for name, values in request.args.lists()
        if name in {"kind", "since", "until"} and any(value.strip() for value in values)
    }
    try:
        return Form(raw), build_filter(load(TimelineFilterSchema(), raw))
    except Invalid as error:
        return Form(raw, error.fields), EVERYTHING


@blueprint.app_template_global("event_address")
def find_event_address(number: str, event: TimelineEvent) -> str:
    """Return the address of what an event is about; in a long list it starts the page."""
    link = event.link_id
    if event.link_kind == "note":
        return url_for("notes.note_page", note_id=link)
    if event.link_kind == "answers":
        return url_for("worksheets.shared_answers_page", number=number, assignment_id=link)
    if event.link_kind == "plan":
        return url_for("safety_plans.plan_page", number=number, plan_id=link)
    if event.link_kind == "contact":
        cursor, anchor = make_cursor(event.occurred_at, LAST_ID), f"contact-{link}"
        return url_for("contacts.contact_log", number=number, cursor=cursor, _anchor=anchor)
    if event.link_kind == "followup":
        anchor = f"task-{link}"
        return url_for("followups.case_followups", number=number, done="yes", _anchor=anchor)
    endpoint, anchor = {
        "screening": ("screenings.screening_page", f"screening-{link}"),
        "circumstance": ("screenings.screening_page", "circumstances-h"),
        "hold": ("holds.hold_page", f"hold-{link}"),
        "assignment": ("assignments.case_handouts", f"assignment-{link}"),
        "case": ("cases.stage_page", ""),
        "moved_note": ("notes.case_notes", ""),
    }[event.link_kind]
    return url_for(endpoint, number=number, _anchor=anchor or None)
