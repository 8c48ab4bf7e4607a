"""Stored passwords: sealed, changed by their owner, and what ends with them."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa

from caseapp.core import sessions
from caseapp.core.actor import Actor, operator
from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.errors import (
    Forbidden,
    Invalid,
    NotFound,
    TooManyAttempts,
    Unauthenticated,
)
from caseapp.core.permissions import Role
from caseapp.core.transaction import transaction
from caseapp.core.vault import SealBroken
from caseapp.domain.audit.models import AuditEvent
from caseapp.domain.auth.credentials import hash_secret
from caseapp.domain.auth.models import Credential
from caseapp.domain.auth.operations import (
    create_token,
    end_own_session,
    end_sessions_of,
    reset_password,
)
from caseapp.domain.auth.passwords import (
    change_password,
    check_change,
    check_own_password,
    check_password,
    confirm_session,
)
from caseapp.domain.auth.queries import (
    find_own_password,
    find_staff_session,
    find_token,
    list_sessions,
)
from caseapp.domain.auth.schemas import PasswordChange, SignIn
from caseapp.domain.auth.second_factor import sign_in_with_password
from caseapp.domain.keys.queries import get_ring_key
from tests.support import builders, staff
from tests.support.concurrency import run_concurrently

NEW = "another good pass phrase"
HERE = "192.0.2.1"


@pytest.fixture
def coach(app):
    return staff.add("coach")


def enter(password=staff.PASSWORD, email="coach@practice.test"):
    checked = check_password(SignIn(email, password), HERE)
    with transaction():
        return sign_in_with_password(checked)


def actor_of(reference):
    db.session.rollback()
    found = find_staff_session(reference)
    return found.actor if found else None


def change(actor, password=staff.PASSWORD, new=NEW):
    checked = check_change(actor, PasswordChange(password, new))
    with transaction():
        change_password(checked)


def test_stored_password_is_no_hash_that_can_be_tried(coach):
    [sealed] = db.session.scalars(sa.select(Credential.secret))
    assert b"argon2" not in sealed


def test_hash_of_a_release_before_is_sealed_when_its_owner_signs_in(coach):
    plain = hash_secret(staff.PASSWORD).encode()
    with transaction():
        db.session.execute(sa.update(Credential).values(ring_number=None, secret=plain))
    assert enter()
    row = db.session.execute(sa.select(Credential.ring_number, Credential.secret)).one()
    assert row.ring_number == get_ring_key("credentials").number
    assert plain not in row.secret
    assert enter()


def test_date_of_a_password_of_a_release_before_is_not_known(coach):
    """The migration gave it the id of its owner and the date of the account."""
    moved = {"id": coach.id, "ring_number": None, "secret": hash_secret(staff.PASSWORD).encode()}
    with transaction():
        db.session.execute(sa.update(Credential).values(moved))
    assert find_own_password(coach.id).set_at is None
    change(actor_of(enter()))
    assert find_own_password(coach.id).set_at is not None


def test_sealed_hash_opens_nothing_for_another_person(coach):
    staff.add("coach2")
    mine, other = db.session.execute(sa.select(Credential.id, Credential.secret)).all()
    with transaction():
        db.session.execute(
            sa.update(Credential).where(Credential.id == mine.id).values(secret=other.secret)
        )
    with pytest.raises(SealBroken):
        enter()


def test_change_ends_other_sessions_and_tokens_but_not_this_session(coach):
    own, other = enter(), enter()
    with transaction():
        _, token = create_token(operator(), "coach@practice.test", "laptop")
    foreign = staff.add("coach2")
    with transaction():
        foreign_session = sessions.begin_session("staff", foreign.id)
        _, foreign_token = create_token(operator(), "coach2@practice.test", "laptop")
    change(actor_of(own))
    assert actor_of(own)
    assert actor_of(other) is None
    assert find_token(token) is None
    assert actor_of(foreign_session)
    assert find_token(foreign_token)
    with pytest.raises(Unauthenticated):
        enter()
    assert enter(NEW)
    event = db.session.scalars(sa.select(AuditEvent).where(AuditEvent.action == "account.edit"))
    assert [one.details for one in event] == [{"password": "changed"}]


def test_reset_ends_every_session_and_token(coach):
    reference = enter()
    with transaction():
        _, token = create_token(operator(), "coach@practice.test", "laptop")
        reset_password(operator(), "coach@practice.test", NEW)
    assert actor_of(reference) is None
    assert find_token(token) is None


def test_password_that_was_replaced_is_gone_and_its_times_stay(coach):
    first = find_own_password(coach.id).set_at
    change(actor_of(enter()))
    rows = db.session.scalars(sa.select(Credential).order_by(Credential.ended_at.is_(None))).all()
    assert [(row.secret is None, row.ended_at is None) for row in rows] == [
        (True, False),
        (False, True),
    ]
    assert rows[0].created_at == first
    assert rows[0].used_at


@pytest.mark.parametrize(
    ("password", "new", "field"),
    [
        ("not my password", NEW, "password"),
        (staff.PASSWORD, "short", "new_password"),
        (staff.PASSWORD, "qwertyuiopasdfgh", "new_password"),
        (staff.PASSWORD, "lindqvist lives by the sea", "new_password"),
        (staff.PASSWORD, "practice.test coach in the house", "new_password"),
        ("not my password", "short", "new_password"),
    ],
)
def test_change_with_a_wrong_field_changes_nothing(coach, password, new, field):
    reference = enter()
    with pytest.raises(Invalid) as refused:
        change(actor_of(reference), password, new)
    assert [*refused.value.fields] == [field]
    assert enter()


def test_wrong_current_passwords_are_counted_and_weak_new_ones_are_not(coach):
    actor = actor_of(enter())
    for _ in range(10):
        with pytest.raises(Invalid):
            change(actor, new="short")
    with at(now()):
        for _ in range(10):
            with pytest.raises(Invalid):
                change(actor, "wrong")
        with pytest.raises(TooManyAttempts):
            change(actor)


@pytest.mark.slow
def test_colleagues_behind_one_address_and_strangers_block_nobody_who_confirms(coach):
    actor = actor_of(enter())
    for number in range(10):
        with pytest.raises(Unauthenticated):
            check_password(SignIn("coach@practice.test", "wrong"), f"198.51.100.{number % 2}")
    for _ in range(50):
        checked = check_own_password(actor, staff.PASSWORD)
        with transaction():
            confirm_session(checked)
    assert enter()


def test_client_has_no_password_to_change(coach):
    client = Actor(builders.client(coach), Role.CLIENT, "", "portal")
    with pytest.raises(Forbidden):
        check_change(client, PasswordChange("a", NEW))


@pytest.mark.parametrize("meanwhile", ["reset", "disabled"])
def test_change_after_a_change_since_the_check_is_refused(coach, meanwhile):
    actor = actor_of(enter())
    checked = check_change(actor, PasswordChange(staff.PASSWORD, NEW))
    with transaction():
        if meanwhile == "reset":
            reset_password(operator(), "coach@practice.test", "yet another pass phrase")
        else:
            staff.disable("coach@practice.test")
    with pytest.raises(Unauthenticated), transaction():
        change_password(checked)


@pytest.mark.both
def test_one_of_two_changes_at_once_is_made(coach, app):
    actor = actor_of(enter())
    checked = [
        check_change(actor, PasswordChange(staff.PASSWORD, f"{NEW} {number}"))
        for number in range(2)
    ]
    db.session.rollback()

    def make(number):
        try:
            with transaction():
                change_password(checked[number])
        except Unauthenticated:
            return "refused"
        return "made"

    assert sorted(run_concurrently(app, 2, make)) == ["made", "refused"]
    in_use = sa.select(sa.func.count()).where(Credential.ended_at.is_(None))
    assert db.session.scalar(in_use) == 1


def test_own_sessions_are_listed_and_ended_one_by_one(coach):
    first, second = enter(), enter()
    actor = actor_of(first)
    other = staff.add("coach2")
    with transaction():
        foreign = sessions.begin_session("staff", other.id)
    assert {one.id for one in list_sessions(coach.id)} == {
        actor.session_id,
        actor_of(second).session_id,
    }
    with transaction():
        end_own_session(actor, actor_of(second).session_id)
    assert actor_of(second) is None
    for unknown in (actor_of(foreign).session_id, UUID(int=1)):
        with pytest.raises(NotFound), transaction():
            end_own_session(actor, unknown)
    assert actor_of(foreign)
    assert [one.id for one in list_sessions(coach.id)] == [actor.session_id]


def test_list_of_sessions_leaves_out_what_has_idled_or_expired(coach):
    enter()
    for column, age in (
        ("last_seen_at", sessions.IDLE_TIMEOUT["staff"]),
        ("created_at", sessions.ABSOLUTE_TIMEOUT),
    ):
        reference = enter()
        id_ = actor_of(reference).session_id
        with transaction():
            db.session.execute(
                sa.update(sessions.Session)
                .where(sessions.Session.id == id_)
                .values({column: now() - age})
            )
    assert len(list_sessions(coach.id)) == 1


def test_admin_ends_all_sessions_of_somebody_and_leaves_tokens(coach):
    reference = enter()
    with transaction():
        _, token = create_token(operator(), "coach@practice.test", "laptop")
        end_sessions_of(operator(), "coach@practice.test")
    assert actor_of(reference) is None
    assert find_token(token)
    with pytest.raises(Forbidden), transaction():
        end_sessions_of(coach, "coach@practice.test")


def test_own_password_of_a_disabled_account_is_not_checked(coach):
    with transaction():
        staff.disable("coach@practice.test")
    with pytest.raises(Unauthenticated):
        check_own_password(coach, staff.PASSWORD)


def test_confirming_renews_the_token_and_the_time_of_the_session(coach):
    start = now()
    reference = enter()
    actor = actor_of(reference)
    with at(start + timedelta(minutes=10)):
        checked = check_own_password(actor, staff.PASSWORD)
        with transaction():
            renewed = confirm_session(checked)
        assert actor_of(reference) is None
        assert actor_of(renewed).session_id == actor.session_id
        assert find_staff_session(renewed).authenticated_at == start + timedelta(minutes=10)


def test_ended_session_is_not_confirmed(coach):
    actor = actor_of(enter())
    checked = check_own_password(actor, staff.PASSWORD)
    with transaction():
        sessions.end_all_sessions(coach.id)
    with pytest.raises(Unauthenticated), transaction():
        confirm_session(checked)
