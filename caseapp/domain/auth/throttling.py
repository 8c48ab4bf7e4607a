"""Sign-in throttling: failures are counted in the database, so that all worker processes share the counts.

A row belongs to what tries share, its scope, of which only a keyed hash is stored. A try is counted before it is
checked, so that simultaneous ones count too, and taken back when it succeeds. One that has to wait writes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import TooManyAttempts
from caseapp.core.i18n import gettext
from caseapp.core.transaction import separate_transaction
from caseapp.domain.audit.security_events import count_event
from caseapp.domain.auth.budgets import (
    ACCOUNT,
    ACCOUNT_AT_NETWORK,
    ATTACKED_AT_NETWORK,
    CODE_DAY,
    KEPT_FOR,
    KNOWN_DEVICE,
    LINK_ADDRESS,
    LINK_AT_NETWORK,
    LINK_NETWORK,
    NETWORK,
    NOW,
    PIN,
    PIN_DAY,
    SECOND,
    Budget,
    Failures,
    add_failure,
    choose_wait,
    describe_wait,
    find_wait,
    is_used_up,
)
from caseapp.domain.auth.models import FailureCount
from caseapp.domain.keys.queries import fingerprint

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime, timedelta
    from uuid import UUID

    from caseapp.domain.auth.devices import Device

# The number of a PostgreSQL advisory lock; nothing else in the application uses it.
LOCK_NUMBER = 7_403_001
IPV6_NETWORK_BITS = 64
INSERTS = {
    name: dialect.insert(FailureCount.__table__)
    for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql))
}
STORE = {
    name: insert.on_conflict_do_update(
        index_elements=["scope"],
        set_={column: insert.excluded[column] for column in ("failures", "last_at", "next_at")},
    )
    for name, insert in INSERTS.items()
}


@dataclass(frozen=True)
class Limit:
    """A budget for everything that shares `scope`."""

    scope: str
    budget: Budget


def _limit(budget: Budget, *shared: str) -> Limit:
    return Limit(fingerprint("attempt", "\n".join(shared)), budget)


def find_network(address: str) -> str:
    """Return the network of an internet address: itself, or in IPv6 the /64 that one household or machine has."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    host_bits = found.max_prefixlen - IPV6_NETWORK_BITS
    return f"{IPv6Address(int(found) >> host_bits << host_bits)}/{IPV6_NETWORK_BITS}"


def sign_in_limits(account: str, address: str, device: Device) -> list[Limit]:
    """Return the limits for one try to sign in to an account; the first is the one that a success clears.

    On a device that knows the account only its own tries count. Elsewhere failures make their own network wait first,
    for this account. While an account is under attack from many networks, each network has a single try, so that its
    owner gets in from anywhere else at once.
    """
    if device.knows(account):
        return [_limit(KNOWN_DEVICE, "device", device.name, account)]
    network = find_network(address)
    everywhere = _limit(ACCOUNT, "account", account)
    counted = _read([everywhere]).get(everywhere.scope)
    attacked = is_used_up(counted, ACCOUNT, now())
    budget = ATTACKED_AT_NETWORK if attacked else ACCOUNT_AT_NETWORK
    return [
        _limit(budget, "pair", account, network),
        _limit(NETWORK, "network", network),
        everywhere,
    ]


def confirmation_limits(person_id: UUID) -> list[Limit]:
    """Return the limit for one try of somebody who is signed in to show again who they are.

    They can only try their own password, so neither their colleagues behind the same network address nor a stranger who
    tries the account at the sign-in page count against them.
    """
    return [_limit(KNOWN_DEVICE, "confirmation", person_id.hex)]


def code_limits(person_id: UUID) -> list[Limit]:
    """Return the limits for one code of a second factor at a sign-in; the first is the one that a success clears.

    A stranger gets there only with the right password. A day's limit keeps somebody who has it from trying a good part
    of the million codes, three of which are right at any moment.
    """
    who = person_id.hex
    return [_limit(KNOWN_DEVICE, "code", who), _limit(CODE_DAY, "code-day", who)]


def pin_limits(client_id: UUID, invited_at: datetime, device: Device) -> list[Limit]:
    """Return the limits for one try of a PIN or start code: those of a known device, or of all others together.

    They belong to one invitation: what was tried before says nothing about the codes of a new one.
    """
    who, when = client_id.hex, invited_at.isoformat()
    source = device.name if device.knows(who) else "others"
    return [_limit(PIN, "pin", who, when, source), _limit(PIN_DAY, "pin-day", who, when, source)]


def earlier_pin_limits(client_id: UUID) -> list[Limit]:
    """Return the limits for one try of an earlier PIN by a client who is signed in with a new one."""
    who = client_id.hex
    return [_limit(PIN, "earlier-pin", who), _limit(PIN_DAY, "earlier-pin-day", who)]


def entry_limits(address: str) -> list[Limit]:
    """Return the limit for wrong links and cards from one network."""
    return [_limit(PIN, "entry", find_network(address))]


