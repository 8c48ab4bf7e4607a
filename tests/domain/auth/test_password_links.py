"""Links and codes for choosing a password: used once, for a while, told to the owner, the same for every address."""

from __future__ import annotations

import re
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa

from caseapp.core import outbox
from caseapp.core.actor import operator
from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.errors import Invalid, RuleBroken, TooManyAttempts, Unauthenticated
from caseapp.core.transaction import transaction
from caseapp.domain.audit.models import AuditEvent
from caseapp.domain.auth import password_links
from caseapp.domain.auth.models import Credential
from caseapp.domain.auth.operations import create_token
from caseapp.domain.auth.password_links import (
    check_link,
    choose_password,
    count_reset_request,
    find_reset_date,
    invite_again,
    make_reset_code,
    request_reset,
)
from caseapp.domain.auth.passwords import (
    change_password,
    check_change,
    check_password,
    set_password,
)
from caseapp.domain.auth.queries import find_staff_session, find_token
from caseapp.domain.auth.schemas import PasswordChange, SignIn
from caseapp.domain.auth.second_factor import has_second_factor, sign_in_with_password
from caseapp.domain.staffing.operations import disable_member
from caseapp.domain.staffing.queries import lock_member
from tests.support import staff
from tests.support.concurrency import run_concurrently

pytestmark = pytest.mark.both

NEW = "another good pass phrase"
HERE = "192.0.2.1"


@pytest.fixture
def coach(app):
    return staff.add("coach")


@pytest.fixture
def sent(monkeypatch):
    found: list[Any] = []
    monkeypatch.setattr("caseapp.core.mail.send", found.append)
    return found


def make_code(person):
    with transaction():
        return make_reset_code(operator(), person.id, "forgotten")


def ask(email="coach@practice.test"):
    with transaction():
        request_reset(email)
    for _ in range(2):
        outbox.sweep()


def find_link(message):
    return re.findall(r"/sign-in/password/([\w-]+)", message.body)[0]


def redeem(secret, password=NEW):
    checked = check_link(secret, password, HERE)
    with transaction():
        choose_password(checked)


def is_refused(secret):
    try:
        redeem(secret)
    except Unauthenticated:
        return True
    return False


def test_code_works_once_ends_sessions_and_tokens_keeps_the_factor_and_tells_the_owner(coach, sent):
    checked = check_password(SignIn("coach@practice.test", staff.PASSWORD), HERE)
    with transaction():
        session = sign_in_with_password(checked)
        _, token = create_token(operator(), "coach@practice.test", "laptop")
    code = make_code(coach)
    assert find_staff_session(session)
    assert find_token(token)
    with pytest.raises(Invalid) as refused:
        redeem(code, "too short")
    assert refused.value.fields.keys() == {"new_password"}
    staff.set_up_app(coach)
    code = make_code(coach)
    redeem(code.lower().replace("-", " "))
    assert find_staff_session(session) is None
    assert find_token(token) is None
    assert has_second_factor(coach.id)
    assert find_reset_date(coach.id)
    assert is_refused(code)
    assert check_password(SignIn("coach@practice.test", NEW), HERE)
    outbox.sweep()
    assert [message.to for message in sent] == ["coach@practice.test"]
    stored = str(db.session.execute(sa.select(Credential.__table__)).all())
    logged = str([*db.session.scalars(sa.select(AuditEvent.details))])
    assert "chosen" in logged
    assert "reset_code" in logged
    assert code not in stored + logged


def test_code_entered_many_times_at_once_sets_one_password(coach, app):
    checked = check_link(make_code(coach), NEW, HERE)
    db.session.rollback()

    def choose(_number):
        try:
            with transaction():
                choose_password(checked)
        except Unauthenticated:
            return "refused"
        return "chosen"

    assert sorted(run_concurrently(app, 6, choose)) == ["chosen"] + ["refused"] * 5


@pytest.mark.parametrize("other", ["link", "change"])
def test_code_and_another_way_to_change_the_password_at_once_set_one_password(
    coach, sent, app, other
):
    ask()
    code = check_link(make_code(coach), NEW, HERE)
    if other == "link":
        second = partial(choose_password, check_link(find_link(sent[0]), NEW, HERE))
    else:
        change = PasswordChange(staff.PASSWORD, NEW)
        second = partial(change_password, check_change(coach, change))
    db.session.rollback()
    ways = [partial(choose_password, code), second]

    def choose(number):
        try:
            with transaction():
                ways[number % 2]()
        except Unauthenticated:
            return "refused"
        return "chosen"

    assert sorted(run_concurrently(app, 6, choose)) == ["chosen"] + ["refused"] * 5


@pytest.mark.parametrize("how", ["late", "replaced", "password", "disabled"])
def test_code_ends_with_its_time_another_one_a_new_password_or_the_account(coach, how):
    code, moment = make_code(coach), now()
    if how == "late":
        moment += timedelta(minutes=60)
    elif how == "replaced":
        make_code(coach)
    else:
        with transaction():
            if how == "password":
                set_password(coach.id, staff.PASSWORD)
            else:
                disable_member(operator(), lock_member(coach.id), None)
    with at(moment):
        assert is_refused(code)


def test_forgotten_password_is_the_same_for_every_address_and_mails_only_its_owner(coach, sent):
    ask("nobody@practice.test")
    assert sent == []
    ask()
    ask()
    old, new = map(find_link, sent)
    assert {message.to for message in sent} == {"coach@practice.test"}
    assert is_refused(old)
    redeem(new)
    assert is_refused(new)
    rows = db.session.scalars(
        sa.select(outbox.OutboxRow.payload).where(
            outbox.OutboxRow.kind == password_links.FORGOTTEN_MAIL
        )
    ).all()
    assert {frozenset(row) for row in rows} == {frozenset({"email", "until"})}
    assert "practice.test" not in str(rows)


def test_request_that_waited_too_long_and_a_link_that_ended_mail_nothing(coach, sent):
    with transaction():
        request_reset("coach@practice.test")
    with at(now() + timedelta(minutes=61)):
        outbox.sweep()
    with transaction():
        request_reset("coach@practice.test")
    outbox.sweep(kind=password_links.FORGOTTEN_MAIL)
    with transaction():
        set_password(coach.id, NEW)
    outbox.sweep()
    assert sent == []


def test_requests_and_wrong_codes_from_one_network_have_to_wait(coach):
    for _ in range(4):
        count_reset_request("coach@practice.test", HERE)
    with pytest.raises(TooManyAttempts):
        count_reset_request("coach@practice.test", HERE)
    code = make_code(coach)
    for _ in range(5):
        assert is_refused("2222-2222-2222-2222")
    with pytest.raises(TooManyAttempts):
        is_refused("2222-2222-2222-2222")
    redeem(code)


def test_invitation_goes_only_to_who_has_no_password_and_a_code_only_to_who_has(coach):
    admin = staff.add("admin")
    with pytest.raises(RuleBroken), transaction():
        invite_again(admin, coach.id, by_mail=False)
    with pytest.raises(RuleBroken), transaction():
        make_reset_code(admin, admin.id, "forgotten")
    with transaction():
        staff.disable("coach@practice.test")
    for change in (
        lambda: invite_again(admin, coach.id, by_mail=False),
        lambda: make_reset_code(admin, coach.id, "known"),
    ):
        with pytest.raises(RuleBroken), transaction():
            change()
