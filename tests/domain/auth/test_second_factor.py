"""The second factor: right codes once, wrong ones counted, recovery codes, and who may remove it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pyotp
import pytest
import sqlalchemy as sa

from caseapp.core.actor import operator
from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.errors import Forbidden, Invalid, RuleBroken, TooManyAttempts, Unauthenticated
from caseapp.core.sessions import Assurance, Session
from caseapp.core.tokens import hash_token
from caseapp.core.transaction import transaction
from caseapp.domain.audit.models import AuditEvent
from caseapp.domain.auth import second_factor
from caseapp.domain.auth.models import Credential
from caseapp.domain.auth.operations import create_token
from caseapp.domain.auth.passwords import check_password, set_password
from caseapp.domain.auth.queries import (
    find_staff_session,
    find_token,
    find_waiting_person,
)
from caseapp.domain.auth.schemas import SignIn
from caseapp.domain.auth.second_factor import (
    check_code,
    count_recovery_codes,
    find_removal_date,
    find_step,
    has_second_factor,
    make_recovery_codes,
    remove_app,
    remove_second_factor_of,
    send_removal_mail,
    set_up,
    show_code,
)
from caseapp.domain.practice.models import Practice
from tests.support import staff
from tests.support.concurrency import run_concurrently

HALF_A_MINUTE = timedelta(seconds=30)
HERE = "192.0.2.1"


@pytest.fixture
def coach(app):
    return staff.add("coach")


def enter():
    checked = check_password(SignIn("coach@practice.test", staff.PASSWORD), HERE)
    with transaction():
        return second_factor.sign_in_with_password(checked)


def waiting():
    found = find_waiting_person(enter())
    db.session.rollback()
    return found


def show(actor, code):
    checked = check_code(actor, code)
    with transaction():
        return show_code(checked)


@pytest.mark.parametrize(
    ("seconds", "code"),
    [(1111111109, "081804"), (1234567890, "005924"), (2000000000, "279037")],
)
def test_codes_are_those_of_the_standard(seconds, code):
    """RFC 6238, appendix B, SHA-1, the last six of eight digits."""
    secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    moment = datetime.fromtimestamp(seconds, UTC)
    step = seconds // 30
    assert find_step(secret, code, moment) == step
    assert find_step(secret, f"{code[:3]} {code[3:]}", moment) == step
    for off in (-1, 1):
        assert find_step(secret, code, moment + off * HALF_A_MINUTE) == step
    for off in (-2, 2):
        assert find_step(secret, code, moment + off * HALF_A_MINUTE) is None
    for wrong in ("", "000000", code[:5], f"{code}0", "abcdef"):
        assert find_step(secret, wrong, moment) is None


def test_sign_in_waits_for_a_code_and_opens_nothing_before(coach):
    staff.set_up_app(coach)
    with at(now() + HALF_A_MINUTE):
        reference = enter()
        assert find_staff_session(reference) is None
        actor = find_waiting_person(reference)
        assert actor.id == coach.id
        renewed = show(actor, staff.code())
        assert find_staff_session(renewed).actor.id == coach.id
        assert find_staff_session(reference) is None
        assert find_waiting_person(renewed) is None


def test_sign_in_without_a_second_factor_is_complete(coach):
    assert find_staff_session(enter())


def test_wait_ends_after_ten_minutes(coach):
    staff.set_up_app(coach)
    reference, start = enter(), now()
    with at(start + timedelta(minutes=10, seconds=1)):
        assert find_waiting_person(reference) is None


def test_code_is_accepted_once(coach):
    staff.set_up_app(coach)
    with pytest.raises(Invalid):
        check_code(waiting(), staff.code())
    with at(now() + HALF_A_MINUTE):
        code = staff.code()
        assert show(waiting(), code)
        with pytest.raises(Invalid):
            show(waiting(), code)
        with pytest.raises(Invalid):
            show(waiting(), pyotp.TOTP(staff.APP_SECRET).at(now() - HALF_A_MINUTE))


@pytest.mark.both
@pytest.mark.parametrize("kind", ["app", "recovery"])
def test_code_shown_many_times_at_once_is_accepted_once(coach, app, kind):
    codes = staff.set_up_app(coach)
    with at(now() + HALF_A_MINUTE):
        code = staff.code() if kind == "app" else codes[0]
        checked = [check_code(waiting(), code) for _ in range(6)]
        db.session.rollback()

        def accept(number):
            try:
                with transaction():
                    show_code(checked[number])
            except Unauthenticated:
                return "refused"
            return "accepted"

        assert sorted(run_concurrently(app, 6, accept)) == ["accepted"] + ["refused"] * 5


def test_recovery_codes_are_ten_and_each_works_once(coach):
    codes = staff.set_up_app(coach)
    assert len(set(codes)) == 10
    assert count_recovery_codes(coach.id) == 10
    stored = str(db.session.execute(sa.select(Credential.__table__)).all())
    assert not any(code in stored for code in codes)
    assert show(waiting(), codes[3].lower().replace("-", " "))
    assert count_recovery_codes(coach.id) == 9
    with pytest.raises(Invalid):
        check_code(waiting(), codes[3])
    assert show(waiting(), codes[4])


def test_new_recovery_codes_end_the_old_ones(coach):
    old = staff.set_up_app(coach)
    with transaction():
        new = make_recovery_codes(coach)
    with pytest.raises(Invalid):
        check_code(waiting(), old[0])
    assert show(waiting(), new[0])


def test_recovery_codes_need_an_app(coach):
    with pytest.raises(Invalid), transaction():
        make_recovery_codes(coach)


def test_wrong_codes_are_counted_wherever_they_come_from(coach):
    """The count belongs to the person, whose next sign-in goes on with it (VULN-24)."""
    codes = staff.set_up_app(coach)
    actor = waiting()
    with at(now()):
        for _ in range(10):
            with pytest.raises(Invalid):
                check_code(actor, "000000")
        with pytest.raises(TooManyAttempts):
            check_code(actor, codes[0])
    with at(now() + timedelta(minutes=15, seconds=1)):
        assert check_code(actor, codes[0])


def test_new_password_ends_the_wait_that_somebody_with_the_old_one_has_caused(coach):
    codes = staff.set_up_app(coach)
    actor = waiting()
    with at(now()):
        for _ in range(10):
            with pytest.raises(Invalid):
                check_code(actor, "000000")
        with transaction():
            set_password(coach.id, "three quiet herons 41")
        assert check_code(actor, codes[0])


def test_set_up_needs_a_code_of_that_app_and_ends_other_sessions(coach):
    own, other = enter(), enter()
    actor = find_staff_session(own).actor
    with pytest.raises(Invalid) as refused, transaction():
        set_up(actor, staff.APP_SECRET, "000000")
    assert [*refused.value.fields] == ["factor_code"]
    assert not has_second_factor(coach.id)
    staff.set_up_app(actor)
    assert find_staff_session(own)
    assert find_staff_session(other) is None
    assert level_of(own) == Assurance.TWO_FACTORS


def level_of(reference):
    secret = Session.secret_hash == hash_token(reference)
    return db.session.scalar(sa.select(Session.assurance_level).where(secret))


def test_level_tells_how_somebody_has_shown_who_they_are(coach):
    assert level_of(enter()) == Assurance.ONE_FACTOR
    staff.set_up_app(coach)
    waits = enter()
    assert level_of(waits) == Assurance.WAITS
    with at(now() + HALF_A_MINUTE):
        renewed = show(find_waiting_person(waits), staff.code())
        assert level_of(renewed) == Assurance.TWO_FACTORS
        with transaction():
            remove_app(find_staff_session(renewed).actor)
        assert level_of(renewed) == Assurance.ONE_FACTOR


@pytest.mark.both
def test_sign_in_while_an_app_is_set_up_leaves_no_session_of_one_factor(coach, app):
    checked = check_password(SignIn("coach@practice.test", staff.PASSWORD), HERE)
    secret, code = staff.APP_SECRET, staff.code()
    db.session.rollback()

    def act(number):
        with transaction():
            if number:
                second_factor.set_up(coach, secret, code)
            else:
                second_factor.sign_in_with_password(checked)

    run_concurrently(app, 2, act)
    live = sa.select(Session.assurance_level).where(Session.ended_at.is_(None))
    assert set(db.session.scalars(live)) <= {Assurance.WAITS}


def test_another_app_takes_the_place_of_the_one_before(coach):
    staff.set_up_app(coach)
    other = second_factor.new_secret()
    with transaction():
        set_up(coach, other, pyotp.TOTP(other).at(now()))
    with at(now() + HALF_A_MINUTE):
        with pytest.raises(Invalid):
            check_code(waiting(), staff.code())
        assert show(waiting(), pyotp.TOTP(other).at(now()))


def test_own_second_factor_is_removed_unless_the_practice_requires_it(coach):
    staff.set_up_app(coach)
    with transaction():
        db.session.execute(sa.update(Practice).values(second_factor_roles=["coach"]))
    with pytest.raises(RuleBroken), transaction():
        remove_app(coach)
    with transaction():
        db.session.execute(sa.update(Practice).values(second_factor_roles=["admin"]))
    with transaction():
        remove_app(coach)
    assert not has_second_factor(coach.id)
    assert find_staff_session(enter())
    left = sa.select(Credential.secret).where(Credential.kind != "password")
    assert set(db.session.scalars(left)) == {None}


def test_only_an_admin_removes_that_of_somebody_else_who_is_told(coach, monkeypatch):
    staff.set_up_app(coach)
    supervisor = staff.add("supervisor")
    with pytest.raises(Forbidden), transaction():
        remove_second_factor_of(supervisor, coach.id, "lost")
    reference = enter()
    assert find_removal_date(coach.id) is None
    with transaction():
        _, token = create_token(operator(), "coach@practice.test", "laptop")
        remove_second_factor_of(operator(), coach.id, "lost")
    assert find_waiting_person(reference) is None
    assert find_token(token) is None
    assert find_staff_session(enter())
    assert find_removal_date(coach.id)
    with pytest.raises(Invalid), transaction():
        remove_second_factor_of(operator(), coach.id, "lost")
    details = [*db.session.scalars(sa.select(AuditEvent.details))]
    assert details.count({"factor": "removed", "reason": "lost"}) == 1
    db.session.rollback()
    sent: list[Any] = []
    monkeypatch.setattr("caseapp.core.mail.send", sent.append)
    assert send_removal_mail(coach.id)
    assert [message.to for message in sent] == ["coach@practice.test"]


def test_log_names_no_secret(coach):
    codes = staff.set_up_app(coach)
    with at(now() + HALF_A_MINUTE):
        show(waiting(), staff.code())
    details = [*db.session.scalars(sa.select(AuditEvent.details))]
    assert {"app": "set_up"} in details
    assert {"awaits": "code"} in details
    assert {"code": True} in details
    assert staff.APP_SECRET not in str(details)
    assert not any(code in str(details) for code in codes)
