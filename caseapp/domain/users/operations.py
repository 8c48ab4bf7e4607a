"""Done: staff added, disabled, signed in and out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import Invalid, Unauthenticated
from caseapp.core.permissions import Action, Role
from caseapp.core.transaction import transaction
from caseapp.domain.audit.operations import record
from caseapp.domain.auth import operations as access
from caseapp.domain.auth.credentials import hash_secret, matches, outdated, password_fault
from caseapp.domain.users.models import User
from caseapp.domain.users.queries import user_by_email

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.domain.users.schemas import SignIn


def add_user(
    actor: Actor, email: str, name: str, role: str, password: str, *, supervisor: str | None = None
) -> User:
    """Add a member of staff.

    Raises Invalid naming each field: an address in use, an unknown role, a weak password.
    """
    require(actor, Action.USER_MANAGE)
    email = email.strip().lower()
    faults: dict[str, list[str]] = {}
    if email.count("@") != 1 or email.startswith("@") or email.endswith("@") or " " in email:
        faults["email"] = ["Write a full address, such as name@example.org."]
    elif db.session.scalar(sa.select(User.id).where(User.email == email)) is not None:
        faults["email"] = ["Somebody here already has that address."]
    if role not in {Role.COACH, Role.SUPERVISOR, Role.ADMIN}:
        faults["role"] = ["Choose coach, supervisor or admin."]
    if not name.strip():
        faults["name"] = ["Write a name."]
    if fault := password_fault(password, known=(*name.split(), email.split("@")[0])):
        faults["password"] = [fault]
    if faults:
        raise Invalid(faults)
    user = User(
        email=email,
        name=name.strip(),
        role=role,
        password_hash=hash_secret(password),
        supervisor_id=user_by_email(supervisor).id if supervisor else None,
        made_at=now(),
    )
    db.session.add(user)
    db.session.flush()
    record(actor, Action.USER_MANAGE, "user", user.id, details={"added": role})
    return user


def disable_user(actor: Actor, email: str) -> None:
    """Take somebody's access away at once; their records stay."""
    require(actor, Action.USER_MANAGE)
    user = user_by_email(email)
    user.disabled_at = now()
    access.end_all_sessions(user.id)
    record(actor, Action.USER_MANAGE, "user", user.id, details={"disabled": True})


def reset_password(actor: Actor, email: str, password: str) -> None:
    """Set a new password and end every session of that person.

    Raises Invalid for a weak password.
    """
    require(actor, Action.USER_MANAGE)
    user = user_by_email(email)
    if fault := password_fault(
        password, known=(*user.name.split(), email.split("@", maxsplit=1)[0])
    ):
        raise Invalid({"password": [fault]})
    user.password_hash = hash_secret(password)
    access.end_all_sessions(user.id)
    record(actor, Action.USER_MANAGE, "user", user.id, details={"password": "reset"})


def sign_in(attempt: SignIn, address: str) -> str:
    """Check a password and begin a session; give the reference for the cookie.

    The answer is the same, in words and in time, for a wrong password and an unknown address. Raises
    Unauthenticated, or TooManyAttempts when the throttle is closed. It runs its own transactions, because a
    failed try must be counted although nothing else is stored.
    """
    limits = access.sign_in_limits(attempt.email, address)
    access.count_attempt(limits)
    user = db.session.scalar(
        sa.select(User).where(User.email == attempt.email, User.disabled_at.is_(None))
    )
    stored = user.password_hash if user else None
    if not matches(stored, attempt.password) or user is None:
        raise Unauthenticated("That email and password do not match.")
    actor = Actor(user.id, Role(user.role), user.name, "web")
    with transaction():
        if outdated(user.password_hash):
            db.session.execute(
                sa.update(User)
                .where(User.id == actor.id)
                .values(password_hash=hash_secret(attempt.password))
            )
        access.forget_attempts(limits)
        reference = access.begin_session("staff", actor.id)
        record(actor, Action.SIGN_IN, "user", actor.id)
    return reference


def sign_out(actor: Actor) -> None:
    """End the session that the actor came with."""
    if actor.session_id:
        access.end_session(actor.session_id)
        record(actor, Action.SESSION_END, "user", actor.id)


def make_token(actor: Actor, email: str, name: str) -> tuple[UUID, str]:
    """Make a bearer token for somebody; its text is given once."""
    require(actor, Action.TOKEN_MANAGE)
    user = user_by_email(email)
    token_id, text = access.make_token(user.id, name)
    record(actor, Action.TOKEN_MANAGE, "token", token_id, details={"made": True})
    return token_id, text


def revoke_token(actor: Actor, token_id: UUID) -> None:
    """Revoke a bearer token."""
    require(actor, Action.TOKEN_MANAGE)
    access.revoke_token(token_id)
    record(actor, Action.TOKEN_MANAGE, "token", token_id, details={"revoked": True})
