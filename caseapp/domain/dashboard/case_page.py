"""A case as its pages show it: the header of each, and the overview, from one statement for each table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from caseapp.domain.assignments.queries import assignment_records
from caseapp.domain.assignments.reading import choose_handouts
from caseapp.domain.cases.queries import (
    MAX_CASE_EVENTS,
    CaseContext,
    CaseEventRecord,
    get_case_context_by_number,
    list_case_events,
)
from caseapp.domain.dashboard.last_met import get_last_met
from caseapp.domain.dashboard.timeline import (
    CaseRecords,
    Panels,
    build_timeline,
    load_records,
)
from caseapp.domain.dashboard.timeline_filter import EVERYTHING
from caseapp.domain.dashboard.trend import Mark, Trend, build_trend
from caseapp.domain.followups.queries import list_page_followups
from caseapp.domain.followups.rules import list_unfinished
from caseapp.domain.handouts.queries import get_handouts_by_hash
from caseapp.domain.screening.rules import list_episodes
from caseapp.domain.suitability.queries import recipient_in_case

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from caseapp.core.actor import Actor
    from caseapp.core.pagination import Page
    from caseapp.domain.assignments.schemas import AssignmentRecord
    from caseapp.domain.dashboard.schemas import LastMet, TimelineEvent
    from caseapp.domain.dashboard.timeline_filter import TimelineFilter
    from caseapp.domain.followups.schemas import FollowUpRecord
    from caseapp.domain.screening.records import Hold
    from caseapp.domain.suitability.schemas import Recommendation

MAX_MARKS = 25


@dataclass(frozen=True)
class CasePage(CaseContext):
    """A case with what the header of its pages shows.

    These are its newest events, when somebody was last in touch, and its open holds' tasks by due time.
    """

    events: tuple[CaseEventRecord, ...]
    met: LastMet
    followups: tuple[FollowUpRecord, ...]

    def list_required_actions(self, hold_id: UUID) -> list[FollowUpRecord]:
        """List the tasks that a hold requires, by due time; a screening's tasks belong to the strictest hold only."""
        return [task for task in self.followups if task.origin_id == hold_id]

    def group_required_actions(self, hold_id: UUID) -> list[list[FollowUpRecord]]:
        """List the tasks that a hold requires by episode.

        Open tasks come before completed ones, in each list and among the lists. Then each list is by due time, and the
        newest episode comes first: what was said last is what has to be done now.
        """
        groups: dict[UUID | None, list[FollowUpRecord]] = {}
        tasks = sorted(self.list_required_actions(hold_id), key=_is_completed)
        for task in tasks:
            groups.setdefault(task.episode_id, []).append(task)
        newest_first = sorted(
            groups.values(), key=lambda group: min(task.created_at for task in group), reverse=True
        )
        return sorted(newest_first, key=lambda group: _is_completed(group[0]))

    def list_open_kinds(self, hold: Hold) -> list[str]:
        """List the kinds of the tasks that still need a result, of every episode inside a hold, by due time."""
        episodes = list_episodes(hold)
        return list_unfinished(
            [
                task
                for task in self.followups
                if task.origin_id == hold.id or task.episode_id in episodes
            ]
        )


def _is_completed(task: FollowUpRecord) -> bool:
    return task.completed_at is not None


@dataclass(frozen=True)
class CaseOverview:
    """What the overview of a case shows: what happened last, the trend, what the client has and what is to do."""

    page: CasePage
    timeline: Page[TimelineEvent]
    trend: Trend | None
    handouts: list[AssignmentRecord]
    recommendation: Recommendation
    followups: list[FollowUpRecord]

    @property
    def suspended(self) -> list[AssignmentRecord]:
        """List the handouts that are suspended."""
        return [record for record in self.handouts if record.blockers]


def get_case_page(actor: Actor, number: str) -> CasePage:
    """Load a case by its number with what the header of its pages shows.

    Raises NotFound.
    """
    context = get_case_context_by_number(actor, number)
    events = list_case_events(context)
    holds = {hold.id: list_episodes(hold) for hold in context.safety.holds}
    followups = list_page_followups(context.client, context.key, holds) if holds else []
    met = get_last_met(context.case.id, context.case.client_id)
    return CasePage(**vars(context), events=tuple(events), met=met, followups=tuple(followups))


@dataclass(frozen=True)
class CaseTimeline:
    """A page of the timeline of a case."""

    page: CasePage
    timeline: Page[TimelineEvent]


def get_case_timeline(
    actor: Actor, number: str, filters: TimelineFilter, *, cursor: str | None, limit: int
) -> CaseTimeline:
    """Load a page of the timeline of a case by its number.

    Raises NotFound, and Invalid for an invalid cursor.
    """
    window = filters.make_window(cursor, limit)
    context = get_case_context_by_number(actor, number)
    records = load_records(actor, context, window, filters.kinds, Panels(MAX_CASE_EVENTS))
    return CaseTimeline(
        _build_page(context, records), build_timeline(context, records, window, filters.kinds)
    )


def _build_page(context: CaseContext, records: CaseRecords) -> CasePage:
    return CasePage(
        **vars(context),
        events=tuple(records.case_events[:MAX_CASE_EVENTS]),
        met=get_last_met(context.case.id, context.case.client_id),
        followups=tuple(records.followups),
    )


def get_case_overview(actor: Actor, number: str, *, limit: int) -> CaseOverview:
    """Load the overview of a case by its number; `limit` is how much each of its lists shows.

    Raises NotFound.
    """
    window = EVERYTHING.make_window(None, limit)
    panels = Panels(
        MAX_CASE_EVENTS,
        evidence=False,
        moved_notes=False,
        safety=True,
        followups=limit,
        handouts=True,
        marks=MAX_MARKS,
    )
    context = get_case_context_by_number(actor, number)
    records = load_records(actor, context, window, EVERYTHING.kinds, panels)
    rows = [row for row in records.assignments if row.withdrawn_at is None]
    current = assignment_records(rows, recipient_in_case(context))
    return CaseOverview(
        page=_build_page(context, records),
        timeline=build_timeline(context, records, window, EVERYTHING.kinds),
        trend=build_trend(records.safety, _list_marks(context, records), context.safety.as_of)
        if records.safety
        else None,
        handouts=[record for record in current if record.case_id == context.case.id],
        recommendation=choose_handouts(context, current).recommendation,
        followups=[task for task in records.followups if task.completed_at is None][:limit],
    )


def _list_marks(context: CaseContext, records: CaseRecords) -> Iterator[Mark]:
    """List the sessions and handouts that a case's trend can show."""
    texts = get_handouts_by_hash(row.sha256 for row in records.assignments)
    for note in records.notes:
        # A draft is no session yet.
        if note.status == "signed" and not note.in_error:
            yield Mark("session", note.actual_session_at)
    for row in records.assignments:
        if row.case_id == context.case.id:
            yield Mark("handout", row.assigned_at, title=texts[row.sha256].title)
