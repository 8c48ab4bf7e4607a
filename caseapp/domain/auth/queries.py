"""Reads: who is behind a session cookie or a bearer token, and how far a client is with signing in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa

from caseapp.core import settings
from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db, run
from caseapp.core.errors import NotFound
from caseapp.core.permissions import Action, Role
from caseapp.core.sessions import Assurance, Session, is_unexpired, session_is_live, session_params
from caseapp.core.tokens import hash_token
from caseapp.domain.audit.security_events import SHOWN_FOR, select_wrong_pins
from caseapp.domain.auth.models import (
    ACCEPTED_BY,
    Credential,
    Passkey,
    PortalAccess,
    PortalInvitation,
    Token,
)
from caseapp.domain.auth.rules import (
    PASSWORD_LINK_LIFETIMES,
    SignInStep,
    derive_sign_in_step,
    is_wait_over,
    lacks_factor,
)
from caseapp.domain.clients.models import Client
from caseapp.domain.keys.models import WritingKey
from caseapp.domain.keys.writing import open_in_session
from caseapp.domain.practice.models import Practice
from caseapp.domain.users.models import User

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

PRACTICE_LANGUAGE = sa.select(Practice.language).scalar_subquery()
CLIENT_LANGUAGE = sa.func.coalesce(Client.language, PRACTICE_LANGUAGE)
HAS_APP = (
    sa.select(Credential.id)
    .where(
        Credential.person_id == User.id,
        Credential.kind == "totp",
        Credential.ended_at.is_(None),
    )
    .exists()
)
HAS_PASSKEY = (
    sa.select(Passkey.id).where(Passkey.person_id == User.id, Passkey.ended_at.is_(None)).exists()
)
PRACTICE_ROLES = sa.select(Practice.second_factor_roles).scalar_subquery()
STAFF_SESSION = (
    sa.select(
        Session.id.label("session"),
        Session.created_at,
        Session.last_seen_at,
        Session.authenticated_at,
        Session.assurance_level,
        User.id,
        User.role,
        User.name,
        PRACTICE_LANGUAGE.label("language"),
        sa.or_(HAS_APP, HAS_PASSKEY).label("has_factor"),
        PRACTICE_ROLES.label("factor_roles"),
    )
    .join(User, User.id == Session.subject_id)
    .where(session_is_live(), User.disabled_at.is_(None))
)
# A session that began before there were writing keys has none: the PIN is asked for once more.
PIN_ENTERED = sa.and_(Session.pin_verified, Session.wrapped_writing_key.is_not(None))
CLIENT_SESSION = (
    sa.select(
        Session.id.label("session"),
        Session.created_at,
        Session.last_seen_at,
        Client.id,
        Client.preferred_name.label("preferred_name"),
        CLIENT_LANGUAGE.label("language"),
        sa.and_(PIN_ENTERED, PortalAccess.first_signed_in_at.is_not(None)).label("inside"),
        Session.wrapped_writing_key,
        WritingKey.id.label("writing_key"),
        WritingKey.ring_number,
    )
    .join(Client, Client.id == Session.subject_id)
    .join(PortalAccess, PortalAccess.client_id == Client.id)
    .outerjoin(
        WritingKey, sa.and_(WritingKey.client_id == Client.id, WritingKey.closed_at.is_(None))
    )
    .where(session_is_live())
)
TOKEN_OWNER = (
    sa.select(
        User.id,
        User.role,
        User.name,
        Token.id.label("token"),
        Token.program_id,
        Token.scopes,
        Token.used_at,
        sa.or_(HAS_APP, HAS_PASSKEY).label("has_factor"),
        PRACTICE_ROLES.label("factor_roles"),
    )
    .join(Token, Token.user_id == User.id)
    .where(
        Token.secret_hash == sa.bindparam("secret"),
        Token.revoked_at.is_(None),
        Token.expires_at > sa.bindparam("moment"),
        User.disabled_at.is_(None),
    )
)


@dataclass(frozen=True)
class SignedIn:
    """The actor behind a session cookie, their language, and when the session began and was last seen.

    `authenticated_at` is when a member of staff last showed who they are, and `lacks_factor` tells whether the practice
    requires a second factor of their role and they have neither shown nor set up one.
    """

    actor: Actor
    language: str
    created_at: datetime
    last_seen_at: datetime
    authenticated_at: datetime | None = None
    lacks_factor: bool = False


def find_staff_session(token: str) -> SignedIn | None:
    """Find the member of staff behind a session cookie, in one statement."""
    row = run(STAFF_SESSION, **session_params("staff", token)).first()
    if row is None or row.assurance_level == Assurance.WAITS:
        return None
    actor = Actor(row.id, Role(row.role), row.name, "web", row.session)
    return SignedIn(
        actor,
        row.language,
        row.created_at,
        row.last_seen_at,
        row.authenticated_at,
        lacks_factor(
            row.role,
            row.factor_roles,
            has_factor=row.has_factor or row.assurance_level == Assurance.TWO_FACTORS,
        ),
    )


def find_waiting_person(token: str) -> Actor | None:
    """Find the member of staff whose sign-in waits for a second factor, by the session cookie."""
    row = run(STAFF_SESSION, **session_params("staff", token)).first()
    if row is None or row.assurance_level != Assurance.WAITS or is_wait_over(row.created_at, now()):
        return None
    return Actor(row.id, Role(row.role), row.name, "web", row.session)


def find_client_session(token: str) -> SignedIn | None:
    """Find the client behind a portal cookie, in one statement.

    The role is SIGNING_IN, which may read nothing, until the PIN is verified and the client has read once how to use
    the portal safely. No page has to check this itself. The actor has the client's writing key, which only this token
    opens.
    """
    row = run(CLIENT_SESSION, **session_params("client", token)).first()
    if row is None:
        return None
    role = Role.CLIENT if row.inside else Role.SIGNING_IN
    writing = None
    if row.inside and row.writing_key is not None:
        writing = open_in_session(
            row.writing_key, row.id, row.ring_number, row.wrapped_writing_key, token
        )
    actor = Actor(row.id, role, row.preferred_name, "portal", row.session, writing=writing)
    return SignedIn(actor, row.language, row.created_at, row.last_seen_at)


@dataclass(frozen=True)
class TokenUse:
    """The actor behind a bearer token, its id, that of the program it was issued to, and when it was last used before.

    `lacks_factor` tells whether the practice requires a second factor of its owner, who has neither an app nor a
    passkey.
    """

    actor: Actor
    token_id: UUID
    program_id: UUID | None
    used_at: datetime | None
    lacks_factor: bool


def find_token(token: str) -> TokenUse | None:
    """Find the member of staff behind a bearer token that has neither expired nor been revoked, in one statement."""
    row = run(TOKEN_OWNER, secret=hash_token(token), moment=now()).first()
    if row is None:
        return None
    scopes = frozenset(row.scopes)
    actor = Actor(row.id, Role(row.role), row.name, "api", scopes=scopes)
    lacks = lacks_factor(row.role, row.factor_roles, has_factor=row.has_factor)
    return TokenUse(actor, row.token, row.program_id, row.used_at, lacks)


def list_sessions(user_id: UUID) -> Sequence[Session]:
    """List the sessions of a member of staff that last still, the latest used first."""
    return db.session.scalars(
        sa.select(Session)
        .where(Session.subject_id == user_id, is_unexpired("staff"))
        .order_by(Session.last_seen_at.desc(), Session.id)
    ).all()


def get_member(user_id: UUID) -> User:
    """Return a member of staff.

    Raises NotFound.
    """
    found = db.session.get(User, user_id)
    if found is None:
        raise NotFound
    return found


STATES = ("active", "invited", "disabled")


@dataclass(frozen=True)
class Account:
    """The account of a member of staff; `invited_at` is when an invitation was made that they haven't accepted."""

    user: User
    has_accepted: bool
    invited_at: datetime | None

    @property
    def state(self) -> str:
        """Return which of the STATES it is in."""
        if self.user.disabled_at is not None:
            return "disabled"
        return "active" if self.has_accepted else "invited"

    @property
    def is_expired(self) -> bool:
        """Return whether the invitation no longer works."""
        lifetime = PASSWORD_LINK_LIFETIMES["invitation"]
        return self.invited_at is not None and now() - self.invited_at >= lifetime


