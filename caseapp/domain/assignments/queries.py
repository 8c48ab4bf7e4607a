"""Asked: what was given, to whom, and what stops it now."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from caseapp.core.actor import Actor, require
from caseapp.core.database import Part, db, run
from caseapp.core.errors import NotFound, Reason, RuleBroken
from caseapp.core.pagination import Page, after, page_of, read_cursor
from caseapp.core.permissions import Action, Role
from caseapp.core.vault import open_row
from caseapp.domain.assignments.eligibility import objections, situation_in, what_stops
from caseapp.domain.assignments.models import Assignment
from caseapp.domain.assignments.recipients import recipient_in, recipient_of, with_recipient
from caseapp.domain.assignments.schemas import AssignmentRecord, Recipient
from caseapp.domain.audit.queries import first_touch
from caseapp.domain.cases.models import Case
from caseapp.domain.clients.models import Client
from caseapp.domain.clients.queries import seen_by, sees, visible_to
from caseapp.domain.handouts.models import Edition
from caseapp.domain.handouts.queries import RECALLED, LibraryItem, edition_of, texts_of
from caseapp.domain.practice.queries import office
from caseapp.domain.users.models import User

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime
    from uuid import UUID

    from caseapp.domain.cases.queries import CaseHead
    from caseapp.domain.handouts.library import Handout


@dataclass(frozen=True)
class Holder:
    """Show one client who was given a handout."""

    id: UUID
    number: str
    client: str
    edition: int
    language: str
    assigned_at: datetime
    read_at: datetime | None
    withdrawn_at: datetime | None


def _holders() -> sa.Select[UUID, str, str, int, str, datetime, datetime | None, datetime | None]:
    return (
        sa.select(
            Assignment.id,
            Case.number,
            Client.name,
            Edition.number.label("edition"),
            Edition.language,
            Assignment.assigned_at,
            Assignment.read_at,
            Assignment.withdrawn_at,
        )
        .join(Edition, Edition.id == Assignment.edition_id)
        .join(Case, Case.id == Assignment.case_id)
        .join(Client, Client.id == Assignment.client_id)
    )


def holders_of(actor: Actor, slug: str, cursor: str | None, limit: int) -> Page[Holder]:
    """List to which of the actor's clients a handout was given, newest first."""
    require(actor, Action.ASSIGNMENT_READ)
    query = _holders().where(Edition.slug == slug, Assignment.client_id.in_(visible_to(actor)))
    rows = db.session.execute(
        after(query, Assignment.assigned_at, Assignment.id, cursor, limit)
    ).all()
    return page_of([Holder(*row) for row in rows], limit, lambda row: (row.assigned_at, row.id))


def older_holders(actor: Actor, item: LibraryItem, limit: int) -> list[Holder]:
    """List which of the actor's clients still hold an older version of an edition in an open case, by name."""
    require(actor, Action.ASSIGNMENT_READ)
    rows = db.session.execute(
        _holders()
        .where(
            Edition.slug == item.handout.id,
            Edition.language == item.handout.language,
            Edition.number < item.handout.version,
            Assignment.withdrawn_at.is_(None),
            Assignment.client_id.in_(visible_to(actor)),
            Case.status == "open",
        )
        .order_by(Edition.number, Client.name, Assignment.id)
        .limit(limit)
    ).all()
    return [Holder(*row) for row in rows]


def live_holders(actor: Actor, edition_id: UUID, limit: int) -> list[Holder]:
    """List which of the actor's clients hold an edition now, by name."""
    require(actor, Action.ASSIGNMENT_READ)
    rows = db.session.execute(
        _holders()
        .where(
            Assignment.edition_id == edition_id,
            Assignment.withdrawn_at.is_(None),
            Assignment.client_id.in_(visible_to(actor)),
        )
        .order_by(Client.name, Assignment.id)
        .limit(limit)
    ).all()
    return [Holder(*row) for row in rows]


def holding_count(actor: Actor, edition_id: UUID) -> int:
    """Count the clients of the whole practice who hold an edition now, for those who may recall it."""
    require(actor, Action.HANDOUT_RECALL)
    return (
        db.session.scalar(
            sa.select(sa.func.count(Assignment.client_id.distinct())).where(
                Assignment.edition_id == edition_id, Assignment.withdrawn_at.is_(None)
            )
        )
        or 0
    )


def given_where(*where: sa.ColumnElement[bool]) -> sa.Select[*tuple[Any, ...]]:
    """Select assignments with their case, their edition, who gave them, and when the client first opened them."""
    return (
        sa.select(
            *Assignment.__table__.c,
            Edition.sha256,
            Edition.recalled_at,
            Case.number.label("case_number"),
            User.name.label("giver"),
            first_touch(Assignment.client_id, Assignment.id),
        )
        .join(Edition, Edition.id == Assignment.edition_id)
        .join(Case, Case.id == Assignment.case_id)
        .outerjoin(User, User.id == Assignment.assigned_by)
        .where(*where)
    )


def records_of(rows: Iterable[Any], recipient: Recipient) -> list[AssignmentRecord]:
    """Open what was selected by `given_where`, all for one recipient, each with what stops it now."""
    rows = [*rows]
    texts = texts_of(row.sha256 for row in rows)
    return [_record(row, texts[row.sha256], recipient) for row in rows]


