"""Passwords of staff: checked at sign-in and before a change, set, changed.

The Argon2id hash is sealed under a key of the ring, which is the pepper: without the vault key no password can be tried
against a copy of the database (NIST SP 800-63B-4, 3.1.1.2, a keyed operation with a secret that is stored elsewhere).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import Invalid, Unauthenticated
from caseapp.core.i18n import lazy_gettext
from caseapp.core.ids import new_id
from caseapp.core.permissions import Action, Role
from caseapp.core.sessions import Assurance, end_all_sessions, renew_session
from caseapp.domain.audit.operations import record
from caseapp.domain.audit.security_events import count_event
from caseapp.domain.auth.credentials import (
    find_password_error,
    hash_secret,
    needs_rehash,
    verify_secret,
)
from caseapp.domain.auth.devices import NO_DEVICE
from caseapp.domain.auth.models import (
    ACCEPTED_BY,
    PASSWORD_LINK_KINDS,
    Credential,
    Program,
    Token,
)
from caseapp.domain.auth.sealing import open_secret, seal_secret
from caseapp.domain.auth.throttling import (
    Limit,
    clear_attempts,
    code_limits,
    confirmation_limits,
    count_attempt,
    reset_attempts,
    sign_in_limits,
)
from caseapp.domain.keys.queries import get_ring_key
from caseapp.domain.practice.queries import get_practice
from caseapp.domain.users.models import User
from caseapp.domain.users.queries import require_active

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.domain.auth.devices import Device
    from caseapp.domain.auth.schemas import PasswordChange, SignIn

NO_MATCH = lazy_gettext("That email and password do not match.")
WRONG_PASSWORD = "That isn’t your current password."  # noqa: S105 - a message
OWNER = (
    sa.select(
        User.id,
        User.role,
        User.name,
        User.email,
        Credential.id.label("credential_id"),
        Credential.ring_number,
        Credential.secret,
    )
    .join(Credential, Credential.person_id == User.id)
    .where(
        Credential.kind == "password",
        Credential.ended_at.is_(None),
        User.disabled_at.is_(None),
    )
)


@dataclass(frozen=True)
class CheckedPassword:
    """Whose right password was entered, and its stored hash; only this module makes one."""

    actor: Actor
    credential_id: UUID
    ring_number: int | None
    password: str = field(repr=False)
    stored: str = field(repr=False)
    limits: list[Limit]


def check_password(attempt: SignIn, address: str, device: Device = NO_DEVICE) -> CheckedPassword:
    """Check a password; count the attempt in a transaction of its own, so that a wrong one counts too.

    A wrong password and an unknown email address get the same answer in the same time. Raises Unauthenticated, or
    TooManyAttempts while a limit makes the attempt wait.
    """
    owner = db.session.execute(OWNER.where(User.email == attempt.email)).first()
    account = owner.id.hex if owner else attempt.email
    limits = sign_in_limits(account, address, device)
    count_attempt(limits)
    stored = (
        open_secret(owner.credential_id, owner.id, owner.ring_number, owner.secret)
        if owner
        else None
    )
    if not verify_secret(stored, attempt.password) or owner is None or stored is None:
        count_event("password", owner.id if owner else None)
        raise Unauthenticated(NO_MATCH)
    actor = Actor(owner.id, Role(owner.role), owner.name, "web")
    return CheckedPassword(
        actor, owner.credential_id, owner.ring_number, attempt.password, stored, limits
    )


def check_own_password(actor: Actor, password: str) -> CheckedPassword:
    """Check the password of somebody who is signed in; count the attempt as `check_password` does.

    Raises Invalid naming `password` when it is wrong, and TooManyAttempts.
    """
    owner = db.session.execute(OWNER.where(User.id == actor.id)).first()
    if owner is None:
        raise Unauthenticated
    limits = confirmation_limits(actor.id)
    count_attempt(limits)
    stored = open_secret(owner.credential_id, owner.id, owner.ring_number, owner.secret)
    if not verify_secret(stored, password):
        count_event("confirmation", actor.id)
        raise Invalid({"password": [WRONG_PASSWORD]})
    return CheckedPassword(actor, owner.credential_id, owner.ring_number, password, stored, limits)


def confirm_session(checked: CheckedPassword) -> str:
    """Note that somebody who is signed in has shown again who they are; return the session's new token for the cookie.

    Raises Unauthenticated when the password was changed, the account disabled or the session ended since the check.
    """
    use_password(checked)
    actor = checked.actor
    token = renew_session(actor.session_id, Assurance.ONE_FACTOR) if actor.session_id else None
    if token is None:
        raise Unauthenticated
    record(actor, Action.SIGN_IN, "user", actor.id, details={"again": True})
    return token


def use_password(checked: CheckedPassword) -> None:
    """Note that a password was used, unless it has ended since the check, and forget the attempts before it.

    What was made with other parameters, or sealed under another key, than today's is made anew. The row is written in
    any case, so that a change of the password waits or is seen. Raises Unauthenticated.
    """
    values: dict[str, object] = {"used_at": now()}
    outdated = needs_rehash(checked.stored)
    if outdated or checked.ring_number != get_ring_key("credentials").number:
        stored = hash_secret(checked.password) if outdated else checked.stored
        number, secret = seal_secret(checked.credential_id, checked.actor.id, stored)
        values |= {"ring_number": number, "secret": secret}
    used = db.session.execute(
        sa.update(Credential)
        .where(Credential.id == checked.credential_id, Credential.ended_at.is_(None))
        .values(values)
        .returning(Credential.id)
    ).scalar()
    if used is None:
        raise Unauthenticated(NO_MATCH)
    require_active(checked.actor)
    clear_attempts(checked.limits)


@dataclass(frozen=True)
class CheckedChange:
    """A right current password and an acceptable new one; only `check_change` makes one."""

    checked: CheckedPassword
    new: str = field(repr=False)


def check_change(actor: Actor, change: PasswordChange) -> CheckedChange:
    """Check the current password of somebody who wants another one; a new one that won't do costs no attempt.

    Raises Invalid naming `new_password` or `password`, and TooManyAttempts.
    """
    require(actor, Action.ACCOUNT_EDIT)
    user = db.session.get_one(User, actor.id)
    if error := find_fault(change.new_password, user.name, user.email):
        raise Invalid({"new_password": [error]})
    return CheckedChange(check_own_password(actor, change.password), change.new_password)


def find_fault(password: str, name: str, email: str) -> str | None:
    """Return what is wrong with a new password of somebody with this name and email address, or None."""
    own = (*name.split(), email.split("@", maxsplit=1)[0])
    return find_password_error(password, personal_words=own, names=(get_practice().name,))


def change_password(change: CheckedChange) -> None:
    """Change one's own password; end one's other sessions, and all of one's tokens.

    Raises Unauthenticated when the current password was changed or the account disabled since the check.
    """
    actor = change.checked.actor
    use_password(change.checked)
    set_password(actor.id, change.new, but_session=actor.session_id)
    record(actor, Action.ACCOUNT_EDIT, "user", actor.id, details={"password": "changed"})


def set_password(person_id: UUID, password: str, *, but_session: UUID | None = None) -> None:
    """Give somebody a password in place of the one before, and end their sessions, but for one, and their tokens."""
    moment = now()
    db.session.execute(
        sa.update(Credential)
        .where(
            Credential.person_id == person_id,
            Credential.kind == "password",
            Credential.ended_at.is_(None),
        )
        .values(ended_at=moment, ring_number=None, secret=None)
    )
    add_password(person_id, password)
    end_access(person_id, but_session=but_session)


def has_password(person_id: UUID) -> bool:
    """Tell whether somebody has chosen a password."""
    return _has_any(person_id, "password")


def has_accepted(person_id: UUID) -> bool:
    """Tell whether somebody has accepted their invitation: by a password, or with an account at the provider."""
    return _has_any(person_id, *ACCEPTED_BY)


def _has_any(person_id: UUID, *kinds: str) -> bool:
    found = sa.exists().where(
        Credential.person_id == person_id,
        Credential.kind.in_(kinds),
        Credential.ended_at.is_(None),
    )
    return bool(db.session.scalar(sa.select(found)))


def add_password(person_id: UUID, password: str) -> None:
    """Give a password to somebody who has none."""
    row = Credential(id=new_id(), person_id=person_id, kind="password", created_at=now())
    row.ring_number, row.secret = seal_secret(row.id, person_id, hash_secret(password))
    db.session.add(row)
    db.session.flush()


def end_access(person_id: UUID, *, but_session: UUID | None = None) -> None:
    """End the sessions of somebody whose credentials have changed, but for one, and their tokens and programs.

    So do the links and codes for choosing a password. Codes that were tried with a password or an app of before count
    no longer.
    """
    reset_attempts(code_limits(person_id))
    end_all_sessions(person_id, but=but_session)
    db.session.execute(
        sa.update(Credential)
        .where(
            Credential.person_id == person_id,
            Credential.kind.in_(PASSWORD_LINK_KINDS),
            Credential.ended_at.is_(None),
        )
        .values(ended_at=now(), lookup=None)
    )
    # A program that gets a token at the same moment locks its own row first.
    db.session.execute(
        sa.update(Program)
        .where(Program.user_id == person_id, Program.ended_at.is_(None))
        .values(ended_at=now())
    )
    db.session.execute(
        sa.update(Token)
        .where(Token.user_id == person_id, Token.revoked_at.is_(None))
        .values(revoked_at=now())
    )