def list_accounts(user_id: UUID | None = None) -> list[Account]:
    """List the accounts of all staff, or of one member, by name."""
    wanted = sa.select(User).order_by(User.name, User.id)
    in_use = sa.select(Credential.person_id, Credential.kind, Credential.created_at).where(
        Credential.kind.in_((*ACCEPTED_BY, "invitation")), Credential.ended_at.is_(None)
    )
    if user_id is not None:
        wanted, in_use = (
            wanted.where(User.id == user_id),
            in_use.where(Credential.person_id == user_id),
        )
    found = {(row.person_id, row.kind): row.created_at for row in db.session.execute(in_use)}
    return [
        Account(
            user,
            any((user.id, kind) in found for kind in ACCEPTED_BY),
            found.get((user.id, "invitation")),
        )
        for user in db.session.scalars(wanted)
    ]


def get_account(user_id: UUID) -> Account:
    """Return the account of a member of staff.

    Raises NotFound.
    """
    for account in list_accounts(user_id):
        return account
    raise NotFound


def list_able_to_sign_in(user_ids: Collection[UUID]) -> set[UUID]:
    """List those of some staff who have a password, or an account at the provider while the settings name one."""
    kinds = ACCEPTED_BY if settings.active().provider else ("password",)
    return set(
        db.session.scalars(
            sa.select(Credential.person_id).where(
                Credential.person_id.in_(user_ids),
                Credential.kind.in_(kinds),
                Credential.ended_at.is_(None),
            )
        )
    )


