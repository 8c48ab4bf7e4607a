"""The PIN: chosen with the start code, asked for after every link, locked after five wrong attempts."""

from __future__ import annotations

import pytest

from caseapp.core.database import db
from caseapp.core.errors import Forbidden, Invalid, RuleBroken
from caseapp.core.permissions import Action, Role
from caseapp.core.transaction import transaction
from caseapp.domain.auth import portal_access
from caseapp.domain.auth.queries import find_client_session, get_sign_in_step
from caseapp.domain.auth.rules import MAX_PIN_ATTEMPTS, SignInStep
from caseapp.domain.clients.queries import lock_client
from tests.domain.clients.portal_visitor import (
    HOME,
    access_row,
    choose_pin,
    come_in,
    enter_pin,
    redeem,
)
from tests.support.concurrency import run_concurrently
from tests.support.portal_client import PIN, invited

pytestmark = pytest.mark.both


def test_session_before_the_pin_reads_nothing(coach, app):
    arriving = redeem(invited(coach).card_code)
    assert arriving.role is Role.SIGNING_IN
    assert not arriving.may(Action.PORTAL_READ)
    assert not arriving.may(Action.PORTAL_MARK)
    with pytest.raises(RuleBroken), transaction():
        portal_access.complete_first_visit(arriving)


def test_first_sign_in_requires_the_first_visit_page(coach, app):
    found = invited(coach)
    arriving = redeem(found.card_code)
    assert get_sign_in_step(arriving) is SignInStep.CHOOSE_PIN
    reference = choose_pin(arriving, found.start_code.lower(), PIN)
    almost = find_client_session(reference).actor
    assert almost.role is Role.SIGNING_IN
    assert get_sign_in_step(almost) is SignInStep.FIRST_VISIT
    with transaction():
        portal_access.complete_first_visit(almost)
    assert find_client_session(reference).actor.role is Role.CLIENT
    later = redeem(found.card_code)
    assert get_sign_in_step(later) is SignInStep.ENTER_PIN
    assert find_client_session(enter_pin(later, PIN)).actor.role is Role.CLIENT


def test_session_reference_from_before_the_pin_is_ended(coach, app):
    found = invited(coach)
    before = come_in(found.card_code, HOME)
    choose_pin(find_client_session(before).actor, found.start_code, PIN)
    assert find_client_session(before) is None


@pytest.mark.parametrize(
    "pin", ["", "12345", "1234567", "12a456", "١٢٣٤٥٦", "111111", "121212", "123456", "654321"]
)
def test_choose_pin_with_a_weak_pin_costs_no_attempt(coach, app, pin):
    found = invited(coach)
    arriving = redeem(found.card_code)
    with pytest.raises(Invalid) as refused:
        choose_pin(arriving, found.start_code, pin)
    assert set(refused.value.fields) == {"pin"}
    assert access_row(found.client_id).failed_pin_attempts == 0


def test_five_wrong_pins_lock_until_invited_again(coach, app):
    found = invited(coach)
    choose_pin(redeem(found.card_code), found.start_code, PIN)
    arriving = redeem(found.card_code)
    left = []
    for _ in range(MAX_PIN_ATTEMPTS):
        with pytest.raises(Invalid) as refused:
            enter_pin(arriving, "000000")
        left.append(refused.value.fields["pin"][0])
    assert "4 attempts" in left[0]
    assert "one attempt" in left[3]
    assert "last" in left[4]
    with pytest.raises(RuleBroken) as closed:
        enter_pin(arriving, PIN)
    assert closed.value.reasons[0].code == "locked"
    assert get_sign_in_step(redeem(found.card_code)) is SignInStep.LOCKED
    with transaction():
        again = portal_access.invite_client(coach, lock_client(coach, found.client_id))
    arriving = redeem(again.card_code)
    assert choose_pin(arriving, again.start_code, PIN)


def test_wrong_start_codes_and_pins_share_the_five_attempts(coach, app):
    found = invited(coach)
    arriving = redeem(found.card_code)
    for _ in range(4):
        with pytest.raises(Invalid):
            choose_pin(arriving, "2222-2222", PIN)
    with pytest.raises(Invalid):
        enter_pin(arriving, PIN)
    with pytest.raises(RuleBroken):
        choose_pin(arriving, found.start_code, PIN)


def test_concurrent_wrong_pins_all_count(coach, app):
    found = invited(coach)
    choose_pin(redeem(found.card_code), found.start_code, PIN)
    arriving = redeem(found.card_code)
    answers = run_concurrently(app, 12, lambda _: enter_pin(arriving, "000000"))
    assert sum(isinstance(answer, Invalid) for answer in answers) == MAX_PIN_ATTEMPTS
    assert sum(isinstance(answer, RuleBroken) for answer in answers) == 12 - MAX_PIN_ATTEMPTS


def test_right_pin_resets_the_attempts(coach, app):
    found = invited(coach)
    choose_pin(redeem(found.card_code), found.start_code, PIN)
    arriving = redeem(found.card_code)
    for _ in range(4):
        with pytest.raises(Invalid):
            enter_pin(arriving, "000000")
    enter_pin(arriving, PIN)
    assert access_row(found.client_id).failed_pin_attempts == 0


def test_start_code_used_twice_at_once_works_once(coach, app):
    found = invited(coach)
    signing_in = [redeem(found.card_code), redeem(found.card_code)]
    db.session.rollback()
    answers = run_concurrently(
        app,
        2,
        lambda number: choose_pin(signing_in[number], found.start_code, f"48291{number}"),
    )
    assert sum(isinstance(answer, str) for answer in answers) == 1
    assert sum(isinstance(answer, Invalid) for answer in answers) == 1


def test_pin_is_stored_as_argon2id(coach, app):
    found = invited(coach)
    choose_pin(redeem(found.card_code), found.start_code, PIN)
    row = access_row(found.client_id)
    assert row.pin_hash.startswith("$argon2id$")
    assert row.start_code_hash is None


def test_pin_operations_by_staff_are_forbidden(coach, app):
    for call in (
        lambda: enter_pin(coach, PIN),
        lambda: choose_pin(coach, "2222", PIN),
    ):
        with pytest.raises(Forbidden):
            call()
