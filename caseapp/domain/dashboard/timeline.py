"""The timeline of a case: its records, from one statement for each table, and the events that they make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from caseapp.core.actor import Actor, require
from caseapp.core.database import db
from caseapp.core.errors import Invalid
from caseapp.core.pagination import Page, Window, in_any, newest_before, page_window
from caseapp.core.permissions import Action
from caseapp.domain.assignments.models import Assignment
from caseapp.domain.assignments.queries import is_current, select_assignments
from caseapp.domain.cases.queries import list_case_events
from caseapp.domain.cases.stages import stage_by_id
from caseapp.domain.dashboard.schemas import TimelineEvent
from caseapp.domain.followups.codes import RESULT_LABELS
from caseapp.domain.followups.queries import list_page_followups
from caseapp.domain.handouts.models import HandoutVersion
from caseapp.domain.handouts.queries import get_handouts_by_hash
from caseapp.domain.notes.codes import MODALITIES
from caseapp.domain.notes.queries import list_notes_in
from caseapp.domain.screening.events import (
    HoldInError,
    HoldOpened,
    HoldReleased,
    ScreeningInError,
    ScreeningRecorded,
)
from caseapp.domain.screening.history import get_safety_history
from caseapp.domain.screening.protocol import ITEMS_BY_KEY, LEVEL_LABELS, Level
from caseapp.domain.screening.rules import list_episodes
from caseapp.domain.worksheets.models import WorksheetResponse, WorksheetUpload

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from caseapp.domain.cases.queries import CaseContext, CaseEventRecord
    from caseapp.domain.followups.schemas import FollowUpRecord
    from caseapp.domain.handouts.library import Handout
    from caseapp.domain.notes.schemas import NoteRecord
    from caseapp.domain.screening.events import RecordedEvent
    from caseapp.domain.screening.history import SafetyHistory
    from caseapp.domain.screening.records import Hold, ScreeningRecord

EVENT_KINDS = ("session", "screening", "hold", "handout", "stage", "followup")
MAX_TEXT_LENGTH = 280
NO_PERSON = "the practice"
HOLD_LABELS = {"safety": "Safety hold", "care": "Care hold"}
CHANNEL_LABELS = {"portal": "in the portal", "print": "on paper", "in_person": "in person"}


@dataclass(frozen=True)
class Panels:
    """How much the panels beside a timeline show, from the same statements.

    `marks` is how many of the newest sessions and handouts the trend may show.
    """

    case_events: int = 0
    safety: bool = False
    followups: int = 0
    handouts: bool = False
    marks: int = 0


@dataclass(frozen=True)
class CaseRecords:
    """The records of a case that its timeline and the panels beside it show."""

    notes: list[NoteRecord]
    safety: SafetyHistory | None
    assignments: Sequence[Any]
    returned: Sequence[Any]
    case_events: list[CaseEventRecord]
    followups: list[FollowUpRecord]


def list_timeline(
    actor: Actor, context: CaseContext, *, kind: str | None, cursor: str | None, limit: int
) -> Page[TimelineEvent]:
    """List the events of a case, newest first, with one statement for each table.

    The caller has already found the case for this actor. Raises Invalid for an unknown kind or an invalid cursor.
    """
    require(actor, Action.CASE_READ)
    window = make_window(kind, cursor, limit)
    records = load_records(actor, context, window, kind, Panels())
    return build_timeline(context, records, window, kind)


def make_window(kind: str | None, cursor: str | None, limit: int) -> Window:
    """Return the window of a page of the timeline, one row longer than the page.

    Raises Invalid for an unknown kind or an invalid cursor.
    """
    if kind is not None and kind not in EVENT_KINDS:
        raise Invalid({"kind": [f"Choose one of: {', '.join(EVENT_KINDS)}."]})
    return page_window(cursor, limit)


def load_records(
    actor: Actor, context: CaseContext, window: Window, kind: str | None, panels: Panels
) -> CaseRecords:
    """Load what a page of the timeline and its panels show; `kind` leaves out the tables of other events."""
    client_id, key = context.case.client_id, context.key

    def windows(of_kind: str, newest: int = 0) -> list[Window]:
        if kind not in {None, of_kind}:
            return [Window(None, newest)] if newest else []
        if window.before is None:
            return [Window(None, max(window.rows, newest))]
        return [window, Window(None, newest)] if newest else [window]

    case_events = windows("stage", panels.case_events)
    sessions = windows("session", panels.marks)
    shows_handouts = kind in {None, "handout"}
    return CaseRecords(
        notes=list_notes_in(actor, context.case.id, *sessions) if sessions else [],
        safety=get_safety_history(client_id)
        if panels.safety or kind in {None, "screening", "hold"}
        else None,
        assignments=_list_assignments(
            context,
            window if shows_handouts else None,
            current=panels.handouts,
            newest=panels.marks,
        ),
        returned=_list_returned(context, window) if shows_handouts else [],
        case_events=list_case_events(context, *case_events) if case_events else [],
        followups=list_page_followups(
            context.client,
            key,
            {hold.id: list_episodes(hold) for hold in context.safety.holds}
            if panels.followups
            else {},
            open_limit=panels.followups,
            completed=window if kind in {None, "followup"} else None,
        ),
    )


def _list_assignments(
    context: CaseContext, window: Window | None, *, current: bool, newest: int
) -> Sequence[Any]:
    """List rows of `select_assignments`, newest first.

    They are those of a page, what the client has now, and so many of the newest ones of the case.
    """
    of_case, wanted = Assignment.case_id == context.case.id, []
    if window:
        read = (of_case, Assignment.read_at.is_not(None))
        wanted = [
            window.select(Assignment.assigned_at, Assignment.id, of_case),
            window.select(Assignment.read_at, Assignment.id, *read),
        ]
    if newest:
        wanted.append(Window(None, newest).select(Assignment.assigned_at, Assignment.id, of_case))
    if current:
        wanted.append(sa.select(Assignment.id).where(is_current(context.case.client_id)))
    if not wanted:
        return []
    return db.session.execute(
        select_assignments(in_any(Assignment.id, *wanted)).order_by(
            Assignment.assigned_at.desc(), Assignment.id.desc()
        )
    ).all()


def _list_returned(context: CaseContext, window: Window) -> Sequence[Any]:
    """List what the client has shared or sent back; answers they have not shared are left out."""
    parts = [
        sa.select(
            table.id,
            moment.label("occurred_at"),
            sa.literal(title).label("title"),
            Assignment.id.label("assignment_id"),
            HandoutVersion.sha256,
        )
        .join(Assignment, Assignment.id == table.assignment_id)
        .join(HandoutVersion, HandoutVersion.id == Assignment.handout_version_id)
        .where(Assignment.case_id == context.case.id, moment.is_not(None))
        for table, moment, title in (
            (WorksheetResponse, WorksheetResponse.shared_at, "Shared a worksheet with you"),
            (WorksheetUpload, WorksheetUpload.sent_at, "Sent back a PDF"),
        )
    ]
    both = sa.union_all(*parts).subquery()
    return db.session.execute(
        newest_before(sa.select(both), both.c.occurred_at, both.c.id, window.before, window.rows)
    ).all()


def build_timeline(
    context: CaseContext, records: CaseRecords, window: Window, kind: str | None
) -> Page[TimelineEvent]:
    """Build a page of the timeline; causes no database query."""
    events = (event for event in _list_events(context, records) if kind in {None, event.kind})
    return window.make_page(events, lambda event: (event.occurred_at, event.id))


def _list_events(context: CaseContext, records: CaseRecords) -> Iterator[TimelineEvent]:
    texts = get_handouts_by_hash(row.sha256 for row in (*records.assignments, *records.returned))
    yield from map(_session, records.notes)
    if records.safety:
        yield from _list_safety_events(records.safety)
    for row in records.assignments:
        if row.case_id == context.case.id:
            yield _assigned(row, texts[row.sha256])
            if row.read_at:
                yield _read(context, row, texts[row.sha256])
    for row in records.returned:
        yield _returned(context, row, texts[row.sha256])
    for event in records.case_events:
        yield _case_event(context, event)
    for task in records.followups:
        if task.completed_at:
            yield _completed_followup(task, task.completed_at)


def _list_safety_events(history: SafetyHistory) -> Iterator[TimelineEvent]:
    screenings = {screening.id: screening for screening in history.all_screenings}
    for event in history.events:
        if isinstance(event.fact, ScreeningRecorded):
            yield _screening(screenings[event.id], event)
        elif isinstance(event.fact, ScreeningInError):
            yield _screening_in_error(event.fact, event)
        elif isinstance(event.fact, HoldInError):
            yield _hold_in_error(history.holds[event.fact.hold_id], event)
        elif isinstance(event.fact, HoldOpened):
            yield _hold_opened(history.holds[event.id], event)
        elif isinstance(event.fact, HoldReleased):
            yield _hold_released(history.holds[event.fact.hold_id], event.fact, event)


def shorten(text: str) -> str:
    """Cut a long text between words, for one line of a timeline."""
    plain = " ".join(text.split())
    if len(plain) <= MAX_TEXT_LENGTH:
        return plain
    return f"{plain[:MAX_TEXT_LENGTH].rsplit(' ', 1)[0]} …"


def _session(note: NoteRecord) -> TimelineEvent:
    length = f", {note.minutes} min" if note.minutes else ""
    return TimelineEvent(
        id=note.id,
        occurred_at=note.session_at,
        kind="session",
        title="Session",
        byline=f"{note.author}, {MODALITIES.get(note.modality, note.modality).lower()}{length}",
        text=shorten(next((text for _, _, text in note.ordered_sections if text), "")),
        badge="Draft" if note.status == "draft" else "Signed",
        levels=None,
        link_kind="note",
        link_id=note.id,
    )


def _screening(found: ScreeningRecord, event: RecordedEvent) -> TimelineEvent:
    return TimelineEvent(
        id=found.id,
        occurred_at=found.recorded_at,
        kind="screening",
        title="Screening",
        byline=event.recorded_by_name or NO_PERSON,
        text=found.comment,
        badge="Recorded in error" if found.in_error else "Asked alone" if found.asked_alone else "",
        levels=found.counting,
        link_kind="screening",
        link_id=found.id,
    )


def _screening_in_error(fact: ScreeningInError, event: RecordedEvent) -> TimelineEvent:
    return TimelineEvent(
        id=event.id,
        occurred_at=event.recorded_at,
        kind="screening",
        title="Screening marked as recorded in error",
        byline=event.recorded_by_name or NO_PERSON,
        text=shorten(fact.reason),
        badge="",
        levels=None,
        link_kind="screening",
        link_id=fact.screening_id,
    )


def _hold_in_error(hold: Hold, event: RecordedEvent) -> TimelineEvent:
    return TimelineEvent(
        id=event.id,
        occurred_at=event.recorded_at,
        kind="hold",
        title=f"{HOLD_LABELS[hold.kind]} ended",
        byline=event.recorded_by_name or NO_PERSON,
        text="Its answers were recorded in error. It was not released.",
        badge="Recorded in error",
        levels=None,
        link_kind="hold",
        link_id=hold.id,
    )


def _describe_hold(hold: Hold) -> str:
    highest: dict[str, int] = {}
    for reason in hold.standing or hold.reasons:
        highest[reason["item"]] = max(highest.get(reason["item"], 0), reason["level"])
    parts = [
        f"{ITEMS_BY_KEY[key].label} at {LEVEL_LABELS[Level(level)].lower()}"
        for key, level in highest.items()
    ]
    return f"{'; '.join(parts)}." if parts else ""


def _hold_opened(hold: Hold, event: RecordedEvent) -> TimelineEvent:
    return TimelineEvent(
        id=hold.id,
        occurred_at=hold.opened_at,
        kind="hold",
        title=f"{HOLD_LABELS[hold.kind]} opened",
        byline=event.recorded_by_name or NO_PERSON,
        text=_describe_hold(hold),
        badge="Open" if hold.released_at is None else "",
        levels=None,
        link_kind="hold",
        link_id=hold.id,
    )


def _hold_released(hold: Hold, fact: HoldReleased, event: RecordedEvent) -> TimelineEvent:
    return TimelineEvent(
        id=hold.id,
        occurred_at=event.recorded_at,
        kind="hold",
        title=f"{HOLD_LABELS[hold.kind]} released",
        byline=event.recorded_by_name or NO_PERSON,
        text=shorten(fact.reason),
        badge="",
        levels=None,
        link_kind="hold",
        link_id=hold.id,
    )


def _describe_version(handout: Handout) -> str:
    return f"“{handout.title}”, version {handout.version}."


def _assigned(row: Any, handout: Handout) -> TimelineEvent:  # noqa: ANN401 - a result row
    channel = CHANNEL_LABELS.get(row.channel, row.channel)
    return TimelineEvent(
        id=row.id,
        occurred_at=row.assigned_at,
        kind="handout",
        title="Handout assigned",
        byline=f"{row.assigned_by_name or NO_PERSON}, {channel}",
        text=_describe_version(handout),
        badge="Withdrawn" if row.withdrawn_at else "",
        levels=None,
        link_kind="assignment",
        link_id=row.id,
    )


def _read(context: CaseContext, row: Any, handout: Handout) -> TimelineEvent:  # noqa: ANN401
    channel = CHANNEL_LABELS.get(row.channel, row.channel)
    return TimelineEvent(
        id=row.id,
        occurred_at=row.read_at,
        kind="handout",
        title="Handout read",
        byline=f"{context.client.preferred_name}, {channel}",
        text=_describe_version(handout),
        badge="",
        levels=None,
        link_kind="assignment",
        link_id=row.id,
    )


def _returned(context: CaseContext, row: Any, handout: Handout) -> TimelineEvent:  # noqa: ANN401
    return TimelineEvent(
        id=row.id,
        occurred_at=row.occurred_at,
        kind="handout",
        title=row.title,
        byline=context.client.preferred_name,
        text=_describe_version(handout),
        badge="",
        levels=None,
        link_kind="answers",
        link_id=row.assignment_id,
    )


def _case_event(context: CaseContext, event: CaseEventRecord) -> TimelineEvent:
    return TimelineEvent(
        id=event.id,
        occurred_at=event.occurred_at,
        kind="stage",
        title=_describe_case_event(event),
        byline=event.recorded_by_name or NO_PERSON,
        text=shorten(event.reason or ""),
        badge="",
        levels=None,
        link_kind="case",
        link_id=context.case.id,
    )


def _describe_case_event(event: CaseEventRecord) -> str:
    if event.kind == "moved" and event.to_stage in stage_by_id():
        stage = stage_by_id()[event.to_stage]
        return f"Moved to stage {stage.number}, {stage.title}"
    return f"Case {event.kind}"


def _completed_followup(task: FollowUpRecord, completed_at: datetime) -> TimelineEvent:
    return TimelineEvent(
        id=task.id,
        occurred_at=completed_at,
        kind="followup",
        title=task.title,
        byline=task.completed_by_name or NO_PERSON,
        text=shorten(task.note or ""),
        badge=RESULT_LABELS[task.result or "done"],
        levels=None,
        link_kind="followup",
        link_id=task.id,
    )
