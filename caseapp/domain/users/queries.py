"""Reads: staff, and whose clients a member of staff may see."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core.actor import SYSTEM_ID, Actor
from caseapp.core.database import db, run
from caseapp.core.errors import NotFound, Unauthenticated
from caseapp.core.permissions import Role
from caseapp.domain.users.models import User

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID


def find_job_actor(user_id: UUID) -> Actor | None:
    """Return the actor of a job that a user requested, with their current role; None once they are disabled."""
    row = db.session.execute(
        sa.select(User.role, User.name).where(User.id == user_id, User.disabled_at.is_(None))
    ).first()
    return None if row is None else Actor(user_id, Role(row.role), row.name, "job")


def require_active(actor: Actor) -> None:
    """Require that the actor's account hasn't been disabled since the request began, and keep it so until the commit.

    Raises Unauthenticated.
    """
    if actor.id == SYSTEM_ID:
        return
    if run(LOCK_ACTIVE, user=actor.id).first() is None:
        raise Unauthenticated


LOCK_ACTIVE = (
    sa.select(User.id)
    .where(User.id == sa.bindparam("user"), User.disabled_at.is_(None))
    .with_for_update(read=True, key_share=True)
)


def get_user_by_email(email: str) -> User:
    """Get a user by email address.

    Raises NotFound.
    """
    found = find_user_by_email(email)
    if found is None:
        raise NotFound("No account uses that email address.")
    return found


def find_user_by_email(email: str) -> User | None:
    """Return a user by email address, or None."""
    return db.session.scalar(sa.select(User).where(User.email == email.strip().lower()))


def get_operator(email: str) -> Actor:
    """Return the actor of somebody who runs a command, with the rights of their role.

    The command line takes their word for it: whoever may run it could change the database as well. Raises NotFound for
    an address that no active account has.
    """
    found = get_user_by_email(email)
    if found.disabled_at is not None:
        raise NotFound("No active account uses that email address.")
    return Actor(found.id, Role(found.role), found.name, "cli")


def list_users() -> Sequence[User]:
    """List all staff by name, disabled accounts included."""
    return db.session.scalars(sa.select(User).order_by(User.name)).all()


def get_user_names(ids: set[UUID]) -> dict[UUID, str]:
    """Return the names of some users by id; the command line is named “the practice”."""
    found = db.session.execute(sa.select(User.id, User.name).where(User.id.in_(ids)))
    return {SYSTEM_ID: "the practice"} | {row.id: row.name for row in found}


def find_supervisor_id(user_id: UUID) -> UUID | None:
    """Return the supervisor of a member of staff, or None for somebody who has none."""
    return db.session.scalar(sa.select(User.supervisor_id).where(User.id == user_id))


def needs_cosignature(user_id: UUID) -> bool:
    """Tell whether a supervisor co-signs the notes of a member of staff."""
    found = sa.select(User.needs_cosignature).where(User.id == user_id)
    return db.session.scalars(found).one()


def select_visible_coaches(actor: Actor) -> sa.Select[UUID]:
    """Select the staff whose clients the actor may see: the actor, and for a supervisor their coaches."""
    return select_visible_coaches_for(actor.role, actor.id)


def select_visible_coaches_for(role: Role, who: UUID | sa.BindParameter[UUID]) -> sa.Select[UUID]:
    """Do the same for a role and a user id, which may be a bound parameter of a prebuilt statement."""
    return sa.select(User.id).where(is_visible_coach(User, role, who))


def is_visible_coach(
    user: type[User], role: Role, who: UUID | sa.BindParameter[UUID]
) -> sa.ColumnElement[bool]:
    """Build the SQL condition that a user (the table or an alias) is one of those."""
    if role is Role.SUPERVISOR:
        return sa.or_(user.id == who, user.supervisor_id == who)
    return user.id == who


def list_assignable_coaches(actor: Actor) -> Sequence[User]:
    """List the staff whom the actor may make a client's coach."""
    return db.session.scalars(
        sa.select(User)
        .where(
            User.id.in_(select_visible_coaches(actor)),
            User.disabled_at.is_(None),
            User.role != Role.ADMIN,
        )
        .order_by(User.name)
    ).all()
