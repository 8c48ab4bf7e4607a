"""The timeline of a case: its records, from one statement for each table, and the events that they make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from caseapp.core.actor import Actor, require
from caseapp.core.database import db
from caseapp.core.pagination import Page, Window, in_any
from caseapp.core.permissions import Action
from caseapp.domain.assignments.models import Assignment
from caseapp.domain.assignments.queries import is_current, select_assignments
from caseapp.domain.cases.evidence import list_evidence
from caseapp.domain.cases.queries import list_case_events
from caseapp.domain.contacts.queries import list_contacts_in
from caseapp.domain.dashboard.timeline_events import CASE_EVENT_KINDS, list_events
from caseapp.domain.followups.queries import list_page_followups
from caseapp.domain.handouts.models import HandoutVersion
from caseapp.domain.handouts.queries import list_newest_versions
from caseapp.domain.notes.move_queries import list_moved_away
from caseapp.domain.notes.queries import list_notes_in
from caseapp.domain.safety_plans.queries import list_versions
from caseapp.domain.screening.events import (
    HandoutAllowed,
    HoldInError,
    ScreeningInError,
    SecondPersonNamed,
)
from caseapp.domain.screening.history import get_safety_history
from caseapp.domain.screening.rules import list_episodes
from caseapp.domain.users.queries import get_user_names
from caseapp.domain.worksheets.models import WorksheetResponse, WorksheetUpload

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from uuid import UUID

    from caseapp.domain.cases.evidence import Evidence
    from caseapp.domain.cases.queries import CaseContext, CaseEventRecord
    from caseapp.domain.contacts.schemas import ContactRecord
    from caseapp.domain.dashboard.schemas import TimelineEvent
    from caseapp.domain.dashboard.timeline_filter import TimelineFilter
    from caseapp.domain.followups.schemas import FollowUpRecord
    from caseapp.domain.notes.records import MovedAway, NoteRecord
    from caseapp.domain.safety_plans.schemas import PlanVersion
    from caseapp.domain.screening.events import Fact
    from caseapp.domain.screening.history import SafetyHistory

FROM_SAFETY = frozenset({"screening", "hold", "followup"})
"""The kinds of a page that need a client's safety events: a correction says which follow-ups it ended."""


@dataclass(frozen=True)
class Panels:
    """How much the panels beside a timeline show, from the same statements.

    `case_events` is how many of the newest the header shows, which names the tasks of open holds too. `marks` is how
    many of the newest sessions and handouts the trend may show. With `evidence`, moves to another stage show what the
    coach attested, and with `moved_notes` sessions those whose notes were moved away; each takes a statement more.
    """

    case_events: int = 0
    evidence: bool = True
    moved_notes: bool = True
    safety: bool = False
    followups: int = 0
    handouts: bool = False
    marks: int = 0


@dataclass(frozen=True)
class CaseRecords:
    """The records of a case that its timeline and the panels beside it show.

    `names` are those of the people whom the safety events name, `titles` those of the handouts that they allow.
    """

    safety: SafetyHistory | None
    names: dict[UUID, str]
    titles: dict[str, str]
    plans: Sequence[PlanVersion]
    notes: Sequence[NoteRecord] = ()
    moved_away: Sequence[MovedAway] = ()
    contacts: Sequence[ContactRecord] = ()
    assignments: Sequence[Any] = ()
    returned: Sequence[Any] = ()
    case_events: Sequence[CaseEventRecord] = ()
    evidence: Sequence[Evidence] = ()
    followups: Sequence[FollowUpRecord] = ()


def list_timeline(
    actor: Actor, context: CaseContext, filters: TimelineFilter, *, cursor: str | None, limit: int
) -> Page[TimelineEvent]:
    """List the events of a case, newest first, with one statement for each table.

    The caller has already found the case for this actor. Raises Invalid for an invalid cursor.
    """
    require(actor, Action.CASE_READ)
    window = filters.make_window(cursor, limit)
    records = load_records(actor, context, window, filters.kinds, Panels())
    return build_timeline(context, records, window, filters.kinds)


