"""A case as a chronological record on paper: its timeline, the oldest first, with every signed note in full."""

from __future__ import annotations

import html as markup
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from caseapp.core import pdf
from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import Reason, RuleBroken
from caseapp.core.fonts import find_missing_glyphs
from caseapp.core.i18n import format_date
from caseapp.core.permissions import Action
from caseapp.core.reads import List, note_list
from caseapp.core.templating import render_text
from caseapp.domain.clients.models import Client
from caseapp.domain.clients.visibility import looks_after_client
from caseapp.domain.dashboard.earlier_events import list_earlier_events
from caseapp.domain.dashboard.timeline import Panels, build_timeline, load_records
from caseapp.domain.dashboard.timeline_filter import EVENT_KINDS, KIND_LABELS
from caseapp.domain.merges.queries import list_earlier_records
from caseapp.domain.notes.amendment_queries import list_amendments
from caseapp.domain.notes.codes import ADDENDUM_LABELS, FORMAT_LABELS
from caseapp.domain.notes.cosign_queries import list_returns
from caseapp.domain.practice.queries import get_practice
from caseapp.domain.screening.protocol import ITEMS_BY_KEY, LEVEL_LABELS, Level

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from caseapp.domain.cases.queries import CaseContext
    from caseapp.domain.dashboard.schemas import TimelineEvent
    from caseapp.domain.dashboard.timeline_filter import TimelineFilter
    from caseapp.domain.merges.queries import EarlierRecord
    from caseapp.domain.notes.amendment_records import AmendmentRequest
    from caseapp.domain.notes.records import NoteRecord, ReturnRecord

MAX_NOTES = 40
"""So many notes take about four seconds to lay out; the design of the record has the figures."""
MAX_EVENTS = 200
MAX_PAGES = 200
TOO_LONG = Reason(
    "record_too_long",
    f"This is more than {MAX_NOTES} notes or {MAX_EVENTS} events, which is too much for one PDF.",
    "Choose a shorter period above, such as one year at a time, or fewer kinds of event.",
)
ONLY_READING = Reason(
    "emergency_access",
    "Emergency access is for reading the record, so you can’t save a copy of it.",
    "Ask the client’s coach or their supervisor for one.",
)

WITHDRAWN = Reason(
    "consent_withdrawn",
    "The client has withdrawn consent, so no copy of the record can be made.",
    "If they give consent again, record it under Details, Consent.",
)


@dataclass(frozen=True)
class RecordEntry:
    """An event as the record shows it; `note` is the signed note of a session, `levels` are those of a screening.

    `returns` are the comments with which the note was returned to its author, `amendments` the client's requests to
    correct it.
    """

    event: TimelineEvent
    when: str
    levels: list[tuple[str, str]]
    note: NoteRecord | None = None
    returns: Sequence[ReturnRecord] = ()
    amendments: Sequence[AmendmentRequest] = ()


@dataclass(frozen=True)
class EarlierPart:
    """What was not merged of a record that was merged into the client's, as far as the filters say.

    How the client could be reached then is no part of it, nor the partner's name: the record on paper says neither.
    """

    record: EarlierRecord
    entries: list[RecordEntry]


@dataclass(frozen=True)
class RecordContents:
    """What the record of a case holds, as far as the filters say, the oldest first."""

    entries: list[RecordEntry]
    earlier: list[EarlierPart]

    @property
    def count(self) -> int:
        """The number of entries, also of those of earlier records."""
        return len(self.entries) + sum(len(part.entries) for part in self.earlier)


def make_record_pdf(actor: Actor, context: CaseContext, filters: TimelineFilter) -> bytes:
    """Make the record of a case that the actor sees, as far as the filters say; it is made anew and never stored.

    Drafts are no part of it. Every copy is an event of its own that names the filters. A character that no font of ours
    has stands as its code point. Raises RuleBroken if it is too long, if the client has withdrawn consent, or if the
    actor only reads the record by emergency access, and what `core.pdf` raises.
    """
    require(actor, Action.RECORD_EXPORT)
    case = context.case
    if not _looks_after(actor, context):
        raise RuleBroken(ONLY_READING)
    if context.client.consent_withdrawn_on is not None:
        raise RuleBroken(WITHDRAWN)
    contents = get_contents(actor, context, filters)
    details = {"format": "pdf"} | describe_filters(filters)
    content = pdf.render(
        render_html(actor, context, filters, contents), style="report.css", max_pages=MAX_PAGES
    )
    # Only a copy that exists: what can't be laid out was given to nobody.
    note_list(Action.RECORD_EXPORT, List({case.client_id}, "record", case.id, details, always=True))
    return content


