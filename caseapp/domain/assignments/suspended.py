"""Asked: what rests: sheets that were given and may not reach their client at this moment."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from caseapp.core.actor import Actor, require
from caseapp.core.database import db
from caseapp.core.pagination import Page
from caseapp.core.permissions import Action
from caseapp.domain.assignments.models import Assignment
from caseapp.domain.assignments.queries import given_where, records_of
from caseapp.domain.assignments.recipients import recipient_in
from caseapp.domain.cases.models import Case
from caseapp.domain.cases.queries import CaseFilter, case_heads, list_cases
from caseapp.domain.clients.queries import must_see
from caseapp.domain.handouts.queries import texts_of
from caseapp.domain.practice.queries import office

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.domain.assignments.schemas import AssignmentRecord
    from caseapp.domain.cases.queries import CaseHead

LOOKED_THROUGH = 100
"""How many open cases a page looks through, and Today for its count: more than a coach usually has."""


@dataclass(frozen=True)
class RestingCase:
    """Show one case and what of it rests."""

    case_id: UUID
    client_id: UUID
    number: str
    client: str
    assignments: list[AssignmentRecord]


def resting_list(actor: Actor, cursor: str | None, limit: int) -> Page[RestingCase]:
    """Look through a page of the actor's open cases, newest first, and show those in which something rests.

    What rests is worked out at this moment and not stored, so a page of `limit` cases may show fewer, or none. The
    number of statements is fixed.
    """
    require(actor, Action.ASSIGNMENT_READ)
    page = list_cases(actor, CaseFilter(status="open"), cursor, limit)
    heads = case_heads(actor, [item.id for item in page.items])
    rows: dict[UUID, list[Any]] = defaultdict(list)
    for row in db.session.execute(
        given_where(
            Assignment.case_id.in_([head.case.id for head in heads]),
            Assignment.withdrawn_at.is_(None),
        ).order_by(Assignment.assigned_at.desc(), Assignment.id.desc())
    ):
        rows[row.case_id].append(row)
    texts_of(row.sha256 for found in rows.values() for row in found)
    seen = office()
    shown = []
    for head in heads:
        records = records_of(rows[head.case.id], recipient_in(head, seen))
        if resting := [record for record in records if record.stopped]:
            case = head.case
            shown.append(
                RestingCase(case.id, case.client_id, case.number, head.client.name, resting)
            )
    return Page(shown, page.next)


def resting_count(actor: Actor) -> tuple[int, bool]:
    """Count what rests in the newest LOOKED_THROUGH open cases, and tell whether there are more cases than those."""
    page = resting_list(actor, None, LOOKED_THROUGH)
    return sum(len(case.assignments) for case in page.items), page.next is not None


def resting_in(actor: Actor, head: CaseHead) -> list[AssignmentRecord]:
    """List what rests in one case, newest first."""
    require(actor, Action.ASSIGNMENT_READ)
    rows = db.session.execute(
        given_where(Assignment.case_id == head.case.id, Assignment.withdrawn_at.is_(None)).order_by(
            Assignment.assigned_at.desc(), Assignment.id.desc()
        )
    ).all()
    records = records_of(rows, recipient_in(head))
    return [record for record in records if record.stopped]


def resting_of(actor: Actor, client_id: UUID) -> list[AssignmentRecord]:
    """List what rests of a client in their open case; nothing when none is open.

    Raises NotFound.
    """
    require(actor, Action.ASSIGNMENT_READ)
    must_see(actor, client_id)
    case_id = db.session.scalar(
        sa.select(Case.id).where(Case.client_id == client_id, Case.status == "open")
    )
    heads = case_heads(actor, [case_id] if case_id else [])
    return [record for head in heads for record in resting_in(actor, head)]
