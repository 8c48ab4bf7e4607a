"""Asked: who is signed in, who works here, whose supervisor is whose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core.actor import SYSTEM_ID, Actor
from caseapp.core.database import db, run
from caseapp.core.errors import NotFound
from caseapp.core.permissions import Role
from caseapp.domain.auth.credentials import reference_hash
from caseapp.domain.auth.models import Session, Token
from caseapp.domain.auth.queries import live_session, live_token, the_session
from caseapp.domain.users.models import User

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID


SIGNED_IN = (
    sa.select(Session.id.label("session"), Session.seen_at, User.id, User.role, User.name)
    .join(User, User.id == Session.subject_id)
    .where(live_session(), User.disabled_at.is_(None))
)
BEARER = (
    sa.select(User.id, User.role, User.name)
    .join(Token, Token.user_id == User.id)
    .where(live_token(), User.disabled_at.is_(None))
)


@dataclass(frozen=True)
class SignedIn:
    """Say who a cookie stands for and when it was last noted as used."""

    actor: Actor
    seen_at: datetime


def signed_in(reference: str) -> SignedIn | None:
    """Find the member of staff behind a session cookie, in one statement."""
    row = run(SIGNED_IN, **the_session("staff", reference)).first()
    if row is None:
        return None
    return SignedIn(Actor(row.id, Role(row.role), row.name, "web", row.session), row.seen_at)


def bearer(reference: str) -> Actor | None:
    """Find the member of staff behind a bearer token, in one statement."""
    row = run(BEARER, secret=reference_hash(reference)).first()
    return None if row is None else Actor(row.id, Role(row.role), row.name, "api")


def at_work(user_id: UUID) -> Actor | None:
    """Make the actor of a job that somebody asked for, with the rights of this moment; none once they are disabled."""
    row = db.session.execute(
        sa.select(User.role, User.name).where(User.id == user_id, User.disabled_at.is_(None))
    ).first()
    return None if row is None else Actor(user_id, Role(row.role), row.name, "job")


def user_by_email(email: str) -> User:
    """Find somebody by address.

    Raises NotFound.
    """
    found = db.session.scalar(sa.select(User).where(User.email == email.strip().lower()))
    if found is None:
        raise NotFound("Nobody here has that address.")
    return found


def everyone() -> Sequence[User]:
    """List all staff by name."""
    return db.session.scalars(sa.select(User).order_by(User.name)).all()


def names_of(ids: set[UUID]) -> dict[UUID, str]:
    """Give the names behind some ids in one statement; the command line is called the operator."""
    found = db.session.execute(sa.select(User.id, User.name).where(User.id.in_(ids)))
    return {SYSTEM_ID: "the practice"} | {row.id: row.name for row in found}


def coached_by(actor: Actor) -> sa.Select[UUID]:
    """Select the staff whose clients an actor may see: themselves, and for a supervisor their coaches."""
    return coached_in(actor.role, actor.id)


def coached_in(role: Role, who: UUID | sa.BindParameter[UUID]) -> sa.Select[UUID]:
    """Select the same for a role, where `who` may stay open as a parameter of a statement that is built once."""
    return sa.select(User.id).where(is_coached(User, role, who))


def is_coached(
    user: type[User], role: Role, who: UUID | sa.BindParameter[UUID]
) -> sa.ColumnElement[bool]:
    """Say in SQL that a member of staff, or an alias of the table, is one of those."""
    if role is Role.SUPERVISOR:
        return sa.or_(user.id == who, user.supervisor_id == who)
    return user.id == who


def coaches_for(actor: Actor) -> Sequence[User]:
    """List those who can be a client's coach in the actor's eyes."""
    return db.session.scalars(
        sa.select(User)
        .where(User.id.in_(coached_by(actor)), User.disabled_at.is_(None), User.role != Role.ADMIN)
        .order_by(User.name)
    ).all()


def supervisor_of(user_id: UUID) -> UUID | None:
    """Name the supervisor of a coach; a supervisor who coaches is their own."""
    row = db.session.execute(
        sa.select(User.role, User.supervisor_id).where(User.id == user_id)
    ).first()
    if row is None:
        return None
    return row.supervisor_id or (user_id if row.role == Role.SUPERVISOR else None)
