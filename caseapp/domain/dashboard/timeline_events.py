"""The events that the records of a case make in its timeline. Pure functions of what was loaded."""

from __future__ import annotations

from dataclasses import replace
from itertools import takewhile
from typing import TYPE_CHECKING, Any
from uuid import uuid5

from caseapp.domain.cases.evidence import pick_evidence
from caseapp.domain.cases.stages import stage_by_id
from caseapp.domain.dashboard.schemas import TimelineEvent
from caseapp.domain.followups.codes import IN_ERROR, RESULT_LABELS
from caseapp.domain.handouts.queries import get_handouts_by_hash
from caseapp.domain.notes.codes import MODALITIES
from caseapp.domain.safety_plans.codes import CHANGE_LABELS, REVIEWED
from caseapp.domain.screening.events import (
    CircumstanceEnded,
    FlagInError,
    HandoutAllowed,
    HoldInError,
    HoldOpened,
    HoldReleased,
    ScreeningInError,
    ScreeningRecorded,
    SecondPersonNamed,
)
from caseapp.domain.screening.protocol import CIRCUMSTANCES, ITEMS_BY_KEY, LEVEL_LABELS, Level
from caseapp.domain.screening.state import change_holds, list_ended_exceptions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from uuid import UUID

    from caseapp.domain.cases.evidence import Evidence
    from caseapp.domain.cases.queries import CaseContext, CaseEventRecord
    from caseapp.domain.contacts.schemas import ContactRecord
    from caseapp.domain.dashboard.timeline import CaseRecords
    from caseapp.domain.followups.schemas import FollowUpRecord
    from caseapp.domain.handouts.library import Handout
    from caseapp.domain.notes.records import MovedAway, NoteRecord
    from caseapp.domain.safety_plans.schemas import PlanVersion
    from caseapp.domain.screening.events import RecordedEvent
    from caseapp.domain.screening.history import SafetyHistory
    from caseapp.domain.screening.records import Hold

CASE_EVENT_KINDS = {
    "stage": ("opened", "moved", "closed", "reopened"),
    "coach": ("handed_over",),
}
"""The kinds of a case's own events that a kind of the timeline shows."""
NO_PERSON = "the practice"
HOLD_LABELS = {"safety": "Safety hold", "care": "Care hold"}
CHANNEL_LABELS = {"portal": "in the portal", "print": "on paper", "in_person": "in person"}


def list_events(
    context: CaseContext, records: CaseRecords, *, for_client: bool = False
) -> Iterator[TimelineEvent]:
    """List the events that the loaded records of a case make, in any order.

    `for_client` words them for a copy that the client reads: none says by which way coach and client were in touch, nor
    speaks of the client to somebody else.
    """
    texts = get_handouts_by_hash(row.sha256 for row in (*records.assignments, *records.returned))
    yield from (_session(note, for_client=for_client) for note in records.notes)
    for moved in records.moved_away:
        yield _moved_note(context, moved)
    yield from (_contact(entry, for_client=for_client) for entry in records.contacts)
    if records.safety:
        yield from _list_safety_events(records.safety, records)
    yield from (_plan(version, for_client=for_client) for version in records.plans)
    for row in records.assignments:
        if row.case_id == context.case.id:
            yield from _list_assignment_events(
                context, row, texts[row.sha256], for_client=for_client
            )
    for row in records.returned:
        yield replace(
            _about_handout(
                row.id,
                row.occurred_at,
                row.title,
                context.client.preferred_name,
                texts[row.sha256],
                ("answers", row.assignment_id),
            ),
            kind=row.kind,
        )
    for event in records.case_events:
        yield _case_event(context, event, pick_evidence(event, records.evidence))
    for task in records.followups:
        # What a correction ended has its own row.
        if task.completed_at and task.result != IN_ERROR:
            yield _completed_followup(task, task.completed_at, for_client=for_client)


def _session(note: NoteRecord, *, for_client: bool) -> TimelineEvent:
    way = "" if for_client else f", {MODALITIES.get(note.modality, note.modality).lower()}"
    length = f", {note.actual_minutes} min" if note.actual_minutes else ""
    return TimelineEvent(
        note.id,
        note.actual_session_at,
        "session",
        "Session",
        f"{note.author}{way}{length}",
        "note",
        note.id,
        note.first_text,
        _describe_state(note),
    )


def _moved_note(context: CaseContext, moved: MovedAway) -> TimelineEvent:
    return TimelineEvent(
        moved.id,
        moved.moved_at,
        "session",
        "Note moved to another record",
        moved.mover,
        "moved_note",
        context.case.id,
        "It was filed here in error.",
    )


