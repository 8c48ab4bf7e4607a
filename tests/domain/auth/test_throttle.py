from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from caseapp.core.clock import at
from caseapp.core.database import db
from caseapp.core.errors import TooManyAttempts
from caseapp.core.transaction import transaction
from caseapp.domain.auth.models import SignInAttempt
from caseapp.domain.auth.throttling import Limit, clear_attempts, count_attempt, sign_in_limits
from tests.support.concurrency import run_concurrently

pytestmark = pytest.mark.both

NOON = datetime(2026, 5, 14, 12, tzinfo=UTC)
EIGHT = Limit("pair", 8, timedelta(minutes=15))


def count(*limits):
    try:
        count_attempt(list(limits))
    except TooManyAttempts as refused:
        return refused
    return "counted"


def test_limit_refuses_until_its_window_has_passed(app):
    for minute in range(8):
        with at(NOON + timedelta(minutes=minute)):
            assert count(EIGHT) == "counted"
    with at(NOON + timedelta(minutes=8)):
        refused = count(EIGHT)
        assert refused.retry_after == 7 * 60 + 1
    with at(NOON + timedelta(minutes=15)):
        assert count(EIGHT) == "counted"
        assert count(EIGHT).retry_after == 61


def test_refused_attempt_is_not_counted(app):
    with at(NOON):
        for _ in range(8):
            count(EIGHT)
        for _ in range(5):
            count(EIGHT, Limit("other", 100, timedelta(hours=1)))
        found = db.session.scalars(sa.select(SignInAttempt.scope)).all()
    assert sorted(found) == ["pair"] * 8


def test_simultaneous_attempts_do_not_exceed_the_limit(app):
    answers = run_concurrently(app, 30, lambda _: count(EIGHT))
    assert answers.count("counted") == 8
    assert all(isinstance(one, TooManyAttempts) for one in answers if one != "counted")


def tries(account, address):
    return count(*sign_in_limits(account, address)) == "counted"


def test_wrong_attempts_block_only_their_own_address(app):
    with at(NOON):
        assert [tries("marta@x", "198.51.100.7") for _ in range(9)] == [True] * 8 + [False]
        assert tries("marta@x", "192.0.2.1")
        assert tries("jonas@x", "198.51.100.7")


def test_address_limit_counts_all_accounts(app):
    with at(NOON):
        answers = [tries(f"somebody{n}@x", "198.51.100.7") for n in range(41)]
    assert answers == [True] * 40 + [False]


def test_account_limit_counts_all_addresses(app):
    with at(NOON):
        answers = [tries("marta@x", f"198.51.100.{n}") for n in range(101)]
    assert answers == [True] * 100 + [False]
    with at(NOON + timedelta(hours=1)):
        assert tries("marta@x", "192.0.2.1")


def test_success_clears_attempts_of_its_pair_only(app):
    with at(NOON):
        for _ in range(8):
            tries("marta@x", "198.51.100.7")
        with transaction():
            clear_attempts(sign_in_limits("marta@x", "198.51.100.7"))
        assert tries("marta@x", "198.51.100.7")
        per_address = sign_in_limits("marta@x", "198.51.100.7")[1].scope
        assert (
            db.session.scalar(sa.select(sa.func.count()).where(SignInAttempt.scope == per_address))
            == 9
        )


def test_attempts_store_keyed_hashes_only(app):
    tries("marta@practice.test", "198.51.100.7")
    stored = " ".join(db.session.scalars(sa.select(SignInAttempt.scope)))
    assert "marta" not in stored
    assert "198.51" not in stored


def test_old_attempts_are_deleted(app):
    with at(NOON):
        count(EIGHT)
    with at(NOON + timedelta(days=1, seconds=1)):
        count(Limit("other", 8, timedelta(minutes=15)))
        assert db.session.scalars(sa.select(SignInAttempt.scope)).all() == ["other"]