def _record(row: Any, handout: Handout, recipient: Recipient) -> AssignmentRecord:  # noqa: ANN401 - a result row
    given = Part(row, Assignment)
    stopped: tuple[Reason, ...] = ()
    if given.withdrawn_at is None:
        stopped = what_stops(handout, given.channel, recipient.situation, recipient.office.numbers)
        if row.recalled_at is not None:
            stopped = (RECALLED,)
    return AssignmentRecord(
        id=given.id,
        case_id=given.case_id,
        case_number=row.case_number,
        client_id=given.client_id,
        handout=handout,
        edition_id=given.edition_id,
        place=given.place,
        stage=given.stage,
        channel=given.channel,
        line=open_row(given, "line", recipient.key) or "",
        levels=given.levels,
        due_on=given.due_on,
        assigned_at=given.assigned_at,
        assigned_by=given.assigned_by,
        giver=row.giver or "",
        opened_at=row.first_touch,
        read_at=given.read_at,
        withdrawn_at=given.withdrawn_at,
        stopped=stopped,
        recipient=recipient,
        version=given.version,
    )


def assignments_of(
    actor: Actor,
    head: CaseHead,
    *,
    before: tuple[datetime, UUID] | str | None = None,
    limit: int = 100,
) -> list[AssignmentRecord]:
    """List what was given in a case, newest first, each with what stops it now; in a fixed number of statements."""
    require(actor, Action.ASSIGNMENT_READ)
    query = given_where(Assignment.case_id == head.case.id)
    if before is not None:
        at, row = read_cursor(before) if isinstance(before, str) else before
        query = query.where(
            sa.tuple_(Assignment.assigned_at, Assignment.id)
            < sa.tuple_(
                sa.literal(at, Assignment.assigned_at.type), sa.literal(row, Assignment.id.type)
            )
        )
    rows = db.session.execute(
        query.order_by(Assignment.assigned_at.desc(), Assignment.id.desc()).limit(limit)
    ).all()
    return records_of(rows, recipient_in(head))


def some_of(actor: Actor, head: CaseHead, ids: set[UUID]) -> list[AssignmentRecord]:
    """List some of a case's assignments, in the order in which they were given.

    Raises NotFound when one of them is not of this case.
    """
    require(actor, Action.ASSIGNMENT_READ)
    rows = db.session.execute(
        given_where(Assignment.case_id == head.case.id, Assignment.id.in_(ids)).order_by(
            Assignment.place
        )
    ).all()
    if len(rows) != len(ids):
        raise NotFound
    return records_of(rows, recipient_in(head))


def given_together(actor: Actor, head: CaseHead, assignment_id: UUID) -> list[AssignmentRecord]:
    """List what was given in one step with an assignment, in its order.

    Raises NotFound.
    """
    require(actor, Action.ASSIGNMENT_READ)
    here = Assignment.case_id == head.case.id
    moment = sa.select(Assignment.assigned_at).where(Assignment.id == assignment_id, here)
    rows = db.session.execute(
        given_where(here, Assignment.assigned_at == moment.scalar_subquery()).order_by(
            Assignment.place
        )
    ).all()
    if not rows:
        raise NotFound
    return records_of(rows, recipient_in(head))


def left_out_of(
    head: CaseHead,
    slugs: Iterable[str],
    given: Iterable[AssignmentRecord],
    channel: str,
    language: str,
) -> list[tuple[Handout, list[Reason]]]:
    """Say of each chosen sheet that was not among those given what stands against it now."""
    there = {record.slug for record in given}
    situation, known = situation_in(head), office().numbers
    return [
        (item.handout, objections(head, item, situation, known, channel, confirmed=True))
        for item in (edition_of(slug, language) for slug in slugs if slug not in there)
    ]


def get_assignment(actor: Actor, assignment_id: UUID) -> Assignment:
    """Load an assignment for a change.

    Raises NotFound.
    """
    found = db.session.scalar(
        sa.select(Assignment).where(
            Assignment.id == assignment_id, seen_by(actor, Assignment.client_id)
        )
    )
    if found is None:
        raise NotFound
    return found


def assignment_shown(actor: Actor, assignment_id: UUID) -> AssignmentRecord:
    """Show one assignment to staff, also when it is stopped or withdrawn.

    Raises NotFound.
    """
    require(actor, Action.ASSIGNMENT_READ)
    return only_record(run(_shown_to(actor.role), asks=actor.id, assignment=assignment_id).all())


def only_record(rows: Sequence[Any]) -> AssignmentRecord:
    """Open one assignment that came with its recipient.

    Raises NotFound when there is none.
    """
    if not rows:
        raise NotFound
    return records_of(rows[:1], recipient_of(rows))[0]


@cache
def _shown_to(role: Role) -> sa.Select[*tuple[Any, ...]]:
    return with_recipient(
        given_where(
            Assignment.id == sa.bindparam("assignment"),
            sees(role, sa.bindparam("asks"), Assignment.client_id),
        ).join(Client, Client.id == Assignment.client_id),
        Assignment.case_id,
    )


def printable(actor: Actor, assignment_id: UUID) -> AssignmentRecord:
    """Show an assignment that is about to be printed again: what may not be given now is not handed out twice.

    Raises NotFound, and RuleBroken with what stops it.
    """
    found = assignment_shown(actor, assignment_id)
    if found.withdrawn_at is not None:
        raise RuleBroken(Reason("already_withdrawn", "This handout is withdrawn."))
    if found.stopped:
        raise RuleBroken(*found.stopped)
    return found
