"""The streams of a timeline: one query for each kind of event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from caseapp.core.database import db
from caseapp.core.pagination import newest_before
from caseapp.core.vault import unseal_column
from caseapp.domain.assignments.models import Assignment
from caseapp.domain.cases.models import CaseEvent
from caseapp.domain.cases.stages import stage_by_id
from caseapp.domain.dashboard.schemas import TimelineEvent
from caseapp.domain.followups.codes import TASK_LABELS
from caseapp.domain.followups.models import FollowUp
from caseapp.domain.handouts.models import HandoutVersion
from caseapp.domain.handouts.queries import get_handouts_by_hash
from caseapp.domain.notes.codes import MODALITIES
from caseapp.domain.notes.queries import list_notes_before
from caseapp.domain.screening.models import Hold, Screening
from caseapp.domain.screening.protocol import ITEMS_BY_KEY, LEVEL_LABELS, Level
from caseapp.domain.screening.queries import get_levels
from caseapp.domain.users.models import User
from caseapp.domain.worksheets.models import WorksheetResponse, WorksheetUpload

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime
    from uuid import UUID

    from caseapp.core.actor import Actor
    from caseapp.domain.cases.queries import CaseContext

EVENT_KINDS = ("session", "screening", "hold", "handout", "stage", "followup")
MAX_TEXT_LENGTH = 280
NO_PERSON = "the practice"
HOLD_LABELS = {"safety": "Safety hold", "care": "Care hold"}
CHANNEL_LABELS = {"portal": "on the portal", "print": "on paper", "in_person": "in person"}


@dataclass(frozen=True)
class PageBound:
    """Where a stream starts and how many rows it returns."""

    before: tuple[datetime, UUID] | None
    rows: int

    def run(self, query: sa.Select[*tuple[Any, ...]], moment: Any, key: Any) -> Sequence[Any]:  # noqa: ANN401
        """Return the rows of a query from this position on, newest first."""
        return db.session.execute(newest_before(query, moment, key, self.before, self.rows)).all()


def load_streams(
    actor: Actor, context: CaseContext, bound: PageBound, kinds: Iterable[str]
) -> list[list[TimelineEvent]]:
    """Run the queries for some kinds; each stream is ordered by time and id, newest first."""
    found: list[list[TimelineEvent]] = []
    for kind in kinds:
        if kind == "session":
            found.append(_sessions(actor, context, bound))
        elif kind == "screening":
            found.append(_screenings(context, bound))
        elif kind == "hold":
            found += [_holds_opened(context, bound), _holds_released(context, bound)]
        elif kind == "handout":
            found += [_assigned(context, bound), _read(context, bound), _returned(context, bound)]
        elif kind == "stage":
            found.append(_case_events(context, bound))
        else:
            found.append(_completed_followups(context, bound))
    return found


def shorten(text: str) -> str:
    """Cut a long text between words, for one line of a timeline."""
    plain = " ".join(text.split())
    if len(plain) <= MAX_TEXT_LENGTH:
        return plain
    return f"{plain[:MAX_TEXT_LENGTH].rsplit(' ', 1)[0]} …"


def _sessions(actor: Actor, context: CaseContext, bound: PageBound) -> list[TimelineEvent]:
    found = []
    for note in list_notes_before(actor, context.case.id, bound.before, bound.rows):
        length = f", {note.minutes} min" if note.minutes else ""
        draft = note.status == "draft"
        found.append(
            TimelineEvent(
                id=note.id,
                occurred_at=note.session_at,
                kind="session",
                title="Session",
                byline=f"{note.author}, {MODALITIES.get(note.modality, note.modality).lower()}{length}",
                text=shorten(next((text for _, _, text in note.ordered_sections if text), "")),
                badge="Draft" if draft else "Signed",
                levels=None,
                link_kind="note",
                link_id=note.id,
            )
        )
    return found


def _screenings(context: CaseContext, bound: PageBound) -> list[TimelineEvent]:
    query = (
        sa.select(Screening, User.name)
        .outerjoin(User, User.id == Screening.recorded_by)
        .where(Screening.client_id == context.case.client_id)
    )
    return [
        TimelineEvent(
            id=row.id,
            occurred_at=row.recorded_at,
            kind="screening",
            title="Screening",
            byline=name or NO_PERSON,
            text=unseal_column(row, "comment", context.key) or "",
            badge="Asked alone" if row.asked_alone else "",
            levels=get_levels(row),
            link_kind="screening",
            link_id=row.id,
        )
        for row, name in bound.run(query, Screening.recorded_at, Screening.id)
    ]


def _describe_hold(hold: Hold) -> str:
    highest: dict[str, int] = {}
    for reason in hold.reasons:
        highest[reason["item"]] = max(highest.get(reason["item"], 0), reason["level"])
    parts = [
        f"{ITEMS_BY_KEY[key].label} at {LEVEL_LABELS[Level(level)].lower()}"
        for key, level in highest.items()
    ]
    return f"{'; '.join(parts)}." if parts else ""


def _holds_opened(context: CaseContext, bound: PageBound) -> list[TimelineEvent]:
    query = (
        sa.select(Hold, User.name)
        .outerjoin(User, User.id == Hold.opened_by)
        .where(Hold.client_id == context.case.client_id)
    )
    return [
        TimelineEvent(
            id=row.id,
            occurred_at=row.opened_at,
            kind="hold",
            title=f"{HOLD_LABELS[row.kind]} opened",
            byline=name or NO_PERSON,
            text=_describe_hold(row),
            badge="Open" if row.released_at is None else "",
            levels=None,
            link_kind="hold",
            link_id=row.id,
        )
        for row, name in bound.run(query, Hold.opened_at, Hold.id)
    ]


def _holds_released(context: CaseContext, bound: PageBound) -> list[TimelineEvent]:
    query = (
        sa.select(Hold, User.name)
        .outerjoin(User, User.id == Hold.released_by)
        .where(Hold.client_id == context.case.client_id, Hold.released_at.is_not(None))
    )
    return [
        TimelineEvent(
            id=row.id,
            occurred_at=row.released_at,
            kind="hold",
            title=f"{HOLD_LABELS[row.kind]} released",
            byline=name or NO_PERSON,
            text=shorten(unseal_column(row, "release_reason", context.key) or ""),
            badge="",
            levels=None,
            link_kind="hold",
            link_id=row.id,
        )
        for row, name in bound.run(query, Hold.released_at, Hold.id)
    ]


def _assignments_query(context: CaseContext) -> sa.Select[Any, Any, Any]:
    return (
        sa.select(Assignment, HandoutVersion, User.name)
        .join(HandoutVersion, HandoutVersion.id == Assignment.handout_version_id)
        .outerjoin(User, User.id == Assignment.assigned_by)
        .where(Assignment.case_id == context.case.id)
    )


def _describe_version(handout_version: HandoutVersion) -> str:
    title = get_handouts_by_hash([handout_version.sha256])[handout_version.sha256].title
    return f"“{title}”, version {handout_version.number}."


def _assigned(context: CaseContext, bound: PageBound) -> list[TimelineEvent]:
    return [
        TimelineEvent(
            id=row.id,
            occurred_at=row.assigned_at,
            kind="handout",
            title="Handout assigned",
            byline=f"{name or NO_PERSON}, {CHANNEL_LABELS.get(row.channel, row.channel)}",
            text=_describe_version(handout_version),
            badge="Withdrawn" if row.withdrawn_at else "",
            levels=None,
            link_kind="assignment",
            link_id=row.id,
        )
        for row, handout_version, name in bound.run(
            _assignments_query(context), Assignment.assigned_at, Assignment.id
        )
    ]


def _read(context: CaseContext, bound: PageBound) -> list[TimelineEvent]:
    query = _assignments_query(context).where(Assignment.read_at.is_not(None))
    return [
        TimelineEvent(
            id=row.id,
            occurred_at=row.read_at,
            kind="handout",
            title="Handout read",
            byline=f"{context.client.preferred_name}, {CHANNEL_LABELS.get(row.channel, row.channel)}",
            text=_describe_version(handout_version),
            badge="",
            levels=None,
            link_kind="assignment",
            link_id=row.id,
        )
        for row, handout_version, _name in bound.run(query, Assignment.read_at, Assignment.id)
    ]


def _returned(context: CaseContext, bound: PageBound) -> list[TimelineEvent]:
    """List what the client has shared or sent back; answers they have not shared are left out."""
    parts = [
        sa.select(
            table.id,
            moment.label("occurred_at"),
            sa.literal(title).label("title"),
            Assignment.id.label("assignment_id"),
            Assignment.handout_version_id,
        )
        .join(Assignment, Assignment.id == table.assignment_id)
        .where(Assignment.case_id == context.case.id, moment.is_not(None))
        for table, moment, title in (
            (WorksheetResponse, WorksheetResponse.shared_at, "Shared a worksheet with you"),
            (WorksheetUpload, WorksheetUpload.sent_at, "Sent back a PDF"),
        )
    ]
    both = sa.union_all(*parts).subquery()
    query = sa.select(both, HandoutVersion).join(
        HandoutVersion, HandoutVersion.id == both.c.handout_version_id
    )
    return [
        TimelineEvent(
            id=row.id,
            occurred_at=row.occurred_at,
            kind="handout",
            title=row.title,
            byline=context.client.preferred_name,
            text=_describe_version(row.HandoutVersion),
            badge="",
            levels=None,
            link_kind="answers",
            link_id=row.assignment_id,
        )
        for row in bound.run(query, both.c.occurred_at, both.c.id)
    ]


def _case_events(context: CaseContext, bound: PageBound) -> list[TimelineEvent]:
    query = (
        sa.select(CaseEvent, User.name)
        .outerjoin(User, User.id == CaseEvent.recorded_by)
        .where(CaseEvent.case_id == context.case.id)
    )
    return [
        TimelineEvent(
            id=row.id,
            occurred_at=row.occurred_at,
            kind="stage",
            title=_describe_case_event(row),
            byline=name or NO_PERSON,
            text=shorten(unseal_column(row, "reason", context.key) or ""),
            badge="",
            levels=None,
            link_kind="case",
            link_id=row.case_id,
        )
        for row, name in bound.run(query, CaseEvent.occurred_at, CaseEvent.id)
    ]


def _describe_case_event(event: CaseEvent) -> str:
    if event.kind == "moved" and event.to_stage in stage_by_id():
        stage = stage_by_id()[event.to_stage]
        return f"Moved to stage {stage.number}, {stage.title}"
    return f"Case {event.kind}"


def _completed_followups(context: CaseContext, bound: PageBound) -> list[TimelineEvent]:
    query = (
        sa.select(FollowUp, User.name)
        .outerjoin(User, User.id == FollowUp.completed_by)
        .where(FollowUp.client_id == context.case.client_id, FollowUp.completed_at.is_not(None))
    )
    return [
        TimelineEvent(
            id=row.id,
            occurred_at=row.completed_at,
            kind="followup",
            title=TASK_LABELS.get(row.kind) or unseal_column(row, "title", context.key) or "",
            byline=name or NO_PERSON,
            text=shorten(unseal_column(row, "outcome", context.key) or ""),
            badge="Done",
            levels=None,
            link_kind="followup",
            link_id=row.id,
        )
        for row, name in bound.run(query, FollowUp.completed_at, FollowUp.id)
    ]
