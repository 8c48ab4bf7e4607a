"""Single sign-on: accounts at the practice's OpenID provider that members of staff have linked to their own here.

An identity is an issuer with a subject, the provider's lasting number for a person; an email address never counts,
since it can be given to somebody else. An identity belongs to one person, and a person has one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from caseapp.core import settings
from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import NotFound, Reason, RuleBroken, Unauthenticated
from caseapp.core.i18n import lazy_gettext
from caseapp.core.ids import new_id
from caseapp.core.permissions import Action
from caseapp.core.tokens import hash_token
from caseapp.domain.audit.operations import record
from caseapp.domain.auth.models import Credential
from caseapp.domain.auth.passwords import end_access, has_password
from caseapp.domain.auth.sealing import open_secret, seal_secret
from caseapp.domain.practice.queries import get_practice
from caseapp.domain.users.queries import get_user_by_email, require_active

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

USE_PROVIDER = lazy_gettext(
    "The practice asks you to sign in with the account that you have linked."
)
TAKEN = Reason(
    "identity_taken",
    "That account is already linked to somebody else’s account here.",
    "Sign out at the provider, then link your own account.",
)
REQUIRED = Reason(
    "single_sign_on_required",
    "The practice requires single sign-on, so the account can’t be unlinked.",
    "To use another account, link it now: it replaces this one.",
)
NO_PASSWORD = Reason(
    "no_password",
    "You have no password here, so you couldn’t sign in any more.",
    "Ask for a link on the sign-in page and choose a password first.",
)
INSERT_UNLESS_TAKEN = {
    name: dialect.insert(Credential.__table__).on_conflict_do_nothing().returning(Credential.id)
    for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql))
}


@dataclass(frozen=True)
class Vouched:
    """What the provider vouches for, once checked: who somebody is, when they signed in there, and how.

    `authenticated_at` is None when the provider doesn't say. Only `http.openid` makes one.
    """

    issuer: str
    subject: str
    authenticated_at: datetime | None
    has_factor: bool

    @property
    def lookup(self) -> str:
        """The hash by which the identity is found; the subject is no secret, so it needs no key."""
        return hash_token(f"{self.issuer}\n{self.subject}")


@dataclass(frozen=True)
class Identity:
    """The identity that a person has linked, and when."""

    issuer: str
    subject: str
    linked_at: datetime
    used_at: datetime | None


def find_identity(person_id: UUID) -> Identity | None:
    """Return the identity that somebody has linked, or None."""
    row = db.session.scalar(sa.select(Credential).where(*_is_linked(person_id)))
    if row is None:
        return None
    opened = open_secret(row.id, row.person_id, row.ring_number, row.secret)
    issuer, _, subject = opened.partition("\n")
    return Identity(issuer, subject, row.created_at, row.used_at)


def is_linked(person_id: UUID) -> bool:
    """Tell whether somebody has linked an account at the provider that the settings name."""
    provider = settings.active().provider
    if provider is None:
        return False
    found = find_identity(person_id)
    return found is not None and found.issuer == provider.issuer


def is_provider_required(person_id: UUID) -> bool:
    """Tell whether somebody has to sign in at the provider: the practice says so, and they have linked an account.

    Without a provider in the settings nobody has to.
    """
    return get_practice().requires_single_sign_on and is_linked(person_id)


def is_password_refused(person_id: UUID) -> bool:
    """Tell whether somebody can confirm who they are at the provider, and not by a password: they may have none."""
    return is_provider_required(person_id) or (is_linked(person_id) and not has_password(person_id))


def refuse_other_ways(person_id: UUID) -> None:
    """Refuse the passkey of somebody who has to sign in at the provider.

    Raises Unauthenticated.
    """
    if is_provider_required(person_id):
        raise Unauthenticated(USE_PROVIDER)


def link_identity(actor: Actor, vouched: Vouched) -> None:
    """Link an identity to one's own account, in place of one before; one's other sessions end, and all of one's tokens.

    Raises RuleBroken when it belongs to somebody else, and Unauthenticated for a disabled account.
    """
    require(actor, Action.IDENTITY_LINK)
    require_active(actor)
    _end(actor.id)
    add_identity(actor.id, vouched)
    end_access(actor.id, but_session=actor.session_id)
    record(actor, Action.IDENTITY_LINK, "user", actor.id, details={"identity": "linked"})


def add_identity(person_id: UUID, vouched: Vouched) -> None:
    """Link an identity to the account of somebody who has linked none.

    Raises RuleBroken when it belongs to somebody else.
    """
    id_ = new_id()
    number, sealed = seal_secret(id_, person_id, f"{vouched.issuer}\n{vouched.subject}")
    linked = db.session.execute(
        INSERT_UNLESS_TAKEN[db.engine.dialect.name].values(
            id=id_,
            person_id=person_id,
            kind="identity",
            lookup=vouched.lookup,
            ring_number=number,
            secret=sealed,
            created_at=now(),
        )
    ).scalar()
    if linked is None:
        raise RuleBroken(TAKEN)


def unlink_identity(actor: Actor) -> None:
    """Unlink one's own identity; one's other sessions end, and all of one's tokens.

    Raises RuleBroken while the practice requires single sign-on of the actor, or they have no password, and NotFound
    without an identity.
    """
    require(actor, Action.IDENTITY_LINK)
    if is_provider_required(actor.id):
        raise RuleBroken(REQUIRED)
    if not _end(actor.id):
        raise NotFound
    if not has_password(actor.id):
        raise RuleBroken(NO_PASSWORD)
    end_access(actor.id, but_session=actor.session_id)
    record(actor, Action.IDENTITY_LINK, "user", actor.id, details={"identity": "unlinked"})


def unlink_identity_of(actor: Actor, email: str) -> None:
    """Unlink somebody's identity and end their sessions and tokens: from then on their password signs them in.

    Somebody without a password has to be invited again.

    Raises NotFound for an unknown address, and for somebody without an identity.
    """
    require(actor, Action.USER_MANAGE)
    user = get_user_by_email(email)
    if not _end(user.id):
        raise NotFound("No account at a provider is linked.")
    end_access(user.id)
    record(actor, Action.USER_MANAGE, "user", user.id, details={"identity": "unlinked"})


def _is_linked(person_id: UUID) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        Credential.person_id == person_id,
        Credential.kind == "identity",
        Credential.ended_at.is_(None),
    )


def _end(person_id: UUID) -> bool:
    """End the identity of somebody; return whether they had one."""
    ended = db.session.execute(
        sa.update(Credential)
        .where(*_is_linked(person_id))
        .values(ended_at=now(), ring_number=None, secret=None, lookup=None)
        .returning(Credential.id)
    ).scalar()
    return ended is not None
