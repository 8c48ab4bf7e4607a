"""Changes: staff accounts, ending sessions, bearer tokens."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db, max_length
from caseapp.core.email_addresses import normalize_email
from caseapp.core.errors import Invalid, NotFound, Unauthenticated
from caseapp.core.fonts import name_missing_glyphs
from caseapp.core.permissions import READING_SCOPES, SCOPES, STAFF_ROLES, Action
from caseapp.core.reads import write_with_reads
from caseapp.core.sessions import Session, end_all_sessions, end_session, is_session_open
from caseapp.core.text import count_written
from caseapp.core.tokens import generate_token, hash_token
from caseapp.domain.audit.operations import record
from caseapp.domain.auth.models import Token
from caseapp.domain.auth.passwords import add_password, find_fault, set_password
from caseapp.domain.auth.second_factor import lock_credentials
from caseapp.domain.users.models import User
from caseapp.domain.users.queries import get_user_by_email, require_active

if TYPE_CHECKING:
    from collections.abc import Collection
    from uuid import UUID

    from sqlalchemy.orm import InstrumentedAttribute

    from caseapp.domain.auth.schemas import NewToken

TOKEN_DAYS, MAX_TOKEN_DAYS = 90, 365
"""How long a token lasts unless somebody says otherwise, and at most."""


def _too_long(column: InstrumentedAttribute[str]) -> str:
    return f"Use at most {max_length(column)} characters."


def add_user(
    actor: Actor,
    email: str,
    name: str,
    role: str,
    password: str | None,
    *,
    supervisor: str | None = None,
    language: str | None = None,
) -> User:
    """Add a member of staff; `supervisor` is the email address of theirs. Without a password they can't sign in yet.

    Raises Invalid for an address in use, an unknown role, a weak password or a text that is too long or not printable,
    and NotFound for an unknown supervisor.
    """
    require(actor, Action.USER_MANAGE)
    errors = find_member_errors(email, name)
    if role not in STAFF_ROLES:
        errors["role"] = ["Choose coach, supervisor or admin."]
    if password is not None and (error := find_fault(password, name, email)):
        errors["password"] = [error]
    if errors:
        raise Invalid(errors)
    user = User(
        email=normalize_email(email),
        name=name.strip(),
        role=role,
        supervisor_id=get_user_by_email(supervisor).id if supervisor else None,
        language=language,
        created_at=now(),
    )
    db.session.add(user)
    db.session.flush()
    if password is not None:
        add_password(user.id, password)
    record(actor, Action.USER_MANAGE, "user", user.id, details={"added": role})
    return user


def find_member_errors(email: str, name: str, user_id: UUID | None = None) -> dict[str, list[str]]:
    """Return what is wrong with the address and the name of a member of staff, by field; `user_id` has them so far."""
    errors: dict[str, list[str]] = {}
    if error := _find_email_error(email, user_id):
        errors["email"] = [error]
    if not count_written(name):
        errors["name"] = ["Enter a name."]
    elif len(name.strip()) > max_length(User.name):
        errors["name"] = [_too_long(User.name)]
    elif missing := name_missing_glyphs(name):
        errors["name"] = [f"We cannot print these characters: {missing}."]
    return errors


def _find_email_error(email: str, user_id: UUID | None) -> str | None:
    if len(email) > max_length(User.email):
        return _too_long(User.email)
    try:
        wanted = normalize_email(email)
    except ValueError:
        return "Enter a full email address, such as name@example.org."
    taken = db.session.scalar(sa.select(User.id).where(User.email == wanted))
    return None if taken in {None, user_id} else "Somebody already has that email address."


def reset_password(actor: Actor, email: str, password: str) -> None:
    """Set a new password for somebody, and end all of their sessions and tokens.

    Raises Invalid for a weak password.
    """
    require(actor, Action.USER_MANAGE)
    user = get_user_by_email(email)
    if error := find_fault(password, user.name, user.email):
        raise Invalid({"password": [error]})
    set_password(user.id, password)
    record(actor, Action.USER_MANAGE, "user", user.id, details={"password": "reset"})


def sign_out(actor: Actor) -> str | None:
    """End the session that the actor came with; return by which of `core.sessions.METHODS` it had begun."""
    if not actor.session_id:
        return None
    method = end_session(actor.session_id)
    record(actor, Action.SESSION_END, "user", actor.id)
    return method


def set_own_language(actor: Actor, language: str | None) -> None:
    """Set the language of the mail that one gets; None for the practice's."""
    require(actor, Action.ACCOUNT_EDIT)
    require_active(actor)
    user = db.session.get_one(User, actor.id, with_for_update=True, populate_existing=True)
    if user.language == language:
        return
    user.language = language
    db.session.flush()
    record(actor, Action.ACCOUNT_EDIT, "user", actor.id, details={"fields": ["language"]})