def _looks_after(actor: Actor, context: CaseContext) -> bool:
    of_client = sa.select(Client.id).where(Client.id == context.case.client_id)
    return db.session.scalar(of_client.where(looks_after_client(actor, Client.id))) is not None


def describe_filters(filters: TimelineFilter) -> dict[str, Any]:
    """Return the kinds and days of a copy as codes for the log."""
    codes = {name: str(day) for name, day in vars(filters).items() if name != "kinds" and day}
    return {"kinds": sorted(filters.kinds), **codes}


def get_contents(
    actor: Actor, context: CaseContext, filters: TimelineFilter, *, for_client: bool = False
) -> RecordContents:
    """Load what the record of a case holds, as far as the filters say.

    `for_client` words the entries for the client, as `list_events` does. Raises RuleBroken if it is too much for one
    PDF.
    """
    zone = get_practice().zone
    window = filters.make_window(None, MAX_EVENTS)
    records = load_records(actor, context, window, filters.kinds, Panels())
    page = build_timeline(context, records, window, filters.kinds, for_client=for_client)
    notes = {note.id: note for note in records.notes if note.status == "signed"}
    shown = [event for event in page.items if event.link_kind != "note" or event.id in notes]
    printed = [notes[event.id] for event in shown if event.id in notes]
    if page.next or len(printed) > MAX_NOTES:
        raise RuleBroken(TOO_LONG)
    returns, amendments = list_returns(printed), list_amendments(printed)
    # Of notes that were moved away: an event of theirs has the id of the move.
    amendments |= {moved.id: [*moved.requests] for moved in records.moved_away}
    entries = [
        replace(
            _make_entry(event, zone),
            note=notes.get(event.id),
            returns=returns.get(event.id, ()),
            amendments=amendments.get(event.id, ()),
        )
        for event in reversed(shown)
    ]
    earlier = []
    for left in list_earlier_records(actor, context.case.client_id):
        events = list_earlier_events(context, left, for_client=for_client)
        chosen = (each for each in events if each.kind in filters.kinds)
        found = window.pick(chosen, lambda each: (each.occurred_at, each.id))
        earlier.append(EarlierPart(left, [_make_entry(each, zone) for each in reversed(found)]))
    contents = RecordContents(entries, earlier)
    if contents.count > MAX_EVENTS:
        raise RuleBroken(TOO_LONG)
    return contents


def _make_entry(event: TimelineEvent, zone: str) -> RecordEntry:
    levels = [
        (ITEMS_BY_KEY[key].label, "Not asked" if level is None else LEVEL_LABELS[Level(level)])
        for key, level in (event.levels or {}).items()
    ]
    return RecordEntry(event, format_moment(event.occurred_at, zone), levels)


def format_moment(moment: datetime, zone: str) -> str:
    """Format a day with a time of day, in the time zone `zone`."""
    local = moment.astimezone(ZoneInfo(zone))
    return f"{format_date(local.date())}, {local:%H:%M}"


def render_html(
    actor: Actor,
    context: CaseContext,
    filters: TimelineFilter,
    contents: RecordContents,
    *,
    withheld: Sequence[tuple[str, str]] = (),
) -> str:
    """Render the record of a case as a document.

    `withheld` says, with the reasons, what a client's copy leaves out; it doesn't say then which kinds were chosen.
    """
    practice = get_practice()
    values = {
        "practice": practice,
        "client": context.client.name,
        "number": context.case.number,
        "coach": context.coach,
        "printed_by": actor.name,
        "printed_at": format_moment(now(), practice.zone),
        "since": format_date(filters.since) if filters.since else "",
        "until": format_date(filters.until) if filters.until else "",
        "kinds": [KIND_LABELS[kind].lower() for kind in EVENT_KINDS if kind in filters.kinds]
        if len(filters.kinds) < len(EVENT_KINDS)
        else [],
        "entries": contents.entries,
        "count": contents.count,
        "earlier": contents.earlier,
        "withheld": withheld,
        "formats": FORMAT_LABELS,
        "addenda": ADDENDUM_LABELS,
        "format_date": format_date,
        "format_moment": lambda moment: format_moment(moment, practice.zone),
        "has_replaced": False,
    }
    html = render_text("pdf/record.html", values)
    if not (missing := find_missing_glyphs(markup.unescape(html))):
        return html
    html = render_text("pdf/record.html", values | {"has_replaced": True})
    return html.translate({ord(char): f"[U+{ord(char):04X}]" for char in missing})
