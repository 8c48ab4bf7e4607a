"""The second factor of staff: a code from an app that changes every 30 seconds (TOTP, RFC 6238), or a recovery code.

A passkey is one too (`passkeys`).
The app's secret is sealed under a key of the ring. No code is accepted twice: the time step of the last one is stored,
and a recovery code is removed in the statement that accepts it. Every try is counted before it is checked.
"""

from __future__ import annotations

import hmac
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyotp
import sqlalchemy as sa

from caseapp.core import outbox, urls
from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import Invalid, Reason, RuleBroken, Unauthenticated
from caseapp.core.i18n import lazy_gettext
from caseapp.core.ids import new_id
from caseapp.core.permissions import Action
from caseapp.core.sessions import Assurance, begin_session, renew_session, set_assurance_level
from caseapp.core.tokens import generate_code, hash_token, normalize_code
from caseapp.domain.audit.operations import record
from caseapp.domain.audit.security_events import count_event
from caseapp.domain.auth.identities import is_provider_required
from caseapp.domain.auth.models import Credential, Passkey
from caseapp.domain.auth.passwords import NO_MATCH, CheckedPassword, end_access, use_password
from caseapp.domain.auth.rules import lacks_factor
from caseapp.domain.auth.sealing import open_secret, seal_secret
from caseapp.domain.auth.throttling import Limit, clear_attempts, code_limits, count_attempt
from caseapp.domain.practice.queries import get_practice
from caseapp.domain.users.models import User
from caseapp.domain.users.queries import require_active
from caseapp.domain.users.staff_mail import send_staff_mail

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

STEP_SECONDS = 30
RECOVERY_CODES = 10
PASSKEY_IN_USE = sa.select(Passkey.id).where(Passkey.ended_at.is_(None))
REMOVAL_MAIL = "second_factor_removed_mail"
REQUIRED = Reason(
    "second_factor_required",
    "The practice requires a second factor for your role.",
    "Add a passkey or set up another app first. A new app replaces this one.",
)
OWN_FACTOR = Reason(
    "own_factor",
    "This is your own second factor.",
    "Change it under Account, Second factor.",
)
WRONG_CODE = lazy_gettext("That code isn’t right, or has already been used. Wait for the next one.")


def new_secret() -> str:
    """Draw the secret of an app: 160 bits, as RFC 4226 recommends."""
    return pyotp.random_base32()


