"""Asked: which session or token a reference stands for."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.domain.auth.credentials import reference_hash
from caseapp.domain.auth.models import Session, Token

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

IDLE = {"staff": timedelta(minutes=60), "client": timedelta(minutes=20)}
ABSOLUTE = timedelta(hours=12)


def live_session() -> sa.ColumnElement[bool]:
    """Say in SQL that a session is the one that `the_session` names and has neither ended, idled nor grown too old."""
    return sa.and_(
        Session.secret_hash == sa.bindparam("secret"),
        Session.subject_kind == sa.bindparam("kind"),
        Session.ended_at.is_(None),
        Session.seen_at > sa.bindparam("seen_since"),
        Session.made_at > sa.bindparam("made_since"),
    )


def the_session(kind: str, reference: str) -> dict[str, Any]:
    """Give the parameters of `live_session` at this moment for a reference out of a cookie."""
    moment = now()
    return {
        "secret": reference_hash(reference),
        "kind": kind,
        "seen_since": moment - IDLE[kind],
        "made_since": moment - ABSOLUTE,
    }


def live_token() -> sa.ColumnElement[bool]:
    """Say in SQL that a token's hash is the parameter `secret` and that it has not been revoked."""
    return sa.and_(Token.secret_hash == sa.bindparam("secret"), Token.ended_at.is_(None))


def tokens_of(user_id: UUID) -> Sequence[Token]:
    """List a person's tokens, newest first."""
    return db.session.scalars(
        sa.select(Token).where(Token.user_id == user_id).order_by(Token.made_at.desc())
    ).all()