def list_factor_owners() -> set[UUID]:
    """List the ids of all staff who have a second factor."""
    in_use = sa.union(
        sa.select(Credential.person_id).where(
            Credential.kind == "totp", Credential.ended_at.is_(None)
        ),
        sa.select(Passkey.person_id).where(Passkey.ended_at.is_(None)),
    )
    return set(db.session.scalars(in_use))


def get_email(user_id: UUID) -> str:
    """Return the email address with which a member of staff signs in."""
    return db.session.get_one(User, user_id).email


@dataclass(frozen=True)
class OwnPassword:
    """The password of a member of staff: when it was set, or None when that isn't known."""

    set_at: datetime | None


def find_own_password(user_id: UUID) -> OwnPassword | None:
    """Return when the password of a member of staff was set; None without one.

    One that was set before passwords had rows of their own has the id of its owner and the date of the account, as
    migration 0033 made them: when it was set isn't known.
    """
    row = db.session.execute(
        sa.select(Credential.id, Credential.created_at).where(
            Credential.person_id == user_id,
            Credential.kind == "password",
            Credential.ended_at.is_(None),
        )
    ).first()
    if row is None:
        return None
    return OwnPassword(None if row.id == user_id else row.created_at)


def list_tokens(user_id: UUID) -> Sequence[Token]:
    """List a person's tokens, newest first, also those that have ended, but none of programs."""
    return db.session.scalars(
        sa.select(Token)
        .where(Token.user_id == user_id, Token.program_id.is_(None))
        .order_by(Token.created_at.desc())
    ).all()


def list_current_tokens(user_id: UUID) -> Sequence[Token]:
    """List a person's tokens that can be used, newest first, but none of programs."""
    return db.session.scalars(
        sa.select(Token)
        .where(
            Token.user_id == user_id,
            Token.program_id.is_(None),
            Token.revoked_at.is_(None),
            Token.expires_at > now(),
        )
        .order_by(Token.created_at.desc(), Token.id)
    ).all()


