"""Changes: staff accounts, signing in and out, bearer tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db, max_length
from caseapp.core.errors import Invalid, NotFound, Unauthenticated
from caseapp.core.fonts import name_missing_glyphs
from caseapp.core.i18n import lazy_gettext
from caseapp.core.permissions import STAFF_ROLES, Action, Role
from caseapp.core.sessions import begin_session, end_all_sessions, end_session
from caseapp.core.text import count_written
from caseapp.core.tokens import generate_token, hash_token
from caseapp.domain.audit.operations import record
from caseapp.domain.auth.credentials import (
    find_password_error,
    hash_secret,
    needs_rehash,
    verify_secret,
)
from caseapp.domain.auth.models import Token
from caseapp.domain.auth.throttling import Limit, clear_attempts, count_attempt, sign_in_limits
from caseapp.domain.users.models import User
from caseapp.domain.users.queries import get_user_by_email

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy.orm import InstrumentedAttribute

    from caseapp.domain.auth.schemas import SignIn

NO_MATCH = lazy_gettext("That email and password do not match.")


def _too_long(column: InstrumentedAttribute[str]) -> str:
    return f"Use at most {max_length(column)} characters."


def add_user(
    actor: Actor, email: str, name: str, role: str, password: str, *, supervisor: str | None = None
) -> User:
    """Add a member of staff; `supervisor` is the email address of theirs.

    Raises Invalid for an address in use, an unknown role, a weak password or a text that is too long or not printable,
    and NotFound for an unknown supervisor.
    """
    require(actor, Action.USER_MANAGE)
    email = email.strip().lower()
    errors: dict[str, list[str]] = {}
    if email.count("@") != 1 or email.startswith("@") or email.endswith("@") or " " in email:
        errors["email"] = ["Enter a full email address, such as name@example.org."]
    elif len(email) > max_length(User.email):
        errors["email"] = [_too_long(User.email)]
    elif db.session.scalar(sa.select(User.id).where(User.email == email)) is not None:
        errors["email"] = ["Somebody already has that email address."]
    if role not in STAFF_ROLES:
        errors["role"] = ["Choose coach, supervisor or admin."]
    if not count_written(name):
        errors["name"] = ["Enter a name."]
    elif len(name.strip()) > max_length(User.name):
        errors["name"] = [_too_long(User.name)]
    elif missing := name_missing_glyphs(name):
        errors["name"] = [f"We cannot print these characters: {missing}."]
    if error := find_password_error(password, personal_words=(*name.split(), email.split("@")[0])):
        errors["password"] = [error]
    if errors:
        raise Invalid(errors)
    user = User(
        email=email,
        name=name.strip(),
        role=role,
        password_hash=hash_secret(password),
        supervisor_id=get_user_by_email(supervisor).id if supervisor else None,
        created_at=now(),
    )
    db.session.add(user)
    db.session.flush()
    record(actor, Action.USER_MANAGE, "user", user.id, details={"added": role})
    return user


def reset_password(actor: Actor, email: str, password: str) -> None:
    """Set a new password and end every session of that person.

    Raises Invalid for a weak password.
    """
    require(actor, Action.USER_MANAGE)
    user = get_user_by_email(email)
    if error := find_password_error(
        password, personal_words=(*user.name.split(), email.split("@", maxsplit=1)[0])
    ):
        raise Invalid({"password": [error]})
    user.password_hash = hash_secret(password)
    end_all_sessions(user.id)
    record(actor, Action.USER_MANAGE, "user", user.id, details={"password": "reset"})


@dataclass(frozen=True)
class CheckedPassword:
    """Whose right password was entered, and its stored hash; only `check_password` makes one."""

    actor: Actor
    attempt: SignIn
    stored: str
    limits: list[Limit]


def check_password(attempt: SignIn, address: str) -> CheckedPassword:
    """Check a password; count the attempt in a transaction of its own, so that a wrong one counts too.

    A wrong password and an unknown email address get the same answer in the same time. Raises Unauthenticated, or
    TooManyAttempts when a limit is reached.
    """
    limits = sign_in_limits(attempt.email, address)
    count_attempt(limits)
    user = db.session.execute(
        sa.select(User.id, User.role, User.name, User.password_hash).where(
            User.email == attempt.email, User.disabled_at.is_(None)
        )
    ).first()
    stored = user.password_hash if user else None
    if not verify_secret(stored, attempt.password) or user is None:
        raise Unauthenticated(NO_MATCH)
    actor = Actor(user.id, Role(user.role), user.name, "web")
    return CheckedPassword(actor, attempt, user.password_hash, limits)


def sign_in(checked: CheckedPassword) -> str:
    """Begin a session and return the token for the cookie; renew a hash that was made with older parameters.

    Raises Unauthenticated when the password was changed or the account disabled since the check.
    """
    actor, password_hash = checked.actor, checked.stored
    if needs_rehash(password_hash):
        password_hash = hash_secret(checked.attempt.password)
    # The row is written even when the hash stays, so that a reset of the password waits or is seen.
    unchanged = db.session.execute(
        sa.update(User)
        .where(
            User.id == actor.id,
            User.password_hash == checked.stored,
            User.disabled_at.is_(None),
        )
        .values(password_hash=password_hash)
        .returning(User.id)
    ).scalar()
    if unchanged is None:
        raise Unauthenticated(NO_MATCH)
    clear_attempts(checked.limits)
    token = begin_session("staff", actor.id)
    record(actor, Action.SIGN_IN, "user", actor.id)
    return token


def sign_out(actor: Actor) -> None:
    """End the session that the actor came with."""
    if actor.session_id:
        end_session(actor.session_id)
        record(actor, Action.SESSION_END, "user", actor.id)


def create_token(actor: Actor, email: str, name: str) -> tuple[UUID, str]:
    """Create a bearer token for a member of staff; return its id and its text, which is not stored.

    Raises Invalid for a name that is empty or too long.
    """
    require(actor, Action.TOKEN_MANAGE)
    if not count_written(name):
        raise Invalid({"name": ["Enter what the token is for."]})
    if len(name) > max_length(Token.name):
        raise Invalid({"name": [_too_long(Token.name)]})
    user = get_user_by_email(email)
    text = generate_token()
    token = Token(secret_hash=hash_token(text), user_id=user.id, name=name, created_at=now())
    db.session.add(token)
    db.session.flush()
    record(actor, Action.TOKEN_MANAGE, "token", token.id, details={"created": True})
    return token.id, text


def revoke_token(actor: Actor, token_id: UUID) -> None:
    """Revoke a bearer token for good.

    Raises NotFound.
    """
    require(actor, Action.TOKEN_MANAGE)
    revoked = db.session.execute(
        sa.update(Token).where(Token.id == token_id).values(revoked_at=now()).returning(Token.id)
    ).scalar()
    if revoked is None:
        raise NotFound
    record(actor, Action.TOKEN_MANAGE, "token", token_id, details={"revoked": True})
