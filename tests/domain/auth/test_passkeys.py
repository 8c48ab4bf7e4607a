"""Passkeys: added, shown once for each challenge and browser, refused when anything is wrong, removed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.errors import Invalid, NotFound, RuleBroken, Unauthenticated
from caseapp.core.ids import new_id
from caseapp.core.sessions import Assurance, begin_session
from caseapp.core.settings import active as active_settings
from caseapp.core.settings import use as use_settings
from caseapp.core.transaction import transaction
from caseapp.domain.audit.models import AuditEvent
from caseapp.domain.auth import passkeys
from caseapp.domain.auth.identities import USE_PROVIDER
from caseapp.domain.auth.models import Passkey
from caseapp.domain.auth.passkeys import (
    add_passkey,
    check_passkey,
    describe_adding,
    describe_showing,
    find_site,
    has_counted_on,
    list_passkeys,
    remove_passkey,
)
from caseapp.domain.auth.queries import find_staff_session
from caseapp.domain.auth.schemas import NewPasskey
from caseapp.domain.auth.second_factor import count_recovery_codes, has_second_factor
from caseapp.domain.practice.models import Practice
from tests.domain.auth.test_second_factor import enter, level_of, waiting
from tests.support import staff
from tests.support.authenticator import Authenticator, change_challenge
from tests.support.concurrency import run_concurrently

BROWSER = "the csrf token of a session"
EMAIL = "coach@practice.test"


@pytest.fixture
def coach(app, named_site):
    return staff.add("coach")


def add(actor, device, name="Laptop"):
    """Add a passkey a moment ago, so that a challenge of now is newer; return new recovery codes."""
    with at(now() - timedelta(seconds=1)):
        answer = device.make(describe_adding(actor, EMAIL, BROWSER))
        with transaction():
            return add_passkey(actor, NewPasskey(name, answer), BROWSER)


def show(device, browser=BROWSER, asked=None, actor=None):
    checked = check_passkey(device.show(asked or describe_showing(browser)), browser, actor)
    with transaction():
        return passkeys.sign_in(checked)


@pytest.mark.parametrize(
    ("address", "site"),
    [
        ("https://desk.practice.test", ("desk.practice.test", "https://desk.practice.test")),
        ("http://localhost:8000", ("localhost", "http://localhost:8000")),
        ("http://127.0.0.1:8000", None),
        ("http://[::1]:8000", None),
    ],
)
def test_passkeys_belong_to_the_name_of_the_staff_pages(coach, address, site):
    use_settings(replace(active_settings(), base_url=address))
    found = find_site()
    assert (found and (found.name, found.origin)) == site
    assert bool(describe_adding(coach, EMAIL, BROWSER)) == bool(site)


@pytest.mark.parametrize(
    ("before", "after", "good"),
    [
        (0, 0, True),
        (0, 1, True),
        (1, 2, True),
        (1, 9, True),
        (1, 1, False),
        (2, 1, False),
        (1, 0, False),
    ],
)
def test_counter_goes_up_or_stays_zero(before, after, good):
    assert has_counted_on(before, after) == good


def test_passkey_signs_in_with_two_factors_and_brings_recovery_codes(coach):
    device = Authenticator()
    before = enter()
    codes = add(coach, device)
    assert len(codes) == count_recovery_codes(coach.id) == 10
    assert find_staff_session(before) is None
    token = show(device)
    assert find_staff_session(token).actor.id == coach.id
    assert level_of(token) == Assurance.TWO_FACTORS
    stored = str(db.session.execute(sa.select(Passkey.__table__)).all())
    assert device.id.hex() not in stored


def test_ten_passkeys_are_the_most(coach):
    for number in range(10):
        add(coach, Authenticator(), f"Device {number}")
    with pytest.raises(Invalid) as refused:
        add(coach, Authenticator(), "One too many")
    assert refused.value.fields == {
        "passkey_answer": ["You can have 10 passkeys at most. Remove one first."]
    }
    with transaction():
        passkeys.remove_passkey(coach, list_passkeys(coach.id)[0].id)
    assert add(coach, Authenticator(), "Another") == []


def test_second_passkey_keeps_the_recovery_codes_and_is_found_by_name(coach):
    add(coach, Authenticator())
    assert add(coach, Authenticator(), "Phone") == []
    assert [row.name for row in list_passkeys(coach.id)] == ["Laptop", "Phone"]


def test_password_waits_for_the_passkey_which_completes_and_confirms(coach):
    device = Authenticator()
    add(coach, device)
    actor = waiting()
    checked = check_passkey(device.show(describe_showing(BROWSER, actor.id)), BROWSER, actor)
    with transaction():
        token = passkeys.show_passkey(checked)
    assert level_of(token) == Assurance.TWO_FACTORS
    other = staff.add("coach2")
    assert describe_showing(BROWSER, other.id) == ""
    with at(now() + timedelta(seconds=1)), pytest.raises(Invalid):
        check_passkey(device.show(describe_showing(BROWSER)), BROWSER, other)


def test_wrong_answers_are_refused_alike(coach):
    device = Authenticator()
    add(coach, device)
    asked = describe_showing(BROWSER)
    stranger, elsewhere, unverified = Authenticator(), Authenticator("https://evil.test"), device
    elsewhere.id, elsewhere.key = device.id, device.key
    wrong = {
        "unknown": stranger.show(asked),
        "origin": elsewhere.show(asked),
        "challenge": device.show(change_challenge(asked)),
        "browser": device.show(describe_showing("another browser")),
        "site": device.show(asked.replace('"localhost"', '"evil.test"')),
        "nothing": "",
        "no JSON": "{",
        "no answer": "{}",
        "cut": device.show(asked).replace('"signature": "', '"signature": "AAAA'),
    }
    unverified.verifies = False
    wrong["not verified"] = unverified.show(asked)
    for name, answer in wrong.items():
        with pytest.raises(Invalid) as refused:
            check_passkey(answer, BROWSER)
        assert refused.value.fields == {"code": [str(passkeys.REFUSED)]}, name
    with at(now() + timedelta(minutes=10, seconds=1)), pytest.raises(Invalid):
        check_passkey(device.show(asked), BROWSER)


@pytest.mark.both
def test_answer_counts_once_also_when_sent_many_times_at_once(coach, app):
    device = Authenticator(counts=0)
    add(coach, device)
    answer = device.show(describe_showing(BROWSER))
    checked = [check_passkey(answer, BROWSER) for _ in range(6)]
    db.session.rollback()

    def accept(number):
        try:
            with transaction():
                passkeys.sign_in(checked[number])
        except Unauthenticated:
            return "refused"
        return "accepted"

    assert sorted(run_concurrently(app, 6, accept)) == ["accepted"] + ["refused"] * 5
    with pytest.raises(Unauthenticated), transaction():
        passkeys.sign_in(check_passkey(answer, BROWSER))


def test_counter_that_goes_back_is_refused_and_recorded(coach):
    device = Authenticator()
    add(coach, device)
    assert show(device)
    device.counter -= 1
    with at(now() + timedelta(seconds=1)), pytest.raises(Invalid):
        show(device)
    row = db.session.scalars(sa.select(AuditEvent).where(AuditEvent.outcome == "refused")).one()
    assert (row.actor_id, row.details["passkey"]) == (coach.id, "counter")


def test_adding_is_refused_for_another_challenge_person_or_time(coach):
    device, asked = Authenticator(), describe_adding(coach, EMAIL, BROWSER)
    other = staff.add("coach2")
    unverified = Authenticator(verifies=False)
    later = now() + timedelta(minutes=10, seconds=1)
    for actor, answer, moment in (
        (coach, device.make(change_challenge(asked)), now()),
        (coach, device.make(describe_adding(other, EMAIL, BROWSER)), now()),
        (coach, unverified.make(asked), now()),
        (coach, device.make(asked), later),
        (coach, "{}", now()),
    ):
        with at(moment), pytest.raises(Invalid) as refused, transaction():
            add_passkey(actor, NewPasskey("Laptop", answer), BROWSER)
        assert [*refused.value.fields] == ["passkey_answer"]
    assert not has_second_factor(coach.id)
    add(coach, device)
    with pytest.raises(Invalid):
        add(coach, device)


def test_removed_passkey_opens_nothing_and_the_last_one_stays_where_it_is_required(coach):
    device, other = Authenticator(), staff.add("coach2")
    add(coach, device)
    (row,) = list_passkeys(coach.id)
    for actor, wanted in ((other, row.id), (coach, new_id())):
        with pytest.raises(NotFound), transaction():
            remove_passkey(actor, wanted)
    with transaction():
        db.session.execute(sa.update(Practice).values(second_factor_roles=["coach"]))
    with pytest.raises(RuleBroken), transaction():
        remove_passkey(coach, row.id)
    with transaction():
        db.session.execute(sa.update(Practice).values(second_factor_roles=[]))
        remove_passkey(coach, row.id)
    assert not has_second_factor(coach.id)
    assert count_recovery_codes(coach.id) == 0
    with pytest.raises(Invalid):
        show(device)


def test_disabled_member_has_no_way_in(coach):
    device = Authenticator()
    add(coach, device)
    checked = check_passkey(device.show(describe_showing(BROWSER)), BROWSER)
    with transaction():
        staff.disable(EMAIL)
    with pytest.raises(Unauthenticated), transaction():
        passkeys.sign_in(checked)
    with at(now() + timedelta(seconds=1)), pytest.raises(Invalid):
        show(device)


def test_whoever_has_to_sign_in_at_the_provider_is_told_so(coach, monkeypatch):
    device = Authenticator()
    add(coach, device)
    monkeypatch.setattr("caseapp.domain.auth.identities.is_provider_required", lambda _id: True)
    with pytest.raises(Unauthenticated) as refused:
        show(device)
    assert refused.value.message == USE_PROVIDER


def test_session_that_adds_a_passkey_has_shown_two_factors(coach):
    with transaction():
        token = begin_session("staff", coach.id)
    add(find_staff_session(token).actor, Authenticator())
    assert level_of(token) == Assurance.TWO_FACTORS
