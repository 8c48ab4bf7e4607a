"""The PIN: chosen with the start code, asked for after every link; after five wrong ones the next ones wait."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from caseapp.cli.setup import seal_access_hashes
from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.errors import Forbidden, Invalid, RuleBroken, TooManyAttempts
from caseapp.core.permissions import Action, Role
from caseapp.core.tokens import normalize_code
from caseapp.core.transaction import transaction
from caseapp.core.vault import SealBroken
from caseapp.domain.audit.security_events import get_wrong_pins
from caseapp.domain.auth import portal_access
from caseapp.domain.auth.credentials import hash_secret, stretch_pin, verify_secret
from caseapp.domain.auth.devices import NO_DEVICE
from caseapp.domain.auth.models import PortalAccess
from caseapp.domain.auth.queries import find_client_session, get_sign_in_step
from caseapp.domain.auth.rules import SignInStep
from caseapp.domain.keys.queries import load_ring
from tests.domain.clients.portal_visitor import (
    HOME,
    access_row,
    choose_pin,
    come_in,
    enter_pin,
    redeem,
)
from tests.support import ring
from tests.support.concurrency import run_concurrently
from tests.support.portal_client import PIN, invited, new_codes

NOON = datetime(2026, 5, 14, 12, tzinfo=UTC)


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


def test_start_code_can_be_used_for_14_days(coach, app):
    found, late, start = invited(coach), invited(coach, "Jonas Weber"), now()
    with at(start + timedelta(days=13, hours=23)):
        assert choose_pin(redeem(found.card_code), found.start_code, PIN)
    with at(start + timedelta(days=14, minutes=5)):
        arriving = redeem(late.card_code)
        with pytest.raises(Invalid) as refused:
            choose_pin(arriving, late.start_code, PIN)
    assert refused.value.fields == {"start_code": [portal_access.CODE_OVER]}


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
    for _ in range(4):
        assert try_pin(arriving) is Invalid
    assert choose_pin(arriving, found.start_code, PIN)


def test_five_wrong_pins_are_free_and_the_next_ones_wait_longer_and_longer(coach, app):
    found = invited(coach)
    moment, tried, told = NOON, 0, []
    with at(moment):
        choose_pin(redeem(found.card_code), found.start_code, PIN)
        arriving = redeem(found.card_code)
    while moment < NOON + timedelta(days=1):
        with at(moment):
            try:
                enter_pin(arriving, "000000")
            except Invalid as wrong:
                tried += 1
                told.append(wrong.fields["pin"][0])
            except TooManyAttempts as refused:
                moment += timedelta(seconds=refused.retry_after)
    assert tried == 9
    assert told[:4] == ["That isn’t right."] * 4
    assert [text.rpartition(" again in ")[2] for text in told[4:]] == [
        "60 seconds.", "2 minutes.", "4 minutes.", "8 minutes.", "24 hours.",
    ]  # fmt: skip
    with at(moment):
        assert enter_pin(arriving, PIN)
    with at(NOON):
        assert get_wrong_pins(found.client_id).times == 9


def test_known_device_and_new_invitation_are_not_held_up(coach, app):
    found = invited(coach)
    device = NO_DEVICE.remembering(found.client_id.hex)
    with at(NOON):
        choose_pin(redeem(found.card_code), found.start_code, PIN)
        arriving, at_home = redeem(found.card_code), redeem(found.card_code)
        assert [try_pin(arriving) for _ in range(6)] == [Invalid] * 5 + [TooManyAttempts]
        with pytest.raises(TooManyAttempts):
            enter_pin(arriving, PIN)
        assert try_pin(at_home, device) is Invalid
        assert enter_pin(at_home, PIN, device)
        with pytest.raises(TooManyAttempts):
            enter_pin(arriving, PIN)
    with at(NOON + timedelta(minutes=1)):
        again = new_codes(coach, found.client_id)
        assert choose_pin(redeem(again.card_code), again.start_code, PIN)


def test_new_invitation_is_not_held_up_on_the_device_that_used_up_its_tries(coach, app):
    found = invited(coach)
    device = NO_DEVICE.remembering(found.client_id.hex)
    with at(NOON):
        choose_pin(redeem(found.card_code), found.start_code, PIN, device)
        arriving = redeem(found.card_code)
        assert [try_pin(arriving, device) for _ in range(6)] == [Invalid] * 5 + [TooManyAttempts]
    with at(NOON + timedelta(seconds=1)):
        again = new_codes(coach, found.client_id)
        assert choose_pin(redeem(again.card_code), again.start_code, PIN, device)


def try_pin(actor, device=NO_DEVICE):
    """Enter a wrong PIN; return what it is refused as."""
    with pytest.raises((Invalid, TooManyAttempts)) as refused:
        enter_pin(actor, "000000", device)
    return refused.type


def test_wrong_start_codes_and_pins_share_the_five_attempts(coach, app):
    found = invited(coach)
    with at(NOON):
        arriving = redeem(found.card_code)
        for _ in range(4):
            with pytest.raises(Invalid):
                choose_pin(arriving, "2222-2222", PIN)
        with pytest.raises(Invalid):
            enter_pin(arriving, PIN)
        with pytest.raises(TooManyAttempts):
            choose_pin(arriving, found.start_code, PIN)


@pytest.mark.both
@pytest.mark.slow
def test_concurrent_wrong_pins_all_count(coach, app):
    found = invited(coach)
    with at(NOON):
        choose_pin(redeem(found.card_code), found.start_code, PIN)
        arriving = redeem(found.card_code)
        answers = run_concurrently(app, 12, lambda _: enter_pin(arriving, "000000"))
    assert sum(isinstance(answer, Invalid) for answer in answers) == 5
    assert sum(isinstance(answer, TooManyAttempts) for answer in answers) == 7


def test_right_pin_resets_the_waits_but_not_what_a_stranger_has_of_the_day(coach, app):
    found = invited(coach)
    with at(NOON):
        choose_pin(redeem(found.card_code), found.start_code, PIN)
        for _ in range(2):
            arriving = redeem(found.card_code)
            for _ in range(4):
                assert try_pin(arriving) is Invalid
            enter_pin(arriving, PIN)
        arriving = redeem(found.card_code)
        assert [try_pin(arriving) for _ in range(2)] == [Invalid, TooManyAttempts]


@pytest.mark.both
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


def test_copy_of_the_database_without_the_keys_is_no_good_for_guessing(coach, app):
    found, other = invited(coach), invited(coach, "Jonas Weber")
    start_code = normalize_code(found.start_code)
    stored = {start_code: access_row(found.client_id).start_code_hash}
    choose_pin(redeem(found.card_code), found.start_code, PIN)
    row = access_row(found.client_id)
    stored[PIN] = row.pin_hash
    assert row.start_code_hash is None
    for secret, kept in stored.items():
        salt, _, sealed = kept.rpartition("$")
        assert salt.startswith("$argon2id$")
        assert not verify_secret(kept, secret)
        result = stretch_pin(secret, salt).secret
        assert result not in base64.urlsafe_b64decode(sealed.partition(".")[2] + "==")
        assert base64.b64encode(result).rstrip(b"=").decode() not in kept
    # What is known for one client opens nothing of another one.
    store(other.client_id, pin_hash=stored[PIN])
    with pytest.raises(SealBroken):
        enter_pin(redeem(other.card_code), PIN)


def store(client_id, **values):
    with transaction() as session:
        session.execute(
            sa.update(PortalAccess).where(PortalAccess.client_id == client_id).values(values)
        )


@pytest.mark.slow
def test_hashes_of_a_release_before_and_of_an_earlier_key_are_sealed_without_anybodys_help(
    coach, app
):
    found, new = invited(coach), invited(coach, "Jonas Weber")
    choose_pin(redeem(found.card_code), found.start_code, PIN)
    store(found.client_id, pin_hash=hash_secret(PIN))
    assert enter_pin(redeem(found.card_code), PIN)
    assert "$1." in access_row(found.client_id).pin_hash
    store(found.client_id, pin_hash=hash_secret(PIN))
    store(new.client_id, start_code_hash=hash_secret(normalize_code(new.start_code)))
    seal_access_hashes()
    assert "$1." in access_row(found.client_id).pin_hash
    assert "$1." in access_row(new.client_id).start_code_hash
    ring.add_key("credentials", 2)
    load_ring()
    seal_access_hashes()
    assert "$2." in access_row(found.client_id).pin_hash
    assert enter_pin(redeem(found.card_code), PIN)
    assert choose_pin(redeem(new.card_code), new.start_code, PIN)


def test_pin_operations_by_staff_are_forbidden(coach, app):
    for call in (
        lambda: enter_pin(coach, PIN),
        lambda: choose_pin(coach, "2222", PIN),
    ):
        with pytest.raises(Forbidden):
            call()
