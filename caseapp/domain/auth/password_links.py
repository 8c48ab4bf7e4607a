"""Links and codes with which staff choose a password: the one of an invitation, or one in place of a forgotten one.

A link is mailed; a code is shown once to an admin, who hands it over on paper or says it, so that nothing needs mail.
Only a hash of either is stored. A link or code works once, for as long as its kind lasts, and no longer once a password
was chosen or the account was disabled. Choosing a password never removes a second factor.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core import outbox, urls
from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import Invalid, NotFound, Reason, RuleBroken, Unauthenticated
from caseapp.core.ids import new_id
from caseapp.core.permissions import Action, Role
from caseapp.core.tokens import generate_code, generate_token, hash_token, normalize_code
from caseapp.domain.audit.operations import record
from caseapp.domain.audit.security_events import count_event
from caseapp.domain.auth.address_changes import is_address_new
from caseapp.domain.auth.devices import NO_DEVICE
from caseapp.domain.auth.models import PASSWORD_LINK_KINDS, Credential
from caseapp.domain.auth.passwords import find_fault, has_accepted, set_password
from caseapp.domain.auth.portal_access import NOT_OPENED
from caseapp.domain.auth.rules import (
    PASSWORD_LINK_LIFETIMES,
    RESET_LIFETIME,
    require_reach,
)
from caseapp.domain.auth.second_factor import lock_credentials
from caseapp.domain.auth.throttling import (
    count_attempt,
    device_link_limits,
    forgotten_limits,
    password_link_limits,
)
from caseapp.domain.keys.queries import fingerprint
from caseapp.domain.users.models import User
from caseapp.domain.users.queries import require_active
from caseapp.domain.users.staff_mail import send_staff_mail

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from caseapp.domain.auth.devices import Device

PASSWORD_MAIL = "password_link_mail"  # noqa: S105 - a kind of task
FORGOTTEN_MAIL = "forgotten_password_mail"
REPLACED_MAIL = "password_replaced_mail"
TEMPLATES = {"invitation": "invitation", "reset": "forgotten-password"}
OWN_PASSWORD = Reason(
    "own_password", "This is your own account.", "Change your password on the Account page."
)
DISABLED = Reason("disabled", "The account is disabled.", "Enable it first.")
ACCEPTED = Reason(
    "accepted",
    "They have accepted their invitation.",
    "If they have forgotten the password, make a code for a new one.",
)
NOT_ACCEPTED = Reason(
    "not_accepted", "They have not accepted their invitation yet.", "Send another invitation."
)
ADDRESS_CHANGED = Reason(
    "address_changed",
    "Their email address was changed less than 24 hours ago, and a notice was sent to the earlier address.",
    "Wait until the 24 hours are over. Their password is still the same.",
)


def offer_password(user_id: UUID, kind: str, *, by_mail: bool) -> str | None:
    """Have a link mailed, or make a code and return it, in place of one of this kind before."""
    _end(user_id, kind)
    code = None if by_mail else generate_code(4)
    row = Credential(
        id=new_id(),
        person_id=user_id,
        kind=kind,
        lookup=hash_token(normalize_code(code)) if code else None,
        created_at=now(),
    )
    db.session.add(row)
    db.session.flush()
    if by_mail:
        outbox.enqueue(PASSWORD_MAIL, {"credential": row.id.hex})
    return code


def invite_again(actor: Actor, user_id: UUID, *, by_mail: bool) -> str | None:
    """Invite somebody again who hasn't accepted; the link or code of before stops working. Return the code, if any.

    Raises RuleBroken for somebody who has accepted, and for a disabled account, and Forbidden for an admin by a token.
    """
    require(actor, Action.USER_MANAGE)
    user = _lock(user_id)
    require_reach(actor, user.role)
    _refuse_disabled(user)
    if has_accepted(user_id):
        raise RuleBroken(ACCEPTED)
    code = offer_password(user_id, "invitation", by_mail=by_mail)
    details = {"invited": "mail" if by_mail else "code"}
    record(actor, Action.USER_MANAGE, "user", user_id, details=details)
    return code


def make_reset_code(actor: Actor, user_id: UUID, reason: str) -> str:
    """Make a code with which somebody else chooses a new password, and return it; it changes nothing by itself.

    `reason` is a code of RESET_REASONS. Raises RuleBroken for one's own account, a disabled one, one whose
    invitation hasn't been accepted and one whose address has just been changed, and Forbidden for an admin by a token.
    """
    require(actor, Action.USER_MANAGE)
    if user_id == actor.id:
        raise RuleBroken(OWN_PASSWORD)
    user = _lock(user_id)
    require_reach(actor, user.role)
    _refuse_disabled(user)
    if not has_accepted(user_id):
        raise RuleBroken(NOT_ACCEPTED)
    if is_address_new(user_id):
        raise RuleBroken(ADDRESS_CHANGED)
    code = offer_password(user_id, "reset_code", by_mail=False)
    details = {"password": "code_made", "reason": reason}
    record(actor, Action.USER_MANAGE, "user", user_id, details=details)
    return str(code)


def _lock(user_id: UUID) -> User:
    """Lock an account. Raises NotFound."""
    found = db.session.get(User, user_id, with_for_update=True, populate_existing=True)
    if found is None:
        raise NotFound
    return found


def _refuse_disabled(user: User) -> None:
    if user.disabled_at is not None:
        raise RuleBroken(DISABLED)


def find_reset_date(person_id: UUID) -> datetime | None:
    """Return when a password of somebody was last replaced by a link or code for a forgotten one; None for never."""
    found: datetime | None = db.session.scalar(
        sa.select(sa.func.max(Credential.used_at)).where(
            Credential.person_id == person_id, Credential.kind.in_(("reset", "reset_code"))
        )
    )
    return found


def count_reset_request(email: str, address: str, device: Device = NO_DEVICE) -> None:
    """Count a request to choose a new password, in a transaction of its own.

    Raises TooManyAttempts.
    """
    user_id = db.session.scalar(sa.select(User.id).where(User.email == email))
    is_known = user_id is not None and device.knows(user_id.hex)
    limits = device_link_limits(device) if is_known else forgotten_limits(_hash(email), address)
    count_attempt(limits)


def request_reset(email: str) -> None:
    """Request a link with which to choose a new password, without revealing whether somebody has this address.

    A known and an unknown address cause the same work here: one outbox row, whose handler looks up the address.
    """
    until = now() + RESET_LIFETIME
    outbox.enqueue(FORGOTTEN_MAIL, {"email": _hash(email), "until": until.isoformat()})


def _hash(email: str) -> str:
    return fingerprint("attempt", f"staff\n{email}")


def offer_reset(email_hash: str) -> None:
    """Have a link mailed to whoever has the address of a request, unless they have only just got it."""
    people = db.session.execute(
        sa.select(User.id, User.email).where(User.disabled_at.is_(None)).order_by(User.id)
    )
    for user_id in [person.id for person in people if _hash(person.email) == email_hash]:
        _lock(user_id)
        if not is_address_new(user_id):
            offer_password(user_id, "reset", by_mail=True)


@dataclass(frozen=True)
class PasswordLink:
    """A link that was just made: for whom, of which kind, and its token."""

    user_id: UUID
    kind: str
    token: str = field(repr=False)


def make_link(credential_id: UUID) -> PasswordLink | None:
    """Make the link of an invitation or a reset that is to be mailed; None when that has ended since.

    When it is made again, only the newest link works.
    """
    token = generate_token()
    row = db.session.execute(
        sa.update(Credential)
        .where(Credential.id == credential_id, _is_open())
        .values(lookup=hash_token(token))
        .returning(Credential.person_id, Credential.kind)
    ).first()
    return None if row is None else PasswordLink(row.person_id, row.kind, token)


def send_link(made: PasswordLink) -> bool:
    """Mail the link of an invitation or a reset; return whether it was sent."""
    minutes = int(PASSWORD_LINK_LIFETIMES[made.kind].total_seconds()) // 60
    values: dict[str, object] = {
        "link": urls.password_link_url(made.token),
        "hours": minutes // 60,
        "minutes": minutes,
    }
    return send_staff_mail(_find_address(made.user_id), TEMPLATES[made.kind], values)


def send_replaced_mail(user_id: UUID) -> bool:
    """Mail somebody that their password was replaced by a link or code; return whether it was sent."""
    values: dict[str, object] = {"link": urls.today_url()}
    return send_staff_mail(_find_address(user_id), "password-replaced", values)


def _find_address(user_id: UUID) -> str | None:
    return db.session.scalar(
        sa.select(User.email).where(User.id == user_id, User.disabled_at.is_(None))
    )


@dataclass(frozen=True)
class OpenLink:
    """A link or code that works now: its row, its kind, and whose it is; only `open_link` makes one."""

    credential_id: UUID
    kind: str
    actor: Actor
    email: str


def open_link(secret: str, address: str, *kinds: str) -> OpenLink:
    """Find what a link or code of one of these kinds opens; it is not used up.

    A wrong one counts in a transaction of its own; one that has ended gets the same answer as one that never was.
    Raises Unauthenticated, and TooManyAttempts for a wrong one while the limit makes wrong ones wait.
    """
    hashes = {hash_token(secret), hash_token(normalize_code(secret))}
    owner = db.session.execute(
        sa.select(
            Credential.id.label("credential_id"),
            Credential.kind,
            User.id,
            User.name,
            User.email,
            User.role,
        )
        .join(User, User.id == Credential.person_id)
        .where(
            Credential.lookup.in_(hashes),
            Credential.kind.in_(kinds),
            _is_open(),
            User.disabled_at.is_(None),
        )
    ).first()
    if owner is None:
        count_attempt(password_link_limits(address))
        count_event("link")
        raise Unauthenticated(NOT_OPENED)
    actor = Actor(owner.id, Role(owner.role), owner.name, "web")
    return OpenLink(owner.credential_id, owner.kind, actor, owner.email)


@dataclass(frozen=True)
class CheckedLink:
    """A link or code that opens an account, and an acceptable password; only `check_link` makes one."""

    link: OpenLink
    password: str = field(repr=False)


def check_link(secret: str, password: str, address: str) -> CheckedLink:
    """Check a link or code and the password that was chosen with it; a password that won't do costs no attempt.

    Raises Unauthenticated and TooManyAttempts like `open_link`, and Invalid naming `new_password`.
    """
    link = open_link(secret, address, *PASSWORD_LINK_KINDS)
    if error := find_fault(password, link.actor.name, link.email):
        raise Invalid({"new_password": [error]})
    return CheckedLink(link, password)


def choose_password(checked: CheckedLink) -> None:
    """Use up a link or code and set the password; sessions, tokens and the other links and codes end.

    In place of a forgotten one the owner is told by mail and on the Account page. Raises Unauthenticated when it was
    used or has ended since the check.
    """
    actor, kind = checked.link.actor, checked.link.kind
    use_up(checked.link)
    set_password(actor.id, checked.password)
    if kind != "invitation":
        outbox.enqueue(REPLACED_MAIL, {"user": actor.id.hex})
    details = {"password": "chosen", "by": kind}
    record(actor, Action.ACCOUNT_EDIT, "user", actor.id, details=details)


def use_up(link: OpenLink) -> None:
    """Use up a link or code, and lock the credentials of its owner.

    Raises Unauthenticated when it was used or has ended since it was found, or the account was disabled.
    """
    moment = now()
    # Whoever changes the password, or uses another link or code of theirs, at the same moment waits or is seen.
    lock_credentials(link.actor.id)
    used = db.session.execute(
        sa.update(Credential)
        .where(Credential.id == link.credential_id, _is_open())
        .values(used_at=moment, ended_at=moment, lookup=None)
        .returning(Credential.id)
    ).scalar()
    if used is None:
        raise Unauthenticated(NOT_OPENED)
    require_active(link.actor)


def _is_open() -> sa.ColumnElement[bool]:
    """Build the condition that a row is a link or code that still works."""
    moment = now()
    lasts = sa.or_(
        *(
            sa.and_(Credential.kind == kind, Credential.created_at > moment - lifetime)
            for kind, lifetime in PASSWORD_LINK_LIFETIMES.items()
        )
    )
    return sa.and_(Credential.ended_at.is_(None), lasts)


def _end(user_id: UUID, kind: str) -> None:
    assert kind in PASSWORD_LINK_KINDS  # noqa: S101 - a password is never ended here
    db.session.execute(
        sa.update(Credential)
        .where(
            Credential.person_id == user_id, Credential.kind == kind, Credential.ended_at.is_(None)
        )
        .values(ended_at=now(), lookup=None)
    )
