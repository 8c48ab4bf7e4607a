"""Changes to assignments: assign, replace, mark as read and withdraw."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.orm.attributes import set_committed_value

from caseapp.core.actor import Actor, require
from caseapp.core.clock import get_week_start, now
from caseapp.core.database import db
from caseapp.core.errors import Invalid
from caseapp.core.ids import new_id
from caseapp.core.permissions import Action
from caseapp.core.reads import write_with_reads
from caseapp.core.vault import seal
from caseapp.domain.assignments.models import Assignment
from caseapp.domain.assignments.queries import list_current_assignments, load_wanted_handout
from caseapp.domain.assignments.rules import (
    check_assign,
    check_assign_several,
    check_mark_own_read,
    check_mark_read,
    check_replace,
    check_withdraw,
)
from caseapp.domain.audit.operations import record
from caseapp.domain.cases.queries import LockedCase, lock_case
from caseapp.domain.handouts.queries import LibraryItem, get_handout_version
from caseapp.domain.practice.queries import get_practice_info, today
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

    from caseapp.domain.assignments.queries import LockedAssignment
    from caseapp.domain.assignments.schemas import AssignmentRecord, NewAssignments


def assign_handout(
    actor: Actor,
    case: LockedCase,
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
    require(actor, Action.ASSIGNMENT_CREATE)
    item = get_handout_version(slug, language)
    wanted = load_wanted_handout(case, item, channel, confirmed=confirmed)
    check_assign(case, wanted, get_practice_info().help_lines)
    return create_assignment(actor, case, item, message, channel, validate_due_on(due_on), now())


def assign_handouts(actor: Actor, case: LockedCase, wanted: NewAssignments) -> list[UUID]:
    """Assign several handouts in one step, each assessed on its own; with `spread`, one after another over the weeks.

    Blocked ones are skipped. Nothing is assigned while a caution is unconfirmed, so that the coach checks again. Raises
    NotFound, Invalid for a due day out of range, and RuleBroken with the reasons, each naming its handout, when a
    confirmation is missing or none can be assigned.
    """
    require(actor, Action.ASSIGNMENT_CREATE)
    start = validate_due_on(wanted.due_on)
    items = [get_handout_version(slug, wanted.language) for slug in wanted.slugs]
    handouts = [
        load_wanted_handout(case, item, wanted.channel, confirmed=wanted.confirmed)
        for item in items
    ]
    eligible = check_assign_several(case, handouts, get_practice_info().help_lines)
    weeks = _plan_weeks(case, eligible, start) if wanted.spread else [start] * len(eligible)
    moment = now()
    return [
        create_assignment(actor, case, item, wanted.message, wanted.channel, week, moment)
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
    case: LockedCase, items: list[LibraryItem], start: date | None
) -> list[date | None]:
    """Spread handouts over the coming weeks, counting what the client still has to read in each."""
    begin = get_week_start(start or first_reading_week(today()))
    planned: Counter[date] = Counter()
    for one in list_current_assignments(case):
        if one.unread and counts_toward_reading_load(one.handout):
            week = get_week_start(one.due_on) if one.due_on else begin
            planned[max(week, begin)] += one.handout.minutes
    budget = plan_reading(case.safety.levels, []).budget
    return schedule_by_week(
        [item.handout for item in items], budget=budget, planned=planned, start=begin
    )


def create_assignment(
    actor: Actor,
    case: LockedCase,
    item: LibraryItem,
    message: str,
    channel: str,
    due_on: date | None,
    moment: datetime,
) -> UUID:
    """Create an assignment whose blockers were checked."""
    client_id = case.case.client_id
    last = db.session.scalar(
        sa.select(sa.func.max(Assignment.position)).where(Assignment.client_id == client_id)
    )
    row = Assignment(
        id=new_id(),
        case_id=case.case.id,
        client_id=client_id,
        handout_version_id=item.handout_version_id,
        position=(last or 0) + 1,
        stage=case.case.stage,
        channel=channel,
        due_on=due_on,
        assigned_at=moment,
        assigned_by=actor.id,
    )
    row.message = seal(row, "message", message.strip() or None, case.key)
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


def withdraw(actor: Actor, assignment: LockedAssignment, expected_version: int) -> None:
    """Withdraw an assignment: the portal no longer shows it, the record stays.

    Raises RuleBroken when it is already withdrawn, Stale when it changed meanwhile.
    """
    require(actor, Action.ASSIGNMENT_WITHDRAW)
    check_withdraw(assignment)
    row = assignment.row
    set_committed_value(row, "version", expected_version)
    row.withdrawn_at, row.withdrawn_by = now(), actor.id
    db.session.flush()
    record(actor, Action.ASSIGNMENT_WITHDRAW, "assignment", row.id, client_id=row.client_id)


def replace_assignment(
    actor: Actor, assignment: LockedAssignment, *, message: str, confirmed: bool = False
) -> UUID:
    """Replace an assignment of an older version by the newest, with the same channel and week.

    The newest version is assessed again. Raises RuleBroken when the assignment is withdrawn, already the newest
    version, or the newest is blocked.
    """
    require(actor, Action.ASSIGNMENT_WITHDRAW)
    require(actor, Action.ASSIGNMENT_CREATE)
    old = assignment.record
    case = lock_case(actor, old.case_id)
    item = get_handout_version(old.slug, old.language)
    newest = load_wanted_handout(case, item, old.channel, confirmed=confirmed)
    check_replace(assignment, case, newest, get_practice_info().help_lines)
    withdraw(actor, assignment, old.version)
    return create_assignment(actor, case, item, message, old.channel, old.due_on, now())


def mark_opened(found: AssignmentRecord) -> None:
    """Note when a client opens a handout for the first time, with what the request reads.

    The version stays, so that a coach's form about this assignment can still be saved.
    """
    if found.opened_at is None:
        opened = (
            sa.update(Assignment)
            .where(Assignment.id == found.id, Assignment.opened_at.is_(None))
            .values(opened_at=now())
        )
        write_with_reads(lambda connection: connection.execute(opened))


def mark_read(actor: Actor, assignment: LockedAssignment, expected_version: int) -> None:
    """Mark as read what staff handed over or read together with the client; doing it twice changes nothing.

    Raises RuleBroken when only the client can mark it or it is withdrawn, Stale when it changed meanwhile.
    """
    require(actor, Action.ASSIGNMENT_MARK)
    check_mark_read(assignment)
    if assignment.row.read_at is None:
        set_committed_value(assignment.row, "version", expected_version)
        assignment.row.read_at = now()
        _record_as_read(actor, Action.ASSIGNMENT_MARK, assignment)


def mark_own_read(actor: Actor, assignment: LockedAssignment) -> None:
    """Mark one of a client's own handouts as read; doing it twice changes nothing.

    Raises RuleBroken with a neutral reason when they can't read it now.
    """
    require(actor, Action.PORTAL_MARK)
    check_mark_own_read(assignment)
    if assignment.row.read_at is None:
        assignment.row.read_at = now()
        assignment.row.opened_at = assignment.row.opened_at or assignment.row.read_at
        _record_as_read(actor, Action.PORTAL_MARK, assignment)


def _record_as_read(actor: Actor, action: Action, assignment: LockedAssignment) -> None:
    row = assignment.row
    db.session.flush()
    record(actor, action, "assignment", row.id, client_id=row.client_id, details={"read": True})