def _describe_state(note: NoteRecord) -> str:
    if note.status == "draft":
        return "Draft"
    if not note.is_as_signed:
        return "Not as signed"
    if note.in_error:
        return "Entered in error"
    state = "Filed unsigned" if note.is_filed else "Signed"
    return f"{state}, with addenda" if note.later_addenda else state


def _contact(entry: ContactRecord, *, for_client: bool) -> TimelineEvent:
    details = entry.details_for_client if for_client else entry.details
    error = f"Recorded in error: {entry.error_reason}" if entry.in_error_at else ""
    return TimelineEvent(
        entry.id,
        entry.happened_at,
        "contact",
        entry.label,
        entry.recorded_by_name or NO_PERSON,
        "contact",
        entry.id,
        " ".join(filter(None, (details, entry.words, error))),
        "Recorded in error" if entry.in_error_at else "",
    )


def _list_safety_events(history: SafetyHistory, records: CaseRecords) -> Iterator[TimelineEvent]:
    screenings = {screening.id: screening for screening in history.all_screenings}
    ended = {task.id: task for task in records.followups if task.result == IN_ERROR}
    holds: dict[UUID, Hold] = {}
    for event in history.events:
        fact = event.fact
        before, holds = holds, change_holds(holds, event)
        for hold in list_ended_exceptions(before, holds):
            yield _exception_ended(event, hold, records)
        if isinstance(fact, ScreeningRecorded):
            found = screenings[event.id]
            asked = "Asked alone" if found.asked_alone else ""
            badge = "Recorded in error" if found.in_error else asked
            yield _about_screening(
                event, event.id, "Screening", found.comment, badge, found.counting
            )
        elif isinstance(fact, ScreeningInError):
            title = "Screening marked as recorded in error"
            text = f"{_sentence(fact.reason)}{_describe_undone(history, event, fact, ended)}"
            yield _about_screening(event, fact.screening_id, title, text)
        elif isinstance(fact, CircumstanceEnded):
            yield _circumstance_ended(event, fact)
        elif isinstance(fact, HoldOpened):
            hold = history.holds[event.id]
            badge = "" if hold.released_at else "Open"
            badge = "Recorded in error" if hold.in_error else badge
            yield _about_hold(event, hold, " opened", _describe_reasons(hold), badge)
        elif isinstance(fact, HoldReleased):
            yield _about_hold(event, history.holds[fact.hold_id], " released", fact.reason)
        elif isinstance(fact, SecondPersonNamed):
            name = records.names.get(fact.user_id, "A former member of staff")
            yield _about_hold(
                event,
                history.holds[fact.hold_id],
                ": second person named",
                f"{name} was named to release it.",
            )
        elif isinstance(fact, HandoutAllowed):
            title = records.titles.get(fact.handout, fact.handout)
            yield _about_hold(
                event,
                history.holds[fact.hold_id],
                ": one handout allowed",
                f"“{title}”: {fact.reason}",
            )


def _about_screening(
    event: RecordedEvent,
    screening_id: UUID,
    title: str,
    text: str,
    badge: str = "",
    levels: dict[str, int | None] | None = None,
) -> TimelineEvent:
    return TimelineEvent(
        event.id,
        event.recorded_at,
        "screening",
        title,
        event.recorded_by_name or NO_PERSON,
        "screening",
        screening_id,
        text,
        badge,
        levels,
    )


def _circumstance_ended(event: RecordedEvent, fact: CircumstanceEnded) -> TimelineEvent:
    return TimelineEvent(
        event.id,
        event.recorded_at,
        "screening",
        "Circumstance ended",
        event.recorded_by_name or NO_PERSON,
        "circumstance",
        event.id,
        f"“{CIRCUMSTANCES[fact.circumstance].label}”: {fact.reason}",
    )


def _about_hold(
    event: RecordedEvent, hold: Hold, what: str, text: str, badge: str = ""
) -> TimelineEvent:
    return TimelineEvent(
        event.id,
        event.recorded_at,
        "hold",
        f"{HOLD_LABELS[hold.kind]}{what}",
        event.recorded_by_name or NO_PERSON,
        "hold",
        hold.id,
        text,
        badge,
    )


def _exception_ended(event: RecordedEvent, hold: Hold, records: CaseRecords) -> TimelineEvent:
    title = records.titles.get(hold.allowed_handout, hold.allowed_handout)
    why = "a safety hold opened" if isinstance(event.fact, HoldOpened) else "the hold was renewed"
    # The opening of the safety hold has a row of its own.
    event = replace(event, id=uuid5(event.id, hold.id.hex))
    return _about_hold(event, hold, ": handout no longer allowed", f"“{title}”: {why}.")


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?", "!", "…")) else f"{text}."


