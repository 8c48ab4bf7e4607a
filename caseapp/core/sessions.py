"""Server-side sessions: the cookie holds a random token, the table only its hash.

A session belongs to a subject (a member of staff or a client) that this module knows by kind and id alone;
`domain.auth` joins it to the person.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import IntEnum
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from caseapp.core.clock import now
from caseapp.core.database import Model, between, db, one_of, unconstrained
from caseapp.core.ids import new_id
from caseapp.core.reads import write_with_reads
from caseapp.core.tokens import generate_token, hash_token

IDLE_TIMEOUT = {"staff": timedelta(minutes=15), "client": timedelta(minutes=20)}
"""How long a session lasts without use: for staff 15 minutes (SEC-12; OWASP ASVS 5.0, 7.3.1; awaiting sign-off)."""
ABSOLUTE_TIMEOUT = timedelta(hours=12)
"""How long a session lasts at most (SEC-12; OWASP ASVS 5.0, 7.3.2; awaiting sign-off)."""


class Assurance(IntEnum):
    """How somebody has shown who they are; a session that waits for a second factor opens nothing."""

    WAITS = 0
    ONE_FACTOR = 1
    TWO_FACTORS = 2


METHODS = ("password", "passkey", "provider")
"""How a member of staff has signed in: by their password or a passkey, or at the practice's OpenID provider."""


class Session(Model):
    """A signed-in browser of a member of staff or a client."""

    __tablename__ = "session"
    __table_args__ = (sa.Index("ix_session_subject", "subject_id", "ended_at"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    secret_hash: Mapped[str] = mapped_column(sa.String(64), unique=True)
    subject_kind: Mapped[str] = mapped_column(sa.String(10), info=one_of(IDLE_TIMEOUT))
    subject_id: Mapped[UUID] = mapped_column(
        info=unconstrained("A member of staff or a client; `subject_kind` says which.")
    )
    created_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    authenticated_at: Mapped[datetime]
    """When the person last showed who they are."""
    ended_at: Mapped[datetime | None]
    # A row that says nothing about how somebody has shown who they are opens nothing.
    pin_verified: Mapped[bool] = mapped_column(default=False)
    assurance_level: Mapped[int] = mapped_column(
        default=Assurance.WAITS, info=between(Assurance.WAITS, Assurance.TWO_FACTORS)
    )
    method: Mapped[str | None] = mapped_column(sa.String(8), info=one_of(METHODS))
    """None for a client, and for a session that an earlier release has begun."""
    wrapped_writing_key: Mapped[bytes | None]
    """The writing key of a client who has entered their PIN; only the cookie's token opens it."""


def session_is_live() -> sa.ColumnElement[bool]:
    """Build the SQL condition for a session that has not ended, idled or expired; fill it with `session_params`."""
    return sa.and_(
        Session.secret_hash == sa.bindparam("secret"),
        Session.subject_kind == sa.bindparam("kind"),
        Session.ended_at.is_(None),
        Session.last_seen_at > sa.bindparam("seen_since"),
        Session.created_at > sa.bindparam("created_since"),
    )


def session_params(kind: str, token: str) -> dict[str, Any]:
    """Return the parameters of `session_is_live` for a cookie's token at this moment."""
    moment = now()
    return {
        "secret": hash_token(token),
        "kind": kind,
        "seen_since": moment - IDLE_TIMEOUT[kind],
        "created_since": moment - ABSOLUTE_TIMEOUT,
    }


def session_ends_at(kind: str, created_at: datetime, last_seen_at: datetime) -> datetime:
    """Return when a session ends that isn't used any more."""
    return min(last_seen_at + IDLE_TIMEOUT[kind], created_at + ABSOLUTE_TIMEOUT)


def begin_session(
    kind: str,
    subject_id: UUID,
    *,
    pin_verified: bool = True,
    level: Assurance = Assurance.ONE_FACTOR,
    method: str | None = None,
    authenticated_at: datetime | None = None,
) -> str:
    """Begin a session for a `staff` member or a `client` and return the token for the cookie.

    `method` is one of METHODS, and `authenticated_at` when the person has shown who they are, if not just now.
    """
    token = generate_token()
    moment = now()
    db.session.add(
        Session(
            secret_hash=hash_token(token),
            subject_kind=kind,
            subject_id=subject_id,
            created_at=moment,
            last_seen_at=moment,
            authenticated_at=authenticated_at or moment,
            pin_verified=pin_verified,
            assurance_level=level,
            method=method,
        )
    )
    db.session.flush()
    return token


def renew_session(session_id: UUID, level: Assurance) -> str | None:
    """Give a session whose person has shown again who they are a new token; None when it has ended.

    Its level rises to `level`, and never falls.
    """
    token = generate_token()
    renewed = db.session.execute(
        sa.update(Session)
        .where(Session.id == session_id, Session.ended_at.is_(None))
        .values(
            secret_hash=hash_token(token),
            authenticated_at=now(),
            assurance_level=sa.case(
                (Session.assurance_level < level, level), else_=Session.assurance_level
            ),
        )
        .returning(Session.id)
    ).scalar()
    return None if renewed is None else token


def set_assurance_level(session_id: UUID, level: Assurance) -> None:
    """Set the level of a session whose person has set up or removed a second factor in it."""
    db.session.execute(
        sa.update(Session).where(Session.id == session_id).values(assurance_level=level)
    )


def is_session_open(session_id: UUID | None) -> bool:
    """Tell whether a session hasn't been ended, for a change during which whoever ends it has to wait."""
    open_ = sa.select(Session.id).where(Session.id == session_id, Session.ended_at.is_(None))
    return db.session.scalar(open_) is not None


def end_session(session_id: UUID) -> str | None:
    """End one session and return by which of METHODS it had begun; a session that has ended stays as it is."""
    method: str | None = db.session.scalar(
        sa.update(Session)
        .where(Session.id == session_id, Session.ended_at.is_(None))
        .values(ended_at=now())
        .returning(Session.method)
    )
    return method


def end_all_sessions(subject_id: UUID, *, but: UUID | None = None) -> None:
    """End every session of one person, or every one but this."""
    ending = (
        sa.update(Session)
        .where(Session.subject_id == subject_id, Session.ended_at.is_(None))
        .values(ended_at=now())
    )
    db.session.execute(ending if but is None else ending.where(Session.id != but))


def is_unexpired(kind: str) -> sa.ColumnElement[bool]:
    """Build the SQL condition for a session that has neither ended nor idled nor expired at this moment."""
    moment = now()
    return sa.and_(
        Session.ended_at.is_(None),
        Session.last_seen_at > moment - IDLE_TIMEOUT[kind],
        Session.created_at > moment - ABSOLUTE_TIMEOUT,
    )


def touch_session(session_id: UUID) -> None:
    """Record that a session was used, with what the request reads; one that ended in the meantime stays ended."""
    touch = (
        sa.update(Session)
        .where(Session.id == session_id, Session.ended_at.is_(None))
        .values(last_seen_at=now())
    )
    write_with_reads(lambda connection: connection.execute(touch))
