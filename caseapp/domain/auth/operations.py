"""Done: sessions begun and ended, tokens made and revoked, attempts counted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import NotFound, TooManyAttempts
from caseapp.core.transaction import side_transaction
from caseapp.core.vault import fingerprint
from caseapp.domain.auth.credentials import new_reference, reference_hash
from caseapp.domain.auth.models import Attempt, Session, Token

if TYPE_CHECKING:
    from uuid import UUID

# The number of an advisory lock; any number that nothing else in the house uses.
COUNTING = 7_403_001


def begin_session(kind: str, subject_id: UUID, *, passed_pin: bool = True) -> str:
    """Begin a session for a `staff` member or a `client`; give the reference for the cookie."""
    reference = new_reference()
    moment = now()
    db.session.add(
        Session(
            secret_hash=reference_hash(reference),
            subject_kind=kind,
            subject_id=subject_id,
            made_at=moment,
            seen_at=moment,
            passed_pin=passed_pin,
        )
    )
    db.session.flush()
    return reference


def end_session(session_id: UUID) -> None:
    """End one session; ending it twice changes nothing."""
    db.session.execute(
        sa.update(Session)
        .where(Session.id == session_id, Session.ended_at.is_(None))
        .values(ended_at=now())
    )


def end_all_sessions(subject_id: UUID) -> None:
    """End every session of a person: sign out everywhere."""
    db.session.execute(
        sa.update(Session)
        .where(Session.subject_id == subject_id, Session.ended_at.is_(None))
        .values(ended_at=now())
    )


def touch_session(session_id: UUID) -> None:
    """Note that a session was used; a session that was ended meanwhile stays ended."""
    with side_transaction() as connection:
        connection.execute(
            sa.update(Session)
            .where(Session.id == session_id, Session.ended_at.is_(None))
            .values(seen_at=now())
        )


def make_token(user_id: UUID, name: str) -> tuple[UUID, str]:
    """Make a bearer token; its text is given once and never again."""
    reference = new_reference()
    token = Token(secret_hash=reference_hash(reference), user_id=user_id, name=name, made_at=now())
    db.session.add(token)
    db.session.flush()
    return token.id, reference


def revoke_token(token_id: UUID) -> None:
    """Revoke a token for good.

    Raises NotFound when there is no such token.
    """
    changed = db.session.execute(
        sa.update(Token).where(Token.id == token_id).values(ended_at=now())
    )
    if changed.rowcount == 0:  # type: ignore[attr-defined]
        raise NotFound


@dataclass(frozen=True)
class Limit:
    """Allow `tries` tries in `window` for whatever shares `scope`."""

    scope: str
    tries: int
    window: timedelta


def sign_in_limits(account: str, address: str) -> list[Limit]:
    """Name the limits of one try to sign in.

    Somebody else's wrong tries close the door for their address first; the account's own limit is far higher,
    so that nobody is locked out by a stranger (ASVS 6.3.1). All workers share the counts.
    """
    quarter, hour = timedelta(minutes=15), timedelta(hours=1)
    return [
        Limit(fingerprint("attempt-pair", f"{account}\n{address}"), 8, quarter),
        Limit(fingerprint("attempt-address", address), 40, quarter),
        Limit(fingerprint("attempt-account", account), 100, hour),
        Limit(fingerprint("attempt-all", ""), 2000, quarter),
    ]


def count_attempt(limits: list[Limit]) -> None:
    """Count one try before it is checked, so that tries sent at the same time count too.

    Raises TooManyAttempts when one of the limits is reached.
    """
    moment = now()
    with side_transaction() as connection:
        if connection.dialect.name == "postgresql":
            # SQLite has one writer anyway; here tries sent at the same moment would not see each other.
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(COUNTING)))
        for limit in limits:
            first, seen = connection.execute(
                sa.select(sa.func.min(Attempt.at), sa.func.count()).where(
                    Attempt.scope == limit.scope, Attempt.at > moment - limit.window
                )
            ).one()
            if seen >= limit.tries:
                wait = int((first + limit.window - moment).total_seconds()) + 1
                raise TooManyAttempts(
                    "Too many tries. Wait a little, then try again.", retry_after=max(wait, 1)
                )
        connection.execute(
            sa.insert(Attempt.__table__),  # type: ignore[arg-type]
            [{"scope": limit.scope, "at": moment} for limit in limits],
        )
        connection.execute(sa.delete(Attempt).where(Attempt.at < moment - timedelta(days=1)))


def forget_attempts(limits: list[Limit]) -> None:
    """Forget the tries that led to a success, so that they do not count against the next one."""
    db.session.execute(
        sa.delete(Attempt).where(Attempt.scope.in_([limit.scope for limit in limits[:1]]))
    )
