"""Queries for assignments: who has which handout, what blocks it now, and what can be assigned."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from caseapp.core.actor import Actor, require
from caseapp.core.database import db, entity_from_row, run
from caseapp.core.errors import NotFound, Reason, RuleBroken
from caseapp.core.pagination import Page, make_page, newest_before, page_newest_first, parse_cursor
from caseapp.core.permissions import Action, Role
from caseapp.core.reads import note_shown
from caseapp.core.vault import unseal_column
from caseapp.domain.assignments.models import Assignment
from caseapp.domain.assignments.rules import (
    ALREADY_WITHDRAWN,
    WantedHandout,
    list_assignment_blockers,
)
from caseapp.domain.assignments.schemas import AssignedClient, AssignmentRecord
from caseapp.domain.cases.models import Case
from caseapp.domain.clients.models import Client
from caseapp.domain.clients.queries import take_lock_of_owner
from caseapp.domain.clients.visibility import is_visible_client, looked_after_by
from caseapp.domain.handouts.models import HandoutVersion
from caseapp.domain.handouts.queries import (
    LibraryItem,
    get_handout_version,
    get_handouts_by_hash,
    is_reviewed,
)
from caseapp.domain.handouts.rules import RECALLED
from caseapp.domain.practice.queries import get_practice_info
from caseapp.domain.suitability.queries import (
    join_recipient,
    recipient_from_row,
    recipient_in_case,
)
from caseapp.domain.suitability.rules import delivery_blockers
from caseapp.domain.users.models import User

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from datetime import datetime
    from uuid import UUID

    from caseapp.domain.cases.queries import CaseContext
    from caseapp.domain.handouts.library import Handout
    from caseapp.domain.suitability.schemas import Recipient


def _select_assigned_clients() -> sa.Select[*tuple[Any, ...]]:
    return (
        sa.select(
            Assignment.id,
            Case.number,
            Client.name,
            HandoutVersion.number.label("handout_version"),
            HandoutVersion.language,
            Assignment.assigned_at,
            Assignment.read_at,
            Assignment.withdrawn_at,
            Assignment.client_id,
        )
        .join(HandoutVersion, HandoutVersion.id == Assignment.handout_version_id)
        .join(Case, Case.id == Assignment.case_id)
        .join(Client, Client.id == Assignment.client_id)
    )


def _build_assigned_clients(rows: Sequence[Any]) -> list[AssignedClient]:
    note_shown((row.client_id for row in rows), Action.ASSIGNMENT_READ)
    return [AssignedClient(*row[:-1]) for row in rows]


def list_assigned_clients(
    actor: Actor, slug: str, cursor: str | None, limit: int
) -> Page[AssignedClient]:
    """List which of the actor's clients were assigned a handout, newest first."""
    require(actor, Action.ASSIGNMENT_READ)
    query = _select_assigned_clients().where(
        HandoutVersion.slug == slug, Assignment.client_id.in_(looked_after_by(actor))
    )
    rows = db.session.execute(
        page_newest_first(query, Assignment.assigned_at, Assignment.id, cursor, limit)
    ).all()
    page = make_page(rows, limit, lambda row: (row.assigned_at, row.id))
    return Page(_build_assigned_clients(page.items), page.next)


def list_clients_with_older_version(
    actor: Actor, item: LibraryItem, limit: int
) -> list[AssignedClient]:
    """List which of the actor's clients with an open case still have an older version of a handout, by name."""
    require(actor, Action.ASSIGNMENT_READ)
    rows = db.session.execute(
        _select_assigned_clients()
        .where(
            HandoutVersion.slug == item.handout.id,
            HandoutVersion.language == item.handout.language,
            HandoutVersion.number < item.handout.version,
            Assignment.withdrawn_at.is_(None),
            Assignment.client_id.in_(looked_after_by(actor)),
            Case.status == "open",
        )
        .order_by(HandoutVersion.number, Client.name, Assignment.id)
        .limit(limit)
    ).all()
    return _build_assigned_clients(rows)


def list_clients_with_version(
    actor: Actor, handout_version_id: UUID, limit: int
) -> list[AssignedClient]:
    """List which of the actor's clients have a handout version now, by name."""
    require(actor, Action.ASSIGNMENT_READ)
    rows = db.session.execute(
        _select_assigned_clients()
        .where(
            Assignment.handout_version_id == handout_version_id,
            Assignment.withdrawn_at.is_(None),
            Assignment.client_id.in_(looked_after_by(actor)),
        )
        .order_by(Client.name, Assignment.id)
        .limit(limit)
    ).all()
    return _build_assigned_clients(rows)


