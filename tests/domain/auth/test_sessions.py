from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa

from caseapp.core import sessions
from caseapp.core.actor import operator
from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.errors import NotFound
from caseapp.core.sessions import ABSOLUTE_TIMEOUT, IDLE_TIMEOUT, Session
from caseapp.core.tokens import hash_token
from caseapp.core.transaction import transaction
from caseapp.domain.auth.models import Token
from caseapp.domain.auth.operations import create_token, reset_password, revoke_token
from caseapp.domain.auth.portal_codes import invite_client
from caseapp.domain.auth.queries import (
    find_client_session,
    find_staff_session,
    find_token,
    list_tokens,
)
from caseapp.domain.clients.queries import lock_client
from tests.support import builders, staff
from tests.support.concurrency import run_concurrently

pytestmark = pytest.mark.both

A_MOMENT = timedelta(seconds=1)


def begin(subject, kind="staff"):
    with transaction():
        return sessions.begin_session(kind, subject)


def live(reference, kind="staff"):
    db.session.rollback()
    return (find_staff_session if kind == "staff" else find_client_session)(reference) is not None


@pytest.fixture
def coach(app):
    return staff.add("coach")


def invited(coach):
    client_id = builders.client(coach)
    with transaction():
        invite_client(coach, lock_client(coach, client_id))
    return client_id


@pytest.mark.parametrize("kind", ["staff", "client"])
def test_idle_session_ends(coach, kind):
    start = now()
    with at(start):
        subject = coach.id if kind == "staff" else invited(coach)
        reference = begin(subject, kind)
    with at(start + IDLE_TIMEOUT[kind] - A_MOMENT):
        assert live(reference, kind)
    with at(start + IDLE_TIMEOUT[kind] + A_MOMENT):
        assert not live(reference, kind)


@pytest.mark.parametrize("kind", ["staff", "client"])
def test_busy_session_ends_after_twelve_hours(coach, kind):
    start = now()
    with at(start):
        subject = coach.id if kind == "staff" else invited(coach)
        reference = begin(subject, kind)
    moment = start
    while moment < start + ABSOLUTE_TIMEOUT - timedelta(minutes=10):
        moment += timedelta(minutes=10)
        with at(moment):
            assert live(reference, kind)
            sessions.touch_session(db.session.scalar(sa.select(Session.id)))
    with at(start + ABSOLUTE_TIMEOUT - A_MOMENT):
        assert live(reference, kind)
    with at(start + ABSOLUTE_TIMEOUT + A_MOMENT):
        assert not live(reference, kind)


def test_session_of_one_interface_is_refused_by_the_other(coach):
    reference = begin(coach.id, "client")
    assert not live(reference, "staff")
    reference = begin(invited(coach), "staff")
    assert not live(reference, "client")


@pytest.mark.parametrize("reference", ["", "nonsense", "x" * 10_000, "\x00", "ünï"])
def test_unknown_token_finds_no_session(coach, reference):
    begin(coach.id)
    assert not live(reference)


def test_session_token_is_stored_as_hash_only(coach):
    reference = begin(coach.id)
    assert reference not in str(db.session.execute(sa.select(Session.__table__)).all())


def test_session_that_says_nothing_of_how_it_began_opens_nothing(coach):
    times = dict.fromkeys(("created_at", "last_seen_at", "authenticated_at"), now())
    with transaction() as session:
        hashed = hash_token("a token")
        row = Session(secret_hash=hashed, subject_kind="staff", subject_id=coach.id, **times)
        session.add(row)
    assert not live("a token")
    assert not row.pin_verified


def test_end_session_leaves_other_sessions(coach):
    first, second = begin(coach.id), begin(coach.id)
    with transaction():
        sessions.end_session(find_staff_session(first).actor.session_id)
    assert not live(first)
    assert live(second)
    with transaction():
        sessions.end_all_sessions(coach.id)
    assert not live(second)


def test_disabling_a_user_ends_sessions_and_tokens(coach):
    reference = begin(coach.id)
    with transaction():
        _, token = create_token(operator(), "coach@practice.test", "laptop")
    assert find_token(token)
    with transaction():
        staff.disable("coach@practice.test")
    assert not live(reference)
    assert find_token(token) is None


def test_reset_password_ends_every_session(coach):
    references = [begin(coach.id) for _ in range(3)]
    with transaction():
        reset_password(operator(), "coach@practice.test", "another horse battery staple")
    assert not any(live(reference) for reference in references)


def test_touching_an_ended_session_leaves_it_ended(coach, app):
    reference = begin(coach.id)
    session_id = find_staff_session(reference).actor.session_id

    def touch_or_end(number):
        if number == 3:
            with transaction():
                sessions.end_session(session_id)
        else:
            sessions.touch_session(session_id)

    assert run_concurrently(app, 8, touch_or_end) == [None] * 8
    assert not live(reference)
    sessions.touch_session(session_id)
    assert not live(reference)


def test_bearer_token_works_until_revoked(coach):
    with transaction():
        token_id, text = create_token(operator(), "coach@practice.test", "laptop")
    found = find_token(text).actor
    assert (found.id, found.via) == (coach.id, "api")
    assert [token.name for token in list_tokens(coach.id)] == ["laptop"]
    assert text not in str(db.session.execute(sa.select(Token.__table__)).all())
    with transaction():
        revoke_token(operator(), token_id)
    assert find_token(text) is None
    with pytest.raises(NotFound), transaction():
        revoke_token(operator(), UUID(int=1))
