"""Queries for what clients can read now, what they still have to read, and what is suspended."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from caseapp.core.actor import Actor, require
from caseapp.core.clock import get_week_start
from caseapp.core.database import db, run
from caseapp.core.errors import refuse_for
from caseapp.core.pagination import Page, in_any, page_window
from caseapp.core.permissions import Action, Role
from caseapp.domain.assignments.models import Assignment
from caseapp.domain.assignments.queries import (
    LockedAssignment,
    assignment_records,
    list_current_assignments,
    select_assignments,
    single_record,
)
from caseapp.domain.assignments.rules import list_reading_blockers, select_readable
from caseapp.domain.assignments.schemas import AssignmentRecord, HandoutChoice, SuspendedCase
from caseapp.domain.cases.models import Case
from caseapp.domain.cases.queries import CaseFilter, list_case_contexts, list_cases, newest_case_id
from caseapp.domain.clients.models import Client
from caseapp.domain.clients.queries import take_client_lock
from caseapp.domain.clients.visibility import is_visible_client
from caseapp.domain.handouts.queries import get_handouts_by_hash
from caseapp.domain.practice.queries import today
from caseapp.domain.suitability.queries import (
    assess_library,
    get_recipient,
    join_recipient,
    recipient_in_case,
)
from caseapp.domain.suitability.recommendations import plan_reading, recommend
from caseapp.domain.suitability.schemas import Recommendation

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from uuid import UUID

    from caseapp.domain.cases.queries import CaseContext
    from caseapp.domain.suitability.schemas import Recipient

# How many open cases one page searches, and the dashboard for its count: more than a coach usually has.
SUSPENDED_PAGE_SIZE = 100

PORTAL_ASSIGNMENT = join_recipient(
    select_assignments(
        Assignment.client_id == sa.bindparam("client"),
        Assignment.position == sa.bindparam("position"),
        Assignment.channel == "portal",
    ).join(Client, Client.id == Assignment.client_id),
    newest_case_id(Client.id),
)


def list_own_assignments(
    actor: Actor, recipient: Recipient | None = None
) -> list[AssignmentRecord]:
    """List everything that a client was ever assigned in the portal, newest first.

    `recipient` is the client, for a page that has loaded them already.
    """
    require(actor, Action.PORTAL_READ)
    rows = db.session.execute(
        select_assignments(
            Assignment.client_id == actor.id, Assignment.channel == "portal"
        ).order_by(Assignment.assigned_at.desc(), Assignment.id.desc())
    )
    return assignment_records(rows, recipient or get_recipient(actor.id))


def get_reading_list(actor: Actor) -> list[AssignmentRecord]:
    """List what a client can read in the portal now, newest first: neither withdrawn nor suspended."""
    return select_readable(list_own_assignments(actor))


def get_reading_list_item(actor: Actor, position: int) -> AssignmentRecord:
    """Get one handout of a client's own list by its position.

    Raises NotFound, and RuleBroken with the same neutral reason whether it was withdrawn or is suspended.
    """
    found = get_own_assignment(actor, position)
    refuse_for(list_reading_blockers(found))
    return found


def get_own_assignment(actor: Actor, position: int) -> AssignmentRecord:
    """Get one of a client's own assignments by its position, also one that they can't read now.

    Raises NotFound.
    """
    require(actor, Action.PORTAL_READ)
    return single_record(run(PORTAL_ASSIGNMENT, client=actor.id, position=position).all())


def lock_own_assignment(actor: Actor, position: int) -> LockedAssignment:
    """Lock the client who acts, then load one of their own assignments by its position.

    Raises NotFound, and RuntimeError outside `transaction()`.
    """
    require(actor, Action.PORTAL_READ)
    take_client_lock(actor.id)
    record = get_own_assignment(actor, position)
    return LockedAssignment(db.session.get_one(Assignment, record.id), record)


def get_handout_choice(
    actor: Actor, context: CaseContext, language: str | None = "en"
) -> HandoutChoice:
    """Assess the library for a case and recommend what to assign next; `language` None means any.

    Raises Forbidden.
    """
    require(actor, Action.ASSIGNMENT_READ)
    return choose_handouts(context, list_current_assignments(context), language)


def choose_handouts(
    context: CaseContext, current: Sequence[AssignmentRecord], language: str | None = "en"
) -> HandoutChoice:
    """Assess the library for a case whose client has `current`; recommend nothing new for a closed case."""
    levels = context.safety.levels
    this_week = get_week_start(today())
    unread = [
        record.handout
        for record in current
        if record.unread and (record.week is None or record.week <= this_week)
    ]
    assigned = {(record.slug, record.language) for record in current}
    options = assess_library(context, assigned, language)
    if context.case.status != "open":
        return HandoutChoice(options, Recommendation(plan_reading(levels, unread)))
    # What the client has in another language counts as assigned, too.
    slugs = {slug for slug, _language in assigned}
    unassigned = [replace(option, assigned=option.handout.id in slugs) for option in options]
    return HandoutChoice(
        options, recommend(unassigned, stage=context.case.stage, levels=levels, unread=unread)
    )


def list_suspended_cases(actor: Actor, cursor: str | None, limit: int) -> Page[SuspendedCase]:
    """Search a page of the actor's open cases, newest first, for suspended assignments.

    Suspension is derived and not stored, so a page of `limit` cases may hold fewer cases, or none. The number of
    statements is fixed.
    """
    require(actor, Action.ASSIGNMENT_READ)
    page = list_cases(actor, CaseFilter(status="open"), cursor, limit)
    contexts = list_case_contexts(actor, [item.id for item in page.items])
    rows = db.session.execute(
        select_assignments(
            Assignment.case_id.in_([context.case.id for context in contexts]),
            Assignment.withdrawn_at.is_(None),
        ).order_by(Assignment.assigned_at.desc(), Assignment.id.desc())
    )
    return Page(find_suspended(contexts, rows.all()), page.next)


def find_suspended(contexts: Iterable[CaseContext], rows: Sequence[Any]) -> list[SuspendedCase]:
    """Find what is suspended in some cases, given rows of `select_assignments` for at least these cases."""
    by_case: dict[UUID, list[Any]] = defaultdict(list)
    for row in rows:
        by_case[row.case_id].append(row)
    # Handouts that were never read before in this process are loaded with one statement for all.
    get_handouts_by_hash(row.sha256 for row in rows)
    found = []
    for context in contexts:
        case = context.case
        records = assignment_records(by_case[case.id], recipient_in_case(context))
        if suspended := [record for record in records if record.blockers]:
            found.append(
                SuspendedCase(case.id, case.client_id, case.number, context.client.name, suspended)
            )
    return found


def list_case_assignments(
    actor: Actor, context: CaseContext, cursor: str | None, limit: int
) -> tuple[Page[AssignmentRecord], list[AssignmentRecord]]:
    """List a page of a case's assignments, newest first, and all that are suspended now, in one statement.

    Raises Invalid for a cursor that this application did not create.
    """
    require(actor, Action.ASSIGNMENT_READ)
    window, of_case = page_window(cursor, limit), Assignment.case_id == context.case.id
    rows = db.session.execute(
        select_assignments(
            in_any(
                Assignment.id,
                window.select(Assignment.assigned_at, Assignment.id, of_case),
                sa.select(Assignment.id).where(of_case, Assignment.withdrawn_at.is_(None)),
            )
        ).order_by(Assignment.assigned_at.desc(), Assignment.id.desc())
    )
    found = assignment_records(rows, recipient_in_case(context))
    page = window.make_page(found, lambda record: (record.assigned_at, record.id))
    return page, [record for record in found if record.blockers]


def list_suspended_assignments(actor: Actor, context: CaseContext) -> list[AssignmentRecord]:
    """List what is suspended in one case, newest first."""
    require(actor, Action.ASSIGNMENT_READ)
    rows = db.session.execute(
        select_assignments(
            Assignment.case_id == context.case.id, Assignment.withdrawn_at.is_(None)
        ).order_by(Assignment.assigned_at.desc(), Assignment.id.desc())
    ).all()
    records = assignment_records(rows, recipient_in_case(context))
    return [record for record in records if record.blockers]


def list_client_suspended_assignments(actor: Actor, client_id: UUID) -> list[AssignmentRecord]:
    """List what is suspended in a client's open case, newest first; empty for a client whom the actor doesn't see.

    The case is loaded only when it has assignments.
    """
    require(actor, Action.ASSIGNMENT_READ)
    rows = run(_select_current_in_open_case(actor.role), asks=actor.id, client=client_id).all()
    if not rows:
        return []
    [context] = list_case_contexts(actor, {row.case_id for row in rows})
    records = assignment_records(rows, recipient_in_case(context))
    return [record for record in records if record.blockers]


@cache
def _select_current_in_open_case(role: Role) -> sa.Select[*tuple[Any, ...]]:
    """Build, once for each role, the query for what was not withdrawn in the open case of a visible client."""
    return select_assignments(
        Case.client_id == sa.bindparam("client"),
        Case.status == "open",
        Assignment.withdrawn_at.is_(None),
        is_visible_client(role, sa.bindparam("asks"), Case.client_id),
    ).order_by(Assignment.assigned_at.desc(), Assignment.id.desc())
