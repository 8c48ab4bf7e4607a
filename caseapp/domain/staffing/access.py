"""Explains to an operator why somebody on the staff may or may not open a case."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import NotFound
from caseapp.core.permissions import Action
from caseapp.domain.audit.operations import record
from caseapp.domain.cases.models import Case
from caseapp.domain.clients.models import CareTeamMember
from caseapp.domain.clients.visibility import has_denial, select_denied_clients
from caseapp.domain.staffing.access_rules import AccessFacts, Ground, Membership, list_grounds
from caseapp.domain.users.models import User
from caseapp.domain.users.queries import get_user_by_email

if TYPE_CHECKING:
    from uuid import UUID


def explain_access(actor: Actor, email: str, number: str) -> list[Ground]:
    """List the grounds for and against that somebody opens a case now, and record that it was asked.

    They name staff and dates, and nothing about the client. Raises NotFound for an unknown address or number, and
    for a client whom the actor must not see.
    """
    require(actor, Action.ACCESS_EXPLAIN)
    user = get_user_by_email(email)
    case = db.session.execute(
        sa.select(Case.id, Case.client_id).where(
            Case.number == number.strip().upper(),
            Case.client_id.not_in(select_denied_clients(actor.id)),
        )
    ).first()
    if case is None:
        raise NotFound("No case has that number.")
    facts = AccessFacts(
        user.id,
        user.role,
        user.disabled_at,
        has_denial(case.client_id, user.id),
        _list_memberships(case.client_id),
    )
    details = {"user": str(user.id)}
    record(actor, Action.ACCESS_EXPLAIN, "case", case.id, client_id=case.client_id, details=details)
    return list_grounds(facts, now())


def _list_memberships(client_id: UUID) -> tuple[Membership, ...]:
    rows = db.session.execute(
        sa.select(
            User.id,
            User.name,
            User.supervisor_id,
            CareTeamMember.role,
            CareTeamMember.starts_at,
            CareTeamMember.ends_at,
        )
        .join(User, User.id == CareTeamMember.user_id)
        .where(CareTeamMember.client_id == client_id)
        .order_by(CareTeamMember.starts_at, User.name)
    )
    return tuple(Membership(*row) for row in rows)