def count_clients_with_version(actor: Actor, handout_version_id: UUID) -> int:
    """Count the clients of the whole practice who have a handout version now, for those who may recall it."""
    require(actor, Action.HANDOUT_RECALL)
    return (
        db.session.scalar(
            sa.select(sa.func.count(Assignment.client_id.distinct())).where(
                Assignment.handout_version_id == handout_version_id,
                Assignment.withdrawn_at.is_(None),
            )
        )
        or 0
    )


def select_assignments(*where: sa.ColumnElement[bool]) -> sa.Select[*tuple[Any, ...]]:
    """Select assignments with case, handout version and name of the assigning user."""
    return (
        sa.select(
            *Assignment.__table__.c,
            HandoutVersion.sha256,
            HandoutVersion.recalled_at,
            is_reviewed().label("reviewed"),
            Case.number.label("case_number"),
            User.name.label("assigned_by_name"),
        )
        .join(HandoutVersion, HandoutVersion.id == Assignment.handout_version_id)
        .join(Case, Case.id == Assignment.case_id)
        .outerjoin(User, User.id == Assignment.assigned_by)
        .where(*where)
    )


def is_current(client_id: UUID) -> sa.ColumnElement[bool]:
    """Build the condition for what a client has now, in any of their cases: everything that was not withdrawn."""
    return sa.and_(Assignment.client_id == client_id, Assignment.withdrawn_at.is_(None))


def list_current_assignments(context: CaseContext) -> list[AssignmentRecord]:
    """List what a case's client has now, newest first, each with its blockers; access was already checked."""
    rows = db.session.execute(
        select_assignments(is_current(context.case.client_id)).order_by(
            Assignment.assigned_at.desc(), Assignment.id.desc()
        )
    )
    return assignment_records(rows, recipient_in_case(context))


def assignment_records(rows: Iterable[Any], recipient: Recipient) -> list[AssignmentRecord]:
    """Build the records from rows of `select_assignments`, all for one recipient, each with its blockers."""
    rows = [*rows]
    texts = get_handouts_by_hash(row.sha256 for row in rows)
    return [_record(row, texts[row.sha256], recipient) for row in rows]


def _record(row: Any, handout: Handout, recipient: Recipient) -> AssignmentRecord:  # noqa: ANN401 - a result row
    found = entity_from_row(row, Assignment)
    blockers: tuple[Reason, ...] = ()
    if found.withdrawn_at is None:
        blockers = delivery_blockers(
            handout, found.channel, recipient.situation, recipient.practice_info.help_lines
        )
        if row.recalled_at is not None:
            blockers = (RECALLED,)
    return AssignmentRecord(
        id=found.id,
        case_id=found.case_id,
        case_number=row.case_number,
        client_id=found.client_id,
        handout=handout,
        handout_version_id=found.handout_version_id,
        position=found.position,
        stage=found.stage,
        channel=found.channel,
        message=unseal_column(found, "message", recipient.key) or "",
        due_on=found.due_on,
        assigned_at=found.assigned_at,
        assigned_by=found.assigned_by,
        assigned_by_name=row.assigned_by_name or "",
        opened_at=found.opened_at,
        read_at=found.read_at,
        withdrawn_at=found.withdrawn_at,
        withdrawn_by=found.withdrawn_by,
        reviewed=row.reviewed,
        blockers=blockers,
        recipient=recipient,
        version=found.version,
    )


def list_assignments(
    actor: Actor,
    context: CaseContext,
    *,
    before: tuple[datetime, UUID] | str | None = None,
    limit: int = 100,
) -> list[AssignmentRecord]:
    """List the assignments of a case, newest first, each with its blockers; in a fixed number of statements."""
    require(actor, Action.ASSIGNMENT_READ)
    query = select_assignments(Assignment.case_id == context.case.id)
    position = parse_cursor(before) if isinstance(before, str) else before
    rows = db.session.execute(
        newest_before(query, Assignment.assigned_at, Assignment.id, position, limit)
    ).all()
    return assignment_records(rows, recipient_in_case(context))


def list_chosen_assignments(
    actor: Actor, context: CaseContext, ids: set[UUID]
) -> list[AssignmentRecord]:
    """List chosen assignments of a case in the order in which they were assigned.

    Raises NotFound when one of them isn't part of this case.
    """
    require(actor, Action.ASSIGNMENT_READ)
    rows = db.session.execute(
        select_assignments(Assignment.case_id == context.case.id, Assignment.id.in_(ids)).order_by(
            Assignment.position
        )
    ).all()
    if len(rows) != len(ids):
        raise NotFound
    return assignment_records(rows, recipient_in_case(context))


