"""Whose task a new task about a client is: somebody with an active account who sees the client."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core.database import db, run
from caseapp.core.permissions import Role
from caseapp.domain.clients.codes import COACH
from caseapp.domain.clients.models import CareTeamMember
from caseapp.domain.users.models import User

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID


def choose_assignee(client_id: UUID, wanted: Sequence[UUID], *, decides: bool = False) -> UUID:
    """Choose whose task a new task about a locked client is; see `choose_person`.

    The accounts of the coaches, and before a decision those of their supervisors, are locked until the transaction
    ends: whoever disables one of them, or gives a coach another supervisor, waits and then sees the task.
    """
    if decides:
        team = sa.select(CareTeamMember.user_id).where(
            CareTeamMember.client_id == client_id, CareTeamMember.role == COACH
        )
        above = sa.select(User.supervisor_id).where(User.id.in_(team))
        both = sa.select(User.id).where(sa.or_(User.id.in_(team), User.id.in_(above)))
        db.session.execute(both.order_by(User.id).with_for_update(read=True)).all()
    db.session.flush()
    members = run(LOCK_COACHES, client=client_id).all()
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


LOCK_COACHES = (
    sa.select(User.id, User.supervisor_id, User.disabled_at, User.role)
    .join(CareTeamMember, CareTeamMember.user_id == User.id)
    .where(CareTeamMember.client_id == sa.bindparam("client"), CareTeamMember.role == COACH)
    .order_by(User.id)
    .with_for_update(read=True, of=User)
)


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