def _describe_undone(
    history: SafetyHistory,
    event: RecordedEvent,
    fact: ScreeningInError,
    ended: dict[UUID, FollowUpRecord],
) -> str:
    """Describe what ended with a correction; its follow-ups are taken out of `ended`, which earlier ones have left."""
    ends = [
        each.fact
        for each in takewhile(
            lambda each: isinstance(each.fact, HoldInError | FlagInError),
            history.events[event.seq :],
        )
    ]
    hold_ids = [each.hold_id for each in ends if isinstance(each, HoldInError)]
    origins = {fact.screening_id, *hold_ids}
    tasks = [task for task in ended.values() if {task.origin_id, task.episode_id} & origins]
    for task in tasks:
        del ended[task.id]
    parts = [f"the {HOLD_LABELS[history.holds[each].kind].lower()}" for each in hold_ids]
    flags = len(ends) - len(hold_ids)
    parts += [_count(flags, "flag")] if flags else []
    parts += [_count(len(tasks), "follow-up")] if tasks else []
    return (
        f" These ended too, without being released or completed: {', '.join(parts)}."
        if parts
        else ""
    )


def _count(number: int, noun: str) -> str:
    return f"one {noun}" if number == 1 else f"{number} {noun}s"


def _describe_reasons(hold: Hold) -> str:
    highest: dict[str, int] = {}
    for reason in hold.standing or hold.reasons:
        highest[reason["item"]] = max(highest.get(reason["item"], 0), reason["level"])
    parts = [
        f"{ITEMS_BY_KEY[key].label} at {LEVEL_LABELS[Level(level)].lower()}"
        for key, level in highest.items()
    ]
    return f"{'; '.join(parts)}." if parts else ""


def _plan(version: PlanVersion, *, for_client: bool) -> TimelineEvent:
    is_review = for_client and version.change == REVIEWED
    change = "reviewed with you" if is_review else CHANGE_LABELS[version.change].lower()
    return TimelineEvent(
        version.id,
        version.created_at,
        "plan",
        f"{version.form.title}: {change}",
        version.created_by_name or NO_PERSON,
        "plan",
        version.plan_id,
        version.note,
        f"Version {version.number}",
    )


def _list_assignment_events(
    context: CaseContext,
    row: Any,  # noqa: ANN401 - a result row
    handout: Handout,
    *,
    for_client: bool,
) -> Iterator[TimelineEvent]:
    way = "" if for_client else f", {CHANNEL_LABELS.get(row.channel, row.channel)}"
    link = ("assignment", row.id)
    by, badge = row.assigned_by_name or NO_PERSON, "Withdrawn" if row.withdrawn_at else ""
    yield _about_handout(
        row.id, row.assigned_at, "Handout assigned", f"{by}{way}", handout, link, badge
    )
    if row.read_at:
        by = context.client.preferred_name
        yield _about_handout(row.id, row.read_at, "Handout read", f"{by}{way}", handout, link)


def _about_handout(
    record_id: UUID,
    occurred_at: datetime,
    title: str,
    byline: str,
    handout: Handout,
    link: tuple[str, UUID],
    badge: str = "",
) -> TimelineEvent:
    text = f"“{handout.title}”, version {handout.version}."
    return TimelineEvent(record_id, occurred_at, "handout", title, byline, *link, text, badge)


def _case_event(
    context: CaseContext, event: CaseEventRecord, evidence: tuple[Evidence, ...]
) -> TimelineEvent:
    return TimelineEvent(
        event.id,
        event.occurred_at,
        "coach" if event.kind in CASE_EVENT_KINDS["coach"] else "stage",
        _describe_case_event(event),
        event.recorded_by_name or NO_PERSON,
        "case",
        context.case.id,
        f"Until then {event.from_coach} was responsible."
        if event.from_coach
        else event.reason or "",
        evidence=evidence,
    )


def _describe_case_event(event: CaseEventRecord) -> str:
    if event.kind == "moved" and event.to_stage in stage_by_id():
        stage = stage_by_id()[event.to_stage]
        return f"Moved to stage {stage.number}, {stage.title}"
    if event.to_coach:
        return f"Handed over to {event.to_coach}"
    return f"Case {event.kind}"


def _completed_followup(
    task: FollowUpRecord, completed_at: datetime, *, for_client: bool
) -> TimelineEvent:
    return TimelineEvent(
        task.id,
        completed_at,
        "followup",
        f"Task of the practice: “{task.title}”" if for_client else task.title,
        task.completed_by_name or NO_PERSON,
        "followup",
        task.id,
        task.note or "",
        RESULT_LABELS[task.result or "done"],
    )