def list_assigned_together(
    actor: Actor, context: CaseContext, assignment_id: UUID
) -> list[AssignmentRecord]:
    """List what was assigned together with an assignment in one step, in order.

    Raises NotFound.
    """
    require(actor, Action.ASSIGNMENT_READ)
    here = Assignment.case_id == context.case.id
    moment = sa.select(Assignment.assigned_at).where(Assignment.id == assignment_id, here)
    rows = db.session.execute(
        select_assignments(here, Assignment.assigned_at == moment.scalar_subquery()).order_by(
            Assignment.position
        )
    ).all()
    if not rows:
        raise NotFound
    return assignment_records(rows, recipient_in_case(context))


def list_skipped_handouts(
    context: CaseContext,
    slugs: Iterable[str],
    assigned: Iterable[AssignmentRecord],
    channel: str,
    language: str,
) -> list[tuple[Handout, list[Reason]]]:
    """List the chosen handouts that were not assigned, each with its blockers now."""
    assigned_slugs = {record.slug for record in assigned}
    help_lines = get_practice_info().help_lines
    skipped = [get_handout_version(slug, language) for slug in slugs if slug not in assigned_slugs]
    return [
        (item.handout, list_assignment_blockers(context, wanted, help_lines))
        for item in skipped
        for wanted in [load_wanted_handout(context, item, channel, confirmed=True)]
    ]


@dataclass(frozen=True)
class LockedAssignment:
    """An assignment whose client is locked until the transaction ends, read after the lock.

    Only `lock_assignment` and `lock_own_assignment` make one.
    """

    row: Assignment
    record: AssignmentRecord


def lock_assignment(actor: Actor, assignment_id: UUID) -> LockedAssignment:
    """Lock the client of an assignment, then load the assignment.

    Raises NotFound, and RuntimeError outside `transaction()`.
    """
    require(actor, Action.ASSIGNMENT_READ)
    take_lock_of_owner(Assignment.id, assignment_id)
    record = get_assignment_record(actor, assignment_id)
    return LockedAssignment(db.session.get_one(Assignment, record.id), record)


def get_assignment_record(actor: Actor, assignment_id: UUID) -> AssignmentRecord:
    """Get one assignment for staff, also when it is suspended or withdrawn.

    Raises NotFound.
    """
    require(actor, Action.ASSIGNMENT_READ)
    return single_record(run(_shown_to(actor.role), asks=actor.id, assignment=assignment_id).all())


def single_record(rows: Sequence[Any]) -> AssignmentRecord:
    """Build one record from the rows of one assignment joined with its recipient.

    Raises NotFound when there is none.
    """
    if not rows:
        raise NotFound
    recipient = recipient_from_row(rows[0], ("assignment", entity_from_row(rows[0], Assignment).id))
    return assignment_records(rows[:1], recipient)[0]


@cache
def _shown_to(role: Role) -> sa.Select[*tuple[Any, ...]]:
    return join_recipient(
        select_assignments(
            Assignment.id == sa.bindparam("assignment"),
            is_visible_client(role, sa.bindparam("asks"), Assignment.client_id),
        ).join(Client, Client.id == Assignment.client_id),
        Assignment.case_id,
    )


def get_printable_assignment(actor: Actor, assignment_id: UUID) -> AssignmentRecord:
    """Get an assignment to print again; a suspended one can't be printed.

    Raises NotFound, and RuleBroken when it is withdrawn or has blockers.
    """
    found = get_assignment_record(actor, assignment_id)
    if found.withdrawn_at is not None:
        raise RuleBroken(ALREADY_WITHDRAWN)
    if found.blockers:
        raise RuleBroken(*found.blockers)
    return found


def load_wanted_handout(
    context: CaseContext, item: LibraryItem, channel: str, *, confirmed: bool
) -> WantedHandout:
    """Load what decides, besides the case, whether a handout version can be assigned through a channel."""
    having = list_assigned_client_ids(item, channel, {context.case.client_id})
    return WantedHandout(
        item, channel, already_assigned=context.case.client_id in having, confirmed=confirmed
    )


def list_assigned_client_ids(
    item: LibraryItem, channel: str, client_ids: Collection[UUID]
) -> set[UUID]:
    """Return which of some clients already have a handout version through a channel."""
    return set(
        db.session.scalars(
            sa.select(Assignment.client_id).where(
                Assignment.client_id.in_(client_ids),
                Assignment.handout_version_id == item.handout_version_id,
                Assignment.channel == channel,
                Assignment.withdrawn_at.is_(None),
            )
        )
    )
