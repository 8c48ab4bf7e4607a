"""Changes to assignments: assign, replace, mark as read and withdraw."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.orm.attributes import set_committed_value

from caseapp.core.actor import Actor, require
from caseapp.core.clock import get_week_start, now
from caseapp.core.database import db
from caseapp.core.errors import Forbidden, Invalid, Reason, RuleBroken
from caseapp.core.ids import new_id
from caseapp.core.permissions import Action
from caseapp.core.transaction import separate_transaction
from caseapp.core.vault import seal
from caseapp.domain.assignments.models import Assignment
from caseapp.domain.assignments.queries import (
    get_assignment,
    list_assignment_blockers,
    list_current_assignments,
)
from caseapp.domain.assignments.reading import get_reading_list_item
from caseapp.domain.audit.operations import record, record_read
from caseapp.domain.cases.queries import CaseContext, LockedCase, lock_case
from caseapp.domain.cases.rules import CASE_CLOSED
from caseapp.domain.clients.queries import take_client_lock
from caseapp.domain.handouts.models import HandoutVersion
from caseapp.domain.handouts.queries import LibraryItem, get_handout_version
from caseapp.domain.practice.queries import HelpLines, get_practice_info, today
from caseapp.domain.suitability.queries import get_situation
from caseapp.domain.suitability.recommendations import (
    MAX_DUE_AHEAD,
    counts_toward_reading_load,
    first_reading_week,
    plan_reading,
    schedule_by_week,
)

if TYPE_CHECKING:
    from datetime import date, datetime
    from uuid import UUID

    from caseapp.domain.assignments.schemas import AssignmentRecord, NewAssignments
    from caseapp.domain.suitability.schemas import Situation


def assign_handout(
    actor: Actor,
    case_id: UUID,
    slug: str,
    *,
    message: str,
    channel: str,
    confirmed: bool = False,
    language: str = "en",
    due_on: date | None = None,
) -> UUID:
    """Assign the newest version of a handout to a case's client; the assignment keeps that version.

    Raises NotFound, Invalid for a due day out of range, and RuleBroken with every blocker, or with
    `confirmation_required` when the handout needs caution and `confirmed` is False.
    """
    context, situation, help_lines = _lock_open_case(actor, case_id)
    item = get_handout_version(slug, language)
    if reasons := list_assignment_blockers(
        context, item, situation, help_lines, channel, confirmed=confirmed
    ):
        raise RuleBroken(*reasons)
    return create_assignment(actor, context, item, message, channel, validate_due_on(due_on), now())


def assign_handouts(actor: Actor, case_id: UUID, wanted: NewAssignments) -> list[UUID]:
    """Assign several handouts in one step, each assessed on its own; with `spread`, one after another over the weeks.

    Blocked ones are skipped. Nothing is assigned while a caution is unconfirmed, so that the coach checks again. Raises
    NotFound, Invalid for a due day out of range, and RuleBroken with the reasons, each naming its handout, when a
    confirmation is missing or none can be assigned.
    """
    context, situation, help_lines = _lock_open_case(actor, case_id)
    start = validate_due_on(wanted.due_on)
    eligible, unconfirmed, blocked = [], [], []
    for item in (get_handout_version(slug, wanted.language) for slug in wanted.slugs):
        found = list_assignment_blockers(
            context, item, situation, help_lines, wanted.channel, confirmed=wanted.confirmed
        )
        named = [Reason(r.code, f"{item.handout.title}: {r.message}", r.way_out) for r in found]
        if not found:
            eligible.append(item)
        elif found[0].code == "confirmation_required":
            unconfirmed += named
        else:
            blocked += named
    if unconfirmed or not eligible:
        raise RuleBroken(*unconfirmed, *blocked)
    weeks = _plan_weeks(context, eligible, start) if wanted.spread else [start] * len(eligible)
    moment = now()
    return [
        create_assignment(actor, context, item, wanted.message, wanted.channel, week, moment)
        for item, week in zip(eligible, weeks, strict=True)
    ]


def validate_due_on(due_on: date | None) -> date | None:
    """Check the day an assignment is due.

    Raises Invalid.
    """
    if due_on is not None and not get_week_start(today()) <= due_on <= today() + MAX_DUE_AHEAD:
        raise Invalid(
            {"due_on": ["Choose a day this week or later, no more than six months ahead."]}
        )
    return due_on


def _plan_weeks(
    context: CaseContext, items: list[LibraryItem], start: date | None
) -> list[date | None]:
    """Spread handouts over the coming weeks, counting what the client still has to read in each."""
    begin = get_week_start(start or first_reading_week(today()))
    planned: Counter[date] = Counter()
    for one in list_current_assignments(context):
        if one.unread and counts_toward_reading_load(one.handout):
            week = get_week_start(one.due_on) if one.due_on else begin
            planned[max(week, begin)] += one.handout.minutes
    levels = context.safety.last_screening.levels if context.safety.last_screening else {}
    budget = plan_reading(levels, []).budget
    return schedule_by_week(
        [item.handout for item in items], budget=budget, planned=planned, start=begin
    )


def _lock_open_case(actor: Actor, case_id: UUID) -> tuple[LockedCase, Situation, HelpLines]:
    require(actor, Action.ASSIGNMENT_CREATE)
    case = lock_case(actor, case_id)
    if case.case.status != "open":
        raise RuleBroken(CASE_CLOSED)
    return case, get_situation(case), get_practice_info().help_lines


def create_assignment(
    actor: Actor,
    context: CaseContext,
    item: LibraryItem,
    message: str,
    channel: str,
    due_on: date | None,
    moment: datetime,
) -> UUID:
    """Create an assignment whose blockers were checked; the caller already holds the client's lock."""
    client_id = context.case.client_id
    last = db.session.scalar(
        sa.select(sa.func.max(Assignment.position)).where(Assignment.client_id == client_id)
    )
    row = Assignment(
        id=new_id(),
        case_id=context.case.id,
        client_id=client_id,
        handout_version_id=item.handout_version_id,
        position=(last or 0) + 1,
        stage=context.case.stage,
        channel=channel,
        levels=dict(context.safety.last_screening.levels) if context.safety.last_screening else {},
        due_on=due_on,
        assigned_at=moment,
        assigned_by=actor.id,
    )
    row.message = seal(row, "message", message.strip() or None, context.key)
    db.session.add(row)
    db.session.flush()
    record(
        actor,
        Action.ASSIGNMENT_CREATE,
        "assignment",
        row.id,
        client_id=client_id,
        details={
            "slug": item.handout.id,
            "language": item.handout.language,
            "number": item.handout.version,
            "channel": channel,
            "due_on": due_on.isoformat() if due_on else None,
        },
    )
    return row.id


