"""Whose task a new task about a client is: somebody with an active account who sees the client."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core.database import db
from caseapp.core.permissions import Role
from caseapp.domain.clients.codes import COACH
from caseapp.domain.clients.models import CareTeamMember
from caseapp.domain.clients.queries import lock_team
from caseapp.domain.clients.visibility import in_role
from caseapp.domain.users.models import User

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from caseapp.domain.clients.queries import TeamAccounts


def choose_assignee(
    client_id: UUID,
    wanted: Sequence[UUID],
    *,
    decides: bool = False,
    team: TeamAccounts | None = None,
) -> UUID:
    """Choose whose task a new task about a locked client is; see `choose_person`.

    `team` is the client's care team as this transaction has locked it; without it, it is locked here. The accounts of
    the coaches, and before a decision those of their supervisors, are locked until the transaction ends: whoever
    disables one of them, or gives a coach another supervisor, waits and then sees the task.
    """
    if decides:
        coached = sa.select(CareTeamMember.user_id).where(
            CareTeamMember.client_id == client_id, in_role(CareTeamMember, COACH)
        )
        above = sa.select(User.supervisor_id).where(User.id.in_(coached))
        both = sa.select(User.id).where(sa.or_(User.id.in_(coached), User.id.in_(above)))
        db.session.execute(both.order_by(User.id).with_for_update(read=True)).all()
    members = (team or lock_team(client_id)).coaches
    coaches = [row.id for row in members if row.disabled_at is None]
    if not decides and wanted[0] in coaches:
        return wanted[0]
    supervisors = db.session.scalars(
        sa.select(User.id)
        .where(
            User.id.in_({row.supervisor_id for row in members}),
            User.disabled_at.is_(None),
            User.role == Role.SUPERVISOR,
        )
        .order_by(User.id)
    ).all()
    own = [row.id for row in members if row.id in coaches and row.role == Role.SUPERVISOR]
    return choose_person(wanted, coaches, supervisors, [*supervisors, *own] if decides else ())


def choose_person(
    wanted: Sequence[UUID],
    coaches: Sequence[UUID],
    supervisors: Sequence[UUID],
    deciders: Sequence[UUID] = (),
) -> UUID:
    """Choose the first of the `wanted` people who sees the client; else a coach of theirs, else a supervisor of these.

    `coaches` and `supervisors` have active accounts. A decision goes to one of the `deciders`, if there are any. When
    nobody sees the client, it is the first wanted person's: the board lists it as an action that nobody will do.
    """
    order = deciders or [*coaches, *supervisors]
    return next((who for who in (*wanted, *order) if who in order), wanted[0])