def find_portal_access(client_id: UUID) -> PortalAccess | None:
    """Return a client's portal access, or None; the caller must have checked that the actor may see the client."""
    return db.session.get(PortalAccess, client_id)


def find_missing_card(client_id: UUID) -> PortalInvitation | None:
    """Return a client's codes that wait for their card; the caller must have checked that the actor sees the client."""
    return db.session.scalar(
        sa.select(PortalInvitation)
        .where(PortalInvitation.client_id == client_id, PortalInvitation.needs_card)
        .execution_options(populate_existing=True)
    )


@dataclass(frozen=True)
class OwnAccess:
    """What a client reads about their own codes and PIN: who made the codes and when, and when somebody was inside.

    `last_seen_at` leaves out the session that asks; it is None when nobody was inside before. `wrong_pins_since` says
    whether a wrong PIN or start code was entered since then. `pin_chosen_at` is None for a PIN that an earlier release
    has stored.
    """

    invited_at: datetime
    invited_by: str
    pin_chosen_at: datetime | None
    last_seen_at: datetime | None
    wrong_pins_since: bool


def get_own_access(actor: Actor) -> OwnAccess:
    """Return who made a client's codes, and when somebody last used them, in one statement."""
    require(actor, Action.PORTAL_READ)
    seen = (
        sa.select(sa.func.max(Session.last_seen_at))
        .where(
            Session.subject_id == actor.id,
            Session.id != actor.session_id,
            Session.pin_verified,
        )
        .scalar_subquery()
    )
    wrong = select_wrong_pins(SHOWN_FOR).subquery()
    row = db.session.execute(
        sa.select(
            PortalAccess.invited_at,
            PortalAccess.pin_chosen_at,
            User.name,
            sa.type_coerce(seen, Session.last_seen_at.type).label("last_seen_at"),
            sa.exists()
            .where(wrong.c.client_id == actor.id, wrong.c.last_at > seen)
            .label("wrong_pins_since"),
        )
        .join(User, User.id == PortalAccess.invited_by)
        .where(PortalAccess.client_id == actor.id)
    ).one()
    return OwnAccess(
        row.invited_at, row.name, row.pin_chosen_at, row.last_seen_at, row.wrong_pins_since
    )


def find_link_language(token: str) -> str | None:
    """Find the language of the client whom a one-time link was sent to; None for a link that opens nothing."""
    return db.session.scalar(
        sa.select(CLIENT_LANGUAGE)
        .join(PortalAccess, PortalAccess.client_id == Client.id)
        .where(PortalAccess.link_hash == hash_token(token), PortalAccess.link_expires_at > now())
    )


def list_link_recipients(payload: dict[str, Any]) -> Sequence[UUID]:
    """List the invited clients to whom a queued link goes: the one it names, or all with its email address."""
    invited = sa.select(PortalAccess.client_id).join(Client, Client.id == PortalAccess.client_id)
    if "client" in payload:
        return db.session.scalars(invited.where(Client.id == UUID(hex=payload["client"]))).all()
    return db.session.scalars(invited.where(Client.email_hash == payload["email"])).all()


def enters_portal(client_id: UUID) -> bool:
    """Tell whether a client has a PIN for the portal."""
    chosen = sa.exists().where(
        PortalAccess.client_id == client_id, PortalAccess.pin_hash.is_not(None)
    )
    return bool(db.session.scalar(sa.select(chosen)))


def get_sign_in_step(actor: Actor) -> SignInStep:
    """Return the next sign-in step.

    Raises NotFound without a session.
    """
    require(actor, Action.PORTAL_PIN)
    row = db.session.execute(
        sa.select(
            PIN_ENTERED.label("pin_verified"),
            PortalAccess.pin_hash.is_not(None).label("has_pin"),
        )
        .join(PortalAccess, PortalAccess.client_id == Session.subject_id)
        .where(Session.id == actor.session_id)
    ).first()
    if row is None:
        raise NotFound
    return derive_sign_in_step(pin_verified=row.pin_verified, has_pin=row.has_pin)