def _lock_assignment(actor: Actor, assignment_id: UUID) -> Assignment:
    """Lock the client of an assignment, then load it."""
    of_assignment = sa.select(Assignment.client_id).where(Assignment.id == assignment_id)
    take_client_lock(of_assignment.scalar_subquery())
    return get_assignment(actor, assignment_id)


def withdraw(actor: Actor, assignment_id: UUID, expected_version: int) -> None:
    """Withdraw an assignment: the portal no longer shows it, the record stays.

    Raises NotFound, RuleBroken when it is already withdrawn, Stale when it changed meanwhile.
    """
    require(actor, Action.ASSIGNMENT_WITHDRAW)
    row = _lock_assignment(actor, assignment_id)
    if row.withdrawn_at is not None:
        raise RuleBroken(Reason("already_withdrawn", "This handout is already withdrawn."))
    set_committed_value(row, "version", expected_version)
    row.withdrawn_at, row.withdrawn_by = now(), actor.id
    db.session.flush()
    record(actor, Action.ASSIGNMENT_WITHDRAW, "assignment", row.id, client_id=row.client_id)


def replace_assignment(
    actor: Actor, assignment_id: UUID, *, message: str, confirmed: bool = False
) -> UUID:
    """Replace an assignment of an older version by the newest, with the same channel and week.

    The newest version is assessed again. Raises NotFound, and RuleBroken when the assignment is withdrawn, already the
    newest version, or the newest is blocked.
    """
    require(actor, Action.ASSIGNMENT_WITHDRAW)
    old = _lock_assignment(actor, assignment_id)
    context, situation, help_lines = _lock_open_case(actor, old.case_id)
    if old.withdrawn_at is not None:
        raise RuleBroken(Reason("already_withdrawn", "This handout is already withdrawn."))
    current = db.session.get_one(HandoutVersion, old.handout_version_id)
    item = get_handout_version(current.slug, current.language)
    if item.handout.version <= current.number:
        raise RuleBroken(Reason("already_newest", "The client already has the newest version."))
    if found := list_assignment_blockers(
        context, item, situation, help_lines, old.channel, confirmed=confirmed
    ):
        raise RuleBroken(*found)
    withdraw(actor, old.id, old.version)
    return create_assignment(actor, context, item, message, old.channel, old.due_on, now())


def mark_opened(actor: Actor, found: AssignmentRecord) -> None:
    """Record that a client reads a handout, and when for the first time.

    The version stays, so that a coach's form about this assignment can still be saved.
    """
    record_read(actor, Action.PORTAL_READ, "assignment", found.id, found.client_id)
    if found.opened_at is None:
        with separate_transaction() as connection:
            connection.execute(
                sa.update(Assignment)
                .where(Assignment.id == found.id, Assignment.opened_at.is_(None))
                .values(opened_at=now())
            )


def mark_read(actor: Actor, which: UUID | int, expected_version: int | None = None) -> None:
    """Mark an assignment as read: a client by its position in the portal, staff by its id when used in person.

    Doing it twice changes nothing. Raises NotFound, Forbidden, what `get_reading_list_item` raises, RuleBroken when
    only the client can mark it, Stale when it changed meanwhile.
    """
    if isinstance(which, int):
        require(actor, Action.PORTAL_MARK)
        take_client_lock(actor.id)
        row, action = (
            _get_own_assignment(actor, get_reading_list_item(actor, which).id),
            Action.PORTAL_MARK,
        )
    else:
        require(actor, Action.ASSIGNMENT_MARK)
        row, action = _get_in_person_assignment(actor, which), Action.ASSIGNMENT_MARK
    if row.read_at is not None:
        return
    if expected_version is not None:
        set_committed_value(row, "version", expected_version)
    row.read_at = now()
    if row.opened_at is None and action is Action.PORTAL_MARK:
        row.opened_at = row.read_at
    db.session.flush()
    record(actor, action, "assignment", row.id, client_id=row.client_id, details={"read": True})


def _get_own_assignment(actor: Actor, assignment_id: UUID) -> Assignment:
    row = db.session.get(Assignment, assignment_id)
    if row is None or row.client_id != actor.id:
        raise Forbidden("This handout belongs to another client.")
    return row


def _get_in_person_assignment(actor: Actor, assignment_id: UUID) -> Assignment:
    row = _lock_assignment(actor, assignment_id)
    if row.channel == "portal":
        raise RuleBroken(
            Reason(
                "client_marks_it",
                "Only the client can mark a handout in the portal as read.",
                "Ask about it in the next session.",
            )
        )
    if row.withdrawn_at is not None:
        raise RuleBroken(Reason("already_withdrawn", "This handout is withdrawn."))
    return row