def end_own_session(actor: Actor, session_id: UUID) -> Session:
    """End one of one's own sessions, which may be the one that the request came with, and return it.

    Raises NotFound for another person's session, and for one that has ended.
    """
    require(actor, Action.ACCOUNT_EDIT)
    ended: Session | None = db.session.scalar(
        sa.update(Session)
        .where(Session.id == session_id, Session.subject_id == actor.id, Session.ended_at.is_(None))
        .values(ended_at=now())
        .returning(Session)
    )
    if ended is None:
        raise NotFound
    record(actor, Action.ACCOUNT_EDIT, "user", actor.id, details={"session": "ended"})
    return ended


def end_sessions_of(actor: Actor, email: str) -> None:
    """End all sessions of a member of staff; their tokens stay."""
    require(actor, Action.USER_MANAGE)
    user = get_user_by_email(email)
    end_all_sessions(user.id)
    record(actor, Action.USER_MANAGE, "user", user.id, details={"sessions": "ended"})


def create_token(
    actor: Actor,
    email: str,
    name: str,
    scopes: Collection[str] = READING_SCOPES,
    days: int = TOKEN_DAYS,
) -> tuple[UUID, str]:
    """Create a bearer token for a member of staff, which lasts `days`; return its id and its text, which is not stored.

    Raises Invalid for a name that is empty or too long, unknown scopes or none, and for more than a year.
    """
    require(actor, Action.TOKEN_MANAGE)
    user = get_user_by_email(email)
    token, text = _add_token(user.id, name, scopes, days)
    _record_token(actor, Action.TOKEN_MANAGE, token)
    return token.id, text


def make_own_token(actor: Actor, new: NewToken) -> str:
    """Make a bearer token of one's own; return its text, which is not stored.

    Raises Invalid like `create_token`, and Unauthenticated when the session has ended since the request began, as every
    change of credentials ends it: such a change ends the tokens too, and none may come after it.
    """
    require(actor, Action.TOKEN_MAKE)
    require_open_session(actor)
    token, text = _add_token(actor.id, new.name, new.scopes, new.days)
    _record_token(actor, Action.TOKEN_MAKE, token)
    return text


def require_open_session(actor: Actor) -> None:
    """Require that the actor's session hasn't ended since the request began, and keep it and their credentials so.

    Raises Unauthenticated.
    """
    require_active(actor)
    lock_credentials(actor.id)
    if not is_session_open(actor.session_id):
        raise Unauthenticated


def _record_token(actor: Actor, action: Action, token: Token) -> None:
    details = {
        "created": True,
        "scopes": token.scopes,
        "days": (token.expires_at - token.created_at).days,
    }
    record(actor, action, "token", token.id, details=details)


def check_new_token(name: str, scopes: Collection[str]) -> None:
    """Check what a new token or program is for, and its scopes.

    Raises Invalid for a name that is empty or too long, and for unknown scopes or none.
    """
    errors: dict[str, list[str]] = {}
    if not count_written(name):
        errors["name"] = ["Enter what it is for."]
    elif len(name) > max_length(Token.name):
        errors["name"] = [_too_long(Token.name)]
    if not scopes or not {*scopes} <= {*SCOPES}:
        errors["scopes"] = [f"Choose one or more of {', '.join(SCOPES)}."]
    if errors:
        raise Invalid(errors)


def _add_token(user_id: UUID, name: str, scopes: Collection[str], days: int) -> tuple[Token, str]:
    """Add a token and return it with its text.

    Raises Invalid for a name that is empty or too long, unknown scopes or none, and for more than a year.
    """
    check_new_token(name, scopes)
    if not 1 <= days <= MAX_TOKEN_DAYS:
        raise Invalid({"days": [f"Choose 1 to {MAX_TOKEN_DAYS} days."]})
    text, moment = generate_token(), now()
    token = Token(
        secret_hash=hash_token(text),
        user_id=user_id,
        name=name,
        scopes=[scope for scope in SCOPES if scope in scopes],
        created_at=moment,
        expires_at=moment + timedelta(days=days),
    )
    db.session.add(token)
    db.session.flush()
    return token, text


def touch_token(token_id: UUID) -> None:
    """Record that a token was used, with what the request reads."""
    touch = sa.update(Token).where(Token.id == token_id).values(used_at=now())
    write_with_reads(lambda connection: connection.execute(touch))


def revoke_own_token(actor: Actor, token_id: UUID) -> Token:
    """Revoke one of one's own tokens for good, and return it.

    Raises NotFound for another person's token, and for one that was revoked.
    """
    require(actor, Action.ACCOUNT_EDIT)
    revoked: Token | None = db.session.scalar(
        sa.update(Token)
        .where(Token.id == token_id, Token.user_id == actor.id, Token.revoked_at.is_(None))
        .values(revoked_at=now())
        .returning(Token)
    )
    if revoked is None:
        raise NotFound
    record(actor, Action.ACCOUNT_EDIT, "token", token_id, details={"token": "revoked"})
    return revoked


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