def load_records(
    actor: Actor, context: CaseContext, window: Window, kinds: Collection[str], panels: Panels
) -> CaseRecords:
    """Load what a page of the timeline and its panels show; tables of events of no such kind are left out."""
    client_id, key = context.case.client_id, context.key
    sessions = [window] if "session" in kinds else []
    if panels.marks:
        sessions.append(Window(None, panels.marks))
    of_case = [kind for each in kinds for kind in CASE_EVENT_KINDS.get(each, ())]
    is_safety_shown = not FROM_SAFETY.isdisjoint(kinds)
    safety = get_safety_history(client_id) if panels.safety or is_safety_shown else None
    facts = [event.fact for event in safety.events] if safety and is_safety_shown else []
    tasks_of = _list_corrected(facts)
    if panels.case_events:
        tasks_of |= {hold.id: list_episodes(hold) for hold in context.safety.holds}
    return CaseRecords(
        notes=list_notes_in(actor, context.case.id, *sessions) if sessions else [],
        moved_away=list_moved_away(context.case.id)
        if panels.moved_notes and "session" in kinds
        else [],
        contacts=list_contacts_in(client_id, key, window) if "contact" in kinds else [],
        safety=safety,
        names=get_names(facts),
        titles=get_titles(facts),
        plans=list_versions(client_id, key) if "plan" in kinds else [],
        assignments=_list_assignments(
            context,
            window if "handout" in kinds else None,
            current=panels.handouts,
            newest=panels.marks,
        ),
        returned=_list_returned(context, window, kinds),
        case_events=list_case_events(
            context, panels.case_events, window if of_case else None, of_case
        )
        if panels.case_events or of_case
        else [],
        evidence=list_evidence(context) if panels.evidence and "stage" in kinds else [],
        followups=list_page_followups(
            context.client,
            key,
            tasks_of,
            open_limit=panels.followups,
            completed=window if "followup" in kinds else None,
        ),
    )


def _list_corrected(facts: Sequence[Fact]) -> dict[UUID, Collection[UUID]]:
    """List the screenings that were recorded in error, and the holds that ended with them, with the episode of each."""
    found: dict[UUID, Collection[UUID]] = {}
    for fact in facts:
        if isinstance(fact, ScreeningInError):
            found[fact.screening_id] = {fact.screening_id}
        elif isinstance(fact, HoldInError):
            found[fact.hold_id] = ()
    return found


def get_names(facts: Sequence[Fact]) -> dict[UUID, str]:
    """Return the names of the people whom safety events name."""
    people = {fact.user_id for fact in facts if isinstance(fact, SecondPersonNamed)}
    return get_user_names(people) if people else {}


def get_titles(facts: Sequence[Fact]) -> dict[str, str]:
    """Return the titles of the handouts that safety events allow."""
    if not any(isinstance(fact, HandoutAllowed) for fact in facts):
        return {}
    return {item.handout.id: item.handout.title for item in list_newest_versions()}


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


def _list_returned(context: CaseContext, window: Window, kinds: Collection[str]) -> Sequence[Any]:
    """List what the client has shared or sent back; answers they have not shared are left out."""
    parts = [
        sa.select(
            table.id,
            moment.label("occurred_at"),
            sa.literal(kind).label("kind"),
            sa.literal(title).label("title"),
            Assignment.id.label("assignment_id"),
            HandoutVersion.sha256,
        )
        .join(Assignment, Assignment.id == table.assignment_id)
        .join(HandoutVersion, HandoutVersion.id == Assignment.handout_version_id)
        .where(Assignment.case_id == context.case.id, moment.is_not(None))
        for table, moment, kind, title in (
            (
                WorksheetResponse,
                WorksheetResponse.shared_at,
                "handout",
                "Worksheet shared",
            ),
            (WorksheetUpload, WorksheetUpload.sent_at, "file", "PDF sent back"),
        )
        if kind in kinds
    ]
    if not parts:
        return []
    found = sa.union_all(*parts).subquery()
    return db.session.execute(
        window.narrow(sa.select(found), found.c.occurred_at, found.c.id)
    ).all()


def build_timeline(
    context: CaseContext,
    records: CaseRecords,
    window: Window,
    kinds: Collection[str],
    *,
    for_client: bool = False,
) -> Page[TimelineEvent]:
    """Build a page of the timeline; causes no database query. `for_client` is that of `list_events`."""
    found = list_events(context, records, for_client=for_client)
    events = (event for event in found if event.kind in kinds)
    return window.make_page(events, lambda event: (event.occurred_at, event.id))
