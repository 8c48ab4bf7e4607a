from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from caseapp.core.clock import at
from caseapp.core.database import db
from caseapp.core.errors import TooManyAttempts
from caseapp.core.transaction import transaction
from caseapp.domain.auth.budgets import ACCOUNT_AT_NETWORK, KEPT_FOR
from caseapp.domain.auth.devices import MOST_ACCOUNTS, NO_DEVICE, Device, read_device
from caseapp.domain.auth.models import FailureCount
from caseapp.domain.auth.throttling import (
    Limit,
    clear_attempts,
    count_attempt,
    delete_forgotten_failures,
    find_network,
    reset_attempts,
    sign_in_limits,
)
from tests.support.concurrency import run_concurrently
from tests.support.staff_pages import Statements

NOON = datetime(2026, 5, 14, 12, tzinfo=UTC)
FIVE = Limit("pair", ACCOUNT_AT_NETWORK)


def count(*limits):
    try:
        count_attempt(list(limits))
    except TooManyAttempts as refused:
        return refused
    return "counted"


def stored():
    db.session.rollback()
    return dict(db.session.execute(sa.select(FailureCount.scope, FailureCount.failures)).all())


@pytest.mark.both
def test_tries_that_wait_are_refused_and_write_nothing(app):
    with at(NOON):
        waits = [count_attempt([FIVE]) for _ in range(5)]
        assert [wait.total_seconds() for wait in waits] == [0, 0, 0, 0, 1]
        for _ in range(3):
            assert count(FIVE, Limit("other", ACCOUNT_AT_NETWORK)).retry_after == 1
        assert stored() == {"pair": 5}
    with at(NOON + timedelta(seconds=1)):
        assert count(FIVE) == "counted"
        assert count(FIVE).retry_after == 2


@pytest.mark.both
def test_simultaneous_attempts_do_not_exceed_the_limit(app):
    """All processes count in the database, and a new session begins no new count (VULN-23)."""
    with at(NOON):
        answers = run_concurrently(app, 30, lambda _: count(FIVE))
    assert answers.count("counted") == 5
    assert all(isinstance(one, TooManyAttempts) for one in answers if one != "counted")


def tries(account, address, device=NO_DEVICE):
    return count(*sign_in_limits(account, address, device)) == "counted"


def test_wrong_attempts_block_only_their_own_account_at_their_own_network(app):
    with at(NOON):
        assert [tries("marta@x", "198.51.100.7") for _ in range(6)] == [True] * 5 + [False]
        assert tries("marta@x", "192.0.2.1")
        assert tries("jonas@x", "198.51.100.7")


def test_network_limit_counts_all_accounts_and_is_short(app):
    with at(NOON):
        answers = [tries(f"somebody{n}@x", "198.51.100.7") for n in range(40)]
    assert answers == [True] * 30 + [False] * 10
    with at(NOON + timedelta(seconds=1)):
        assert tries("marta@x", "198.51.100.7")


@pytest.mark.slow
def test_attacked_account_has_one_try_from_each_network_and_is_never_closed(app):
    with at(NOON):
        answers = [tries("marta@x", f"198.51.{n % 50}.1") for n in range(300)]
        # The first hundred use up the account's budget; after that each network has one more.
        assert answers.count(True) == 150
        assert [tries("marta@x", "192.0.2.1") for _ in range(2)] == [True, False]
    with at(NOON + timedelta(minutes=15)):
        assert tries("marta@x", "192.0.2.1")


@pytest.mark.both
def test_success_clears_its_pair_and_takes_back_its_own_try(app):
    limits = sign_in_limits("marta@x", "198.51.100.7", NO_DEVICE)
    with at(NOON):
        for _ in range(5):
            count_attempt(limits)
        with transaction(), Statements() as statements:
            clear_attempts(limits)
        # Whoever counts a try locks the rows in this order too.
        lock = " FOR UPDATE" if db.engine.dialect.name == "postgresql" else ""
        assert statements.seen[0].endswith(f"ORDER BY failure_count.scope{lock}")
        assert stored() == {limit.scope: 4 for limit in limits[1:]}
        assert tries("marta@x", "198.51.100.7")
        with transaction():
            reset_attempts(limits)
        assert stored() == {}


def test_known_device_counts_by_itself(app):
    known = NO_DEVICE.remembering("marta@x").remembering("jonas@x")
    with at(NOON):
        for _ in range(40):
            tries("marta@x", "198.51.100.7")
        assert [tries("marta@x", "198.51.100.7", known) for _ in range(11)] == [True] * 10 + [False]
        assert tries("jonas@x", "198.51.100.7", known)
        assert not tries("marta@x", "198.51.100.7", NO_DEVICE.remembering("jonas@x"))


def test_cookie_of_a_device_is_written_by_us_and_names_nobody(app):
    device = NO_DEVICE
    for number in range(MOST_ACCOUNTS + 1):
        device = device.remembering(f"somebody{number}@x")
    found = read_device(device.as_cookie())
    assert found == device
    assert found.remembering("somebody3@x").marks[0] == found.marks[5]
    assert [found.knows(f"somebody{number}@x") for number in range(9)] == [False] + [True] * 8
    assert "somebody" not in device.as_cookie()
    other = Device("0" * 32, device.marks)
    assert not other.knows("somebody8@x")
    for cookie in ("", ".", device.name, f"{device.as_cookie()}.", "x" * 5000, "a\x00b"):
        assert read_device(cookie) == NO_DEVICE


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("", ""),
        ("no address", "no address"),
    ],
)
def test_network_of_an_address(address, network):
    assert find_network(address) == network


def test_counts_store_keyed_hashes_only_and_are_deleted_when_forgotten(app):
    with at(NOON):
        tries("marta@practice.test", "198.51.100.7")
    text = " ".join(stored())
    assert "marta" not in text
    assert "198.51" not in text
    with at(NOON + KEPT_FOR), transaction():
        delete_forgotten_failures()
    assert len(stored()) == 3
    with at(NOON + KEPT_FOR + timedelta(seconds=1)), transaction():
        delete_forgotten_failures()
    assert stored() == {}