def link_limits(address_hash: str, network_address: str) -> list[Limit]:
    """Return the limits for one request to mail a link; `address_hash` is the keyed hash of the email address."""
    network = find_network(network_address)
    return [
        _limit(LINK_AT_NETWORK, "link", address_hash, network),
        _limit(LINK_NETWORK, "link-network", network),
        _limit(LINK_ADDRESS, "link-address", address_hash),
    ]


def forgotten_limits(address_hash: str, network_address: str) -> list[Limit]:
    """Return the limits for one request of somebody on the staff to choose a new password, as for links of clients."""
    network = find_network(network_address)
    return [
        _limit(LINK_AT_NETWORK, "forgotten", address_hash, network),
        _limit(LINK_NETWORK, "forgotten-network", network),
        _limit(LINK_ADDRESS, "forgotten-address", address_hash),
    ]


def password_link_limits(address: str) -> list[Limit]:
    """Return the limit for wrong links and codes for choosing a password from one network."""
    return [_limit(PIN, "password-link", find_network(address))]


def device_link_limits(device: Device) -> list[Limit]:
    """Return the limit for one request to mail a link to somebody who has been in on this device."""
    return [_limit(LINK_AT_NETWORK, "link-device", device.name)]


def count_attempt(limits: list[Limit]) -> timedelta:
    """Count one try as a failure, before it is checked; return how long the next one has to wait if it is wrong.

    Raises TooManyAttempts while one of the limits makes it wait.
    """
    moment = now()
    # Most tries of an attack end here, without a lock and without a write.
    _refuse_waiting(_read(limits), moment)
    with separate_transaction() as connection:
        if connection.dialect.name == "postgresql":
            # SQLite has one writer anyway; on PostgreSQL simultaneous tries would not see each other.
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK_NUMBER)))
        found = _read(limits, connection)
        _refuse_waiting(found, moment)
        counted = [
            (limit, add_failure(found.get(limit.scope), limit.budget, moment)) for limit in limits
        ]
        connection.execute(
            STORE[connection.dialect.name],
            [
                {
                    "scope": limit.scope,
                    "failures": failures.count,
                    "last_at": moment,
                    "next_at": failures.next_at,
                }
                for limit, failures in sorted(counted, key=lambda pair: pair[0].scope)
            ],
        )
    return max(choose_wait(failures.count, limit.budget) for limit, failures in counted)


def count_wrong_token(address: str) -> None:
    """Count a wrong bearer token in a transaction of its own, unless many have come from this network.

    A right one isn't held up, since tokens can't be guessed; the budget only bounds what strangers make us write.
    """
    try:
        count_attempt([_limit(NETWORK, "token", find_network(address))])
    except TooManyAttempts:
        return
    count_event("token")


def clear_attempts(limits: list[Limit]) -> None:
    """Forget, in the open transaction, the failures of the first limit after a success; of the others only this try."""
    own, *shared = limits
    # All rows are locked in one order, as whoever counts a try does; else two of them could wait for each other.
    _read(limits, db.session.connection())
    db.session.execute(sa.delete(FailureCount).where(FailureCount.scope == own.scope))
    for limit in sorted(shared, key=lambda each: each.scope):
        db.session.execute(
            sa.update(FailureCount)
            .where(FailureCount.scope == limit.scope, FailureCount.failures > 0)
            .values(failures=FailureCount.failures - 1, next_at=now())
        )


def reset_attempts(limits: list[Limit]) -> None:
    """Forget, in the open transaction, all failures of these limits: what was tried is about to be replaced."""
    _read(limits, db.session.connection())
    db.session.execute(
        sa.delete(FailureCount).where(FailureCount.scope.in_([limit.scope for limit in limits]))
    )


def delete_forgotten_failures() -> None:
    """Delete, in the open transaction, the counts that no budget remembers any more and nobody uses now."""
    forgotten = (
        sa.select(FailureCount.scope)
        .where(FailureCount.last_at < now() - KEPT_FOR)
        .order_by(FailureCount.scope)
        .with_for_update(skip_locked=True)
    )
    db.session.execute(sa.delete(FailureCount).where(FailureCount.scope.in_(forgotten)))


def _read(
    limits: Collection[Limit], connection: sa.Connection | None = None
) -> dict[str, Failures]:
    """Read the counts by their scope; under the lock of a transaction with its connection."""
    reading = sa.select(
        FailureCount.scope, FailureCount.failures, FailureCount.last_at, FailureCount.next_at
    ).where(FailureCount.scope.in_([limit.scope for limit in limits]))
    if connection is None:
        rows = db.session.execute(reading).all()
    else:
        # A success that is being recorded at this moment takes its own try back first.
        rows = connection.execute(reading.order_by(FailureCount.scope).with_for_update()).all()
    return {row.scope: Failures(row.failures, row.last_at, row.next_at) for row in rows}


def _refuse_waiting(found: dict[str, Failures], moment: datetime) -> None:
    wait = max((find_wait(failures, moment) for failures in found.values()), default=NOW)
    if wait > NOW:
        raise TooManyAttempts(
            f"{gettext('Too many attempts.')} {describe_wait(wait)}",
            retry_after=-(-wait // SECOND),
        )
