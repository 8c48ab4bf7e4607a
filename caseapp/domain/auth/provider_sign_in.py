"""Signing in, and confirming who one is, by what the practice's OpenID provider vouches for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core.actor import Actor
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import Reason, RuleBroken, Unauthenticated
from caseapp.core.i18n import lazy_gettext
from caseapp.core.permissions import Action, Role
from caseapp.core.sessions import ABSOLUTE_TIMEOUT, Assurance, begin_session, renew_session
from caseapp.domain.audit.operations import record
from caseapp.domain.auth.models import Credential
from caseapp.domain.auth.second_factor import has_second_factor
from caseapp.domain.users.models import User
from caseapp.domain.users.queries import require_active

if TYPE_CHECKING:
    from caseapp.domain.auth.identities import Vouched

NOT_LINKED = lazy_gettext(
    "No account here is linked to the one that you signed in with. Sign in with your password, then link it on the "
    "Account page."
)
OTHER_ACCOUNT = lazy_gettext(
    "You signed in there with a different account from the one you have linked."
)
FACTOR_NEEDED = Reason(
    "second_factor_needed",
    "The provider didn’t confirm that you used a second factor.",
    "Try again and confirm with a code from your app.",
)


def sign_in(vouched: Vouched) -> str:
    """Begin a session of whoever has linked the identity, and return the token for the cookie.

    Their own second factor follows unless the provider says that they have shown one. They showed who they are when
    they signed in at the provider, and if it doesn't say when, long ago. Raises Unauthenticated when nobody who may
    sign in has linked the identity.
    """
    actor = _find_owner(vouched)
    if actor is None:
        raise Unauthenticated(NOT_LINKED)
    require_active(actor)
    level = _level(vouched)
    if level is Assurance.ONE_FACTOR and has_second_factor(actor.id):
        level = Assurance.WAITS
    token = begin_session(
        "staff",
        actor.id,
        level=level,
        method="provider",
        authenticated_at=min(vouched.authenticated_at or now() - ABSOLUTE_TIMEOUT, now()),
    )
    details = {"by": "provider"} | ({"awaits": "code"} if level is Assurance.WAITS else {})
    record(actor, Action.SIGN_IN, "user", actor.id, details=details)
    return token


def confirm_session(actor: Actor, vouched: Vouched) -> str:
    """Note that somebody has shown again at the provider who they are; return the session's new token for the cookie.

    Raises RuleBroken when they have a second factor and the provider doesn't say that they have shown one, and
    Unauthenticated for the identity of somebody else, or when the session has ended.
    """
    owner = _find_owner(vouched)
    if owner is None or owner.id != actor.id:
        raise Unauthenticated(OTHER_ACCOUNT)
    require_active(actor)
    if not vouched.has_factor and has_second_factor(actor.id):
        raise RuleBroken(FACTOR_NEEDED)
    token = renew_session(actor.session_id, _level(vouched)) if actor.session_id else None
    if token is None:
        raise Unauthenticated
    record(actor, Action.SIGN_IN, "user", actor.id, details={"again": True, "by": "provider"})
    return token


def _find_owner(vouched: Vouched) -> Actor | None:
    """Return who has linked an identity, and note that it was used; None for nobody or a disabled account."""
    owner_id = db.session.execute(
        sa.update(Credential)
        .where(
            Credential.kind == "identity",
            Credential.lookup == vouched.lookup,
            Credential.ended_at.is_(None),
        )
        .values(used_at=now())
        .returning(Credential.person_id)
    ).scalar()
    row = db.session.execute(
        sa.select(User.id, User.role, User.name).where(
            User.id == owner_id, User.disabled_at.is_(None)
        )
    ).first()
    return None if row is None else Actor(row.id, Role(row.role), row.name, "web")


def _level(vouched: Vouched) -> Assurance:
    return Assurance.TWO_FACTORS if vouched.has_factor else Assurance.ONE_FACTOR
