"""Sign-in throttling: attempts are counted in the database, so that all worker processes share the counts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import TooManyAttempts
from caseapp.core.i18n import lazy_gettext
from caseapp.core.transaction import separate_transaction
from caseapp.domain.auth.models import SignInAttempt
from caseapp.domain.keys.queries import fingerprint

if TYPE_CHECKING:
    from uuid import UUID

# The number of a PostgreSQL advisory lock; nothing else in the application uses it.
LOCK_NUMBER = 7_403_001


@dataclass(frozen=True)
class Limit:
    """A limit of `tries` attempts within `window` for everything that shares `scope`."""

    scope: str
    tries: int
    window: timedelta


def sign_in_limits(account: str, address: str) -> list[Limit]:
    """Return the limits for one attempt to sign in; the first is the one that a success clears.

    Wrong attempts block their own network address first. The account's own limit is far higher, so that a stranger
    can't lock somebody out (ASVS 6.3.1).
    """
    quarter, hour = timedelta(minutes=15), timedelta(hours=1)
    return [
        Limit(fingerprint("attempt", f"pair\n{account}\n{address}"), 8, quarter),
        Limit(fingerprint("attempt", f"address\n{address}"), 40, quarter),
        Limit(fingerprint("attempt", f"account\n{account}"), 100, hour),
        Limit(fingerprint("attempt", "all"), 2000, quarter),
    ]


def confirmation_limits(person_id: UUID) -> list[Limit]:
    """Return the limit for one attempt of somebody who is signed in to show again who they are.

    They can only try their own password, so neither their colleagues behind the same network address nor a stranger who
    tries the account at the sign-in page count against them.
    """
    scope = fingerprint("attempt", f"confirmation\n{person_id.hex}")
    return [Limit(scope, 8, timedelta(minutes=15))]


def code_limits(person_id: UUID) -> list[Limit]:
    """Return the limits for one code of a second factor at a sign-in; the first is the one that a success clears.

    A stranger gets there only with the right password. A day's limit keeps somebody who has it from trying a good part
    of the million codes, three of which are right at any moment.
    """
    scope = f"code\n{person_id.hex}"
    return [
        Limit(fingerprint("attempt", scope), 8, timedelta(minutes=15)),
        Limit(fingerprint("attempt", f"{scope}\nday"), 60, timedelta(days=1)),
    ]


def count_attempt(limits: list[Limit]) -> None:
    """Count one attempt before it is checked, so that simultaneous attempts count too.

    Raises TooManyAttempts when one of the limits is reached.
    """
    moment = now()
    with separate_transaction() as connection:
        if connection.dialect.name == "postgresql":
            # SQLite has one writer anyway; on PostgreSQL simultaneous attempts would not see each other.
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK_NUMBER)))
        for limit in limits:
            first, seen = connection.execute(
                sa.select(sa.func.min(SignInAttempt.occurred_at), sa.func.count()).where(
                    SignInAttempt.scope == limit.scope,
                    SignInAttempt.occurred_at > moment - limit.window,
                )
            ).one()
            if seen >= limit.tries:
                wait = int((first + limit.window - moment).total_seconds()) + 1
                raise TooManyAttempts(
                    lazy_gettext("Too many attempts. Wait a little, then try again."),
                    retry_after=max(wait, 1),
                )
        connection.execute(
            sa.insert(SignInAttempt.__table__),  # type: ignore[arg-type]
            [{"scope": limit.scope, "occurred_at": moment} for limit in limits],
        )
        connection.execute(
            sa.delete(SignInAttempt).where(SignInAttempt.occurred_at < moment - timedelta(days=1))
        )


def clear_attempts(limits: list[Limit]) -> None:
    """Forget the attempts that ended in a success, so that they don't count against the next one."""
    db.session.execute(
        sa.delete(SignInAttempt).where(
            SignInAttempt.scope.in_([limit.scope for limit in limits[:1]])
        )
    )
