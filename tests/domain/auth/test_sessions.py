from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa

from caseapp.core.actor import operator
from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.errors import NotFound
from caseapp.core.transaction import transaction
from caseapp.domain.auth import operations as access
from caseapp.domain.auth.models import Session, Token
from caseapp.domain.auth.queries import ABSOLUTE, IDLE, tokens_of
from caseapp.domain.clients.portal_access import client_signed_in, invite
from caseapp.domain.users.operations import disable_user, reset_password
from caseapp.domain.users.queries import bearer, signed_in
from tests.support import builders, staff
from tests.support.concurrency import together

pytestmark = pytest.mark.both

A_MOMENT = timedelta(seconds=1)


def begin(subject, kind="staff"):
    with transaction():
        return access.begin_session(kind, subject)


def live(reference, kind="staff"):
    db.session.rollback()
    return (signed_in if kind == "staff" else client_signed_in)(reference) is not None


@pytest.fixture
def coach(app):
    return staff.add("coach")


def invited(coach):
    client_id = builders.client(coach)
    with transaction():
        invite(coach, client_id)
    return client_id


@pytest.mark.parametrize("kind", ["staff", "client"])
def test_a_session_ends_when_nobody_uses_it(coach, kind):
    start = now()
    with at(start):
        subject = coach.id if kind == "staff" else invited(coach)
        reference = begin(subject, kind)
    with at(start + IDLE[kind] - A_MOMENT):
        assert live(reference, kind)
    with at(start + IDLE[kind] + A_MOMENT):
        assert not live(reference, kind)


@pytest.mark.parametrize("kind", ["staff", "client"])
def test_a_session_ends_after_twelve_hours_however_busy(coach, kind):
    start = now()
    with at(start):
        subject = coach.id if kind == "staff" else invited(coach)
        reference = begin(subject, kind)
    moment = start
    while moment < start + ABSOLUTE - timedelta(minutes=10):
        moment += timedelta(minutes=10)
        with at(moment):
            assert live(reference, kind)
            access.touch_session(db.session.scalar(sa.select(Session.id)))
    with at(start + ABSOLUTE - A_MOMENT):
        assert live(reference, kind)
    with at(start + ABSOLUTE + A_MOMENT):
        assert not live(reference, kind)


def test_the_doors_do_not_take_each_others_sessions(coach):
    reference = begin(coach.id, "client")
    assert not live(reference, "staff")
    reference = begin(invited(coach), "staff")
    assert not live(reference, "client")


@pytest.mark.parametrize("reference", ["", "nonsense", "x" * 10_000, "\x00", "ünï"])
def test_a_made_up_reference_opens_nothing(coach, reference):
    begin(coach.id)
    assert not live(reference)


def test_only_a_hash_is_stored(coach):
    reference = begin(coach.id)
    assert reference not in str(db.session.execute(sa.select(Session.__table__)).all())


def test_ending_one_session_leaves_the_others(coach):
    first, second = begin(coach.id), begin(coach.id)
    with transaction():
        access.end_session(signed_in(first).actor.session_id)
    assert not live(first)
    assert live(second)
    with transaction():
        access.end_all_sessions(coach.id)
    assert not live(second)


def test_a_disabled_person_is_out_at_once(coach):
    reference = begin(coach.id)
    with transaction():
        _, token = access.make_token(coach.id, "laptop")
    assert bearer(token)
    with transaction():
        disable_user(operator(), "coach@practice.test")
    assert not live(reference)
    assert bearer(token) is None


def test_a_new_password_ends_every_session(coach):
    references = [begin(coach.id) for _ in range(3)]
    with transaction():
        reset_password(operator(), "coach@practice.test", "another horse battery staple")
    assert not any(live(reference) for reference in references)


def test_an_ended_session_stays_ended_whoever_touches_it(coach, app):
    reference = begin(coach.id)
    session_id = signed_in(reference).actor.session_id

    def touch_or_end(number):
        if number == 3:
            with transaction():
                access.end_session(session_id)
        else:
            access.touch_session(session_id)

    assert together(app, 8, touch_or_end) == [None] * 8
    assert not live(reference)
    access.touch_session(session_id)
    assert not live(reference)


def test_a_token_works_until_it_is_revoked(coach):
    with transaction():
        token_id, text = access.make_token(coach.id, "laptop")
    found = bearer(text)
    assert (found.id, found.via) == (coach.id, "api")
    assert [token.name for token in tokens_of(coach.id)] == ["laptop"]
    assert text not in str(db.session.execute(sa.select(Token.__table__)).all())
    with transaction():
        access.revoke_token(token_id)
    assert bearer(text) is None
    with pytest.raises(NotFound), transaction():
        access.revoke_token(UUID(int=1))