def app_address(secret: str, email: str, practice: str) -> str:
    """Return the address that an app reads from the QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name=practice)


def find_step(secret: str, code: str, moment: datetime) -> int | None:
    """Return the time step that a code of an app is for, or None for a wrong one.

    One step to either side is accepted for clocks that differ and for slow hands (RFC 6238, 5.2).
    """
    typed = "".join(code.split())
    current = int(moment.timestamp()) // STEP_SECONDS
    found = None
    for step in (current - 1, current, current + 1):
        if hmac.compare_digest(pyotp.HOTP(secret).at(step).encode(), typed.encode()):
            found = step
    return found


def has_second_factor(person_id: UUID) -> bool:
    """Tell whether somebody has an app or a passkey."""
    return has_app(person_id) or (
        db.session.scalar(sa.select(PASSKEY_IN_USE.where(Passkey.person_id == person_id).exists()))
        or False
    )


def has_app(person_id: UUID) -> bool:
    """Tell whether somebody has set up an app."""
    return _find(person_id, "totp") is not None


def find_removal_date(person_id: UUID) -> datetime | None:
    """Return when the last app or passkey of somebody was removed; None for somebody who never had any."""
    ended = sa.union_all(
        sa.select(Credential.ended_at).where(
            Credential.person_id == person_id, Credential.kind == "totp"
        ),
        sa.select(Passkey.ended_at).where(Passkey.person_id == person_id),
    ).subquery()
    found: datetime | None = db.session.scalar(sa.select(sa.func.max(ended.c.ended_at)))
    return found


def count_recovery_codes(person_id: UUID) -> int:
    """Count the recovery codes that somebody has left."""
    row = _find(person_id, "recovery")
    return len(_open_hashes(row)) if row else 0


def _find(person_id: UUID, kind: str) -> Credential | None:
    return db.session.scalar(
        sa.select(Credential)
        .where(
            Credential.person_id == person_id,
            Credential.kind == kind,
            Credential.ended_at.is_(None),
        )
        .execution_options(populate_existing=True)
    )


def _open_hashes(row: Credential) -> list[str]:
    found: list[str] = json.loads(open_secret(row.id, row.person_id, row.ring_number, row.secret))
    return found


def lock_credentials(person_id: UUID) -> None:
    """Lock what somebody signs in with, so that a sign-in at the same moment comes before or after the change."""
    db.session.execute(
        sa.select(Credential.id)
        .where(Credential.person_id == person_id, Credential.ended_at.is_(None))
        .order_by(Credential.id)
        .with_for_update()
    )


def note_added(actor: Actor) -> None:
    """End the other sessions and the tokens of somebody who has added a factor; this session has shown two of them."""
    end_access(actor.id, but_session=actor.session_id)
    if actor.session_id:
        set_assurance_level(actor.session_id, Assurance.TWO_FACTORS)


def note_removed(actor: Actor) -> None:
    """End the other sessions and the tokens of somebody who has removed a factor, and with the last their codes.

    Raises RuleBroken when that was the last and the practice requires one of the person's role.
    """
    end_access(actor.id, but_session=actor.session_id)
    if has_second_factor(actor.id):
        return
    if lacks_factor(actor.role, get_practice().second_factor_roles, has_factor=False):
        raise RuleBroken(REQUIRED)
    _end(actor.id, "recovery")
    if actor.session_id:
        set_assurance_level(actor.session_id, Assurance.ONE_FACTOR)


def set_up(actor: Actor, secret: str, code: str) -> list[str]:
    """Set up an app in place of one before, and return new recovery codes, shown only once.

    One's other sessions end, and all of one's tokens.

    Raises Invalid naming `factor_code` unless the code is one of the app's.
    """
    require(actor, Action.FACTOR_MANAGE)
    require_active(actor)
    lock_credentials(actor.id)
    step = find_step(secret, code, now())
    if step is None:
        raise Invalid({"factor_code": [str(WRONG_CODE)]})
    _replace(actor.id, "totp", secret, last_step=step)
    codes = _make_codes(actor.id)
    note_added(actor)
    record(actor, Action.FACTOR_MANAGE, "user", actor.id, details={"app": "set_up"})
    return codes


def make_recovery_codes(actor: Actor) -> list[str]:
    """Make new recovery codes, shown only once; those of before end. Raises Invalid without a second factor."""
    require(actor, Action.FACTOR_MANAGE)
    require_active(actor)
    lock_credentials(actor.id)
    if not has_second_factor(actor.id):
        raise Invalid({"codes": ["Set up an app or add a passkey first."]})
    codes = _make_codes(actor.id)
    record(actor, Action.FACTOR_MANAGE, "user", actor.id, details={"codes": "made"})
    return codes


def remove_app(actor: Actor) -> None:
    """Remove one's own app; one's other sessions end, and all of one's tokens.

    Raises RuleBroken for the last factor of somebody who must have one.
    """
    require(actor, Action.FACTOR_MANAGE)
    lock_credentials(actor.id)
    _end(actor.id, "totp")
    note_removed(actor)
    record(actor, Action.FACTOR_MANAGE, "user", actor.id, details={"app": "removed"})


def remove_second_factor_of(actor: Actor, user_id: UUID, reason: str) -> None:
    """Remove all factors but the password of somebody who has lost them; end sessions and tokens, and tell them.

    `reason` is a code of REMOVAL_REASONS. Raises Invalid for somebody who has no second factor, and RuleBroken for
    one's own: the Account page knows whether it is required.
    """
    require(actor, Action.USER_MANAGE)
    if user_id == actor.id:
        raise RuleBroken(OWN_FACTOR)
    lock_credentials(user_id)
    if not has_second_factor(user_id):
        raise Invalid({"reason": ["This person has no second factor."]})
    _end(user_id, "totp", "recovery")
    db.session.execute(
        sa.update(Passkey)
        .where(Passkey.person_id == user_id, Passkey.ended_at.is_(None))
        .values(ended_at=now(), ring_number=None, secret=None)
    )
    end_access(user_id)
    outbox.enqueue(REMOVAL_MAIL, {"user": user_id.hex})
    details = {"factor": "removed", "reason": reason}
    record(actor, Action.USER_MANAGE, "user", user_id, details=details)


def send_removal_mail(user_id: UUID) -> bool:
    """Mail somebody that their second factor was removed; return whether it was sent."""
    address = db.session.scalar(
        sa.select(User.email).where(User.id == user_id, User.disabled_at.is_(None))
    )
    return send_staff_mail(address, "second-factor-removed", {"link": urls.today_url()})


def _end(person_id: UUID, *kinds: str) -> None:
    db.session.execute(
        sa.update(Credential)
        .where(
            Credential.person_id == person_id,
            Credential.kind.in_(kinds),
            Credential.ended_at.is_(None),
        )
        .values(ended_at=now(), ring_number=None, secret=None)
    )


def _replace(person_id: UUID, kind: str, secret: str, *, last_step: int | None = None) -> None:
    _end(person_id, kind)
    row = Credential(
        id=new_id(), person_id=person_id, kind=kind, created_at=now(), last_step=last_step
    )
    row.ring_number, row.secret = seal_secret(row.id, person_id, secret)
    db.session.add(row)
    db.session.flush()


def _make_codes(person_id: UUID) -> list[str]:
    """Make recovery codes of 49 bits each; only their hashes are stored, and those are sealed."""
    codes = [generate_code(2, 5) for _ in range(RECOVERY_CODES)]
    hashes = [hash_token(normalize_code(code)) for code in codes]
    _replace(person_id, "recovery", json.dumps(hashes))
    return codes


@dataclass(frozen=True)
class CheckedCode:
    """A right code of a person; only `check_code` makes one. `changes` is what accepting it stores in its row."""

    actor: Actor
    credential_id: UUID
    before: Any
    changes: dict[str, Any]
    limits: list[Limit]


def check_code(actor: Actor, code: str, limits: list[Limit] | None = None) -> CheckedCode:
    """Check a code of the person's app or a recovery code; count the try in a transaction of its own.

    `limits` are those of a sign-in, unless somebody who is signed in confirms who they are. Raises Invalid naming
    `code`, and TooManyAttempts when a limit is reached.
    """
    limits = limits or code_limits(actor.id)
    count_attempt(limits)
    app, recovery = _find(actor.id, "totp"), _find(actor.id, "recovery")
    if app is not None:
        secret = open_secret(app.id, actor.id, app.ring_number, app.secret)
        step = find_step(secret, code, now())
        if step is not None and (app.last_step is None or app.last_step < step):
            return CheckedCode(actor, app.id, app.last_step, {"last_step": step}, limits)
    if recovery is not None:
        hashes, typed = _open_hashes(recovery), hash_token(normalize_code(code))
        if typed in hashes:
            left = json.dumps([each for each in hashes if each != typed])
            number, sealed = seal_secret(recovery.id, actor.id, left)
            changes = {"ring_number": number, "secret": sealed}
            return CheckedCode(actor, recovery.id, recovery.secret, changes, limits)
    count_event("code", actor.id)
    raise Invalid({"code": [str(WRONG_CODE)]})


def _accept(checked: CheckedCode) -> None:
    """Accept a code, unless it or another one of its kind was accepted since the check.

    Raises Unauthenticated.
    """
    is_app = "last_step" in checked.changes
    column = Credential.last_step if is_app else Credential.secret
    accepted = db.session.execute(
        sa.update(Credential)
        .where(
            Credential.id == checked.credential_id,
            Credential.ended_at.is_(None),
            column.is_(None) if checked.before is None else column == checked.before,
        )
        .values(**checked.changes, used_at=now())
        .returning(Credential.id)
    ).scalar()
    if accepted is None:
        raise Unauthenticated(WRONG_CODE)
    require_active(checked.actor)
    clear_attempts(checked.limits)


def sign_in_with_password(checked: CheckedPassword) -> str:
    """Begin a session and return the token for the cookie; with a second factor it waits for a code, and opens nothing.

    Raises Unauthenticated when the password was changed or the account disabled since the check, and, in the same words
    as for a wrong password, for somebody who has to sign in at the provider: whoever guesses learns nothing.
    """
    use_password(checked)
    actor = checked.actor
    if is_provider_required(actor.id):
        raise Unauthenticated(NO_MATCH)
    waits = has_second_factor(actor.id)
    level = Assurance.WAITS if waits else Assurance.ONE_FACTOR
    token = begin_session("staff", actor.id, level=level, method="password")
    record(actor, Action.SIGN_IN, "user", actor.id, details={"awaits": "code"} if waits else None)
    return token


def show_code(checked: CheckedCode) -> str:
    """Note that somebody has shown a code: a sign-in that waited for it is complete, or they confirmed who they are.

    Return the session's new token for the cookie. Raises Unauthenticated when the code was accepted elsewhere, or the
    session has ended, since the check.
    """
    _accept(checked)
    actor = checked.actor
    token = renew_session(actor.session_id, Assurance.TWO_FACTORS) if actor.session_id else None
    if token is None:
        raise Unauthenticated
    record(actor, Action.SIGN_IN, "user", actor.id, details={"code": True})
    return token
