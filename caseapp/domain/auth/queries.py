"""Reads: who is behind a session cookie or a bearer token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core.actor import Actor
from caseapp.core.database import db, run
from caseapp.core.permissions import Role
from caseapp.core.sessions import Session, session_is_live, session_params
from caseapp.core.tokens import hash_token
from caseapp.domain.auth.models import PortalAccess, Token
from caseapp.domain.clients.models import Client
from caseapp.domain.users.models import User

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

STAFF_SESSION = (
    sa.select(Session.id.label("session"), Session.last_seen_at, User.id, User.role, User.name)
    .join(User, User.id == Session.subject_id)
    .where(session_is_live(), User.disabled_at.is_(None))
)
CLIENT_SESSION = (
    sa.select(
        Session.id.label("session"),
        Session.last_seen_at,
        Client.id,
        Client.preferred_name.label("preferred_name"),
        sa.and_(Session.pin_verified, PortalAccess.first_signed_in_at.is_not(None)).label("inside"),
    )
    .join(Client, Client.id == Session.subject_id)
    .join(PortalAccess, PortalAccess.client_id == Client.id)
    .where(session_is_live())
)
TOKEN_OWNER = (
    sa.select(User.id, User.role, User.name)
    .join(Token, Token.user_id == User.id)
    .where(
        Token.secret_hash == sa.bindparam("secret"),
        Token.revoked_at.is_(None),
        User.disabled_at.is_(None),
    )
)


@dataclass(frozen=True)
class SignedIn:
    """The actor behind a session cookie, and when the session was last seen."""

    actor: Actor
    last_seen_at: datetime


def find_staff_session(token: str) -> SignedIn | None:
    """Find the member of staff behind a session cookie, in one statement."""
    row = run(STAFF_SESSION, **session_params("staff", token)).first()
    if row is None:
        return None
    return SignedIn(Actor(row.id, Role(row.role), row.name, "web", row.session), row.last_seen_at)


def find_client_session(token: str) -> SignedIn | None:
    """Find the client behind a portal cookie, in one statement.

    The role is SIGNING_IN, which may read nothing, until the PIN is verified and the client has read once how to use
    the portal safely. No page has to check this itself.
    """
    row = run(CLIENT_SESSION, **session_params("client", token)).first()
    if row is None:
        return None
    role = Role.CLIENT if row.inside else Role.SIGNING_IN
    actor = Actor(row.id, role, row.preferred_name, "portal", row.session)
    return SignedIn(actor, row.last_seen_at)


def find_token_actor(token: str) -> Actor | None:
    """Find the member of staff behind a bearer token, in one statement."""
    row = run(TOKEN_OWNER, secret=hash_token(token)).first()
    return None if row is None else Actor(row.id, Role(row.role), row.name, "api")


def list_tokens(user_id: UUID) -> Sequence[Token]:
    """List a person's tokens, newest first."""
    return db.session.scalars(
        sa.select(Token).where(Token.user_id == user_id).order_by(Token.created_at.desc())
    ).all()
