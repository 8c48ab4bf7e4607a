from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from caseapp.core.actor import operator
from caseapp.core.clock import at
from caseapp.core.transaction import transaction
from caseapp.domain.users.operations import disable_user
from tests.support import staff

pytestmark = pytest.mark.both

DESK = "__Host-desk"
NOON = datetime(2026, 5, 14, 12, tzinfo=UTC)


@pytest.fixture
def coach(app):
    return staff.add("coach")


def attempt(visitor, email="coach@practice.test", password=staff.PASSWORD, **kwargs):
    token = staff.csrf(visitor.get("/sign-in"))
    return visitor.post(
        "/sign-in", data={"csrf_token": token, "email": email, "password": password}, **kwargs
    )


def plain(answer):
    """Give what a stranger can tell apart: status, headers and body without what is random."""
    headers = {k: v for k, v in answer.headers.items() if k not in {"X-Request-Id", "Set-Cookie"}}
    body = re.sub(r'(csrf_token" value=")[^"]+', r"\1", answer.get_data(as_text=True))
    return answer.status_code, headers, body


def test_a_coach_signs_in_and_out(coach, visitor):
    token = staff.csrf(visitor.get("/sign-in"))
    answer = staff.sign_in(visitor, coach)
    assert (answer.status_code, answer.location) == (303, "/today")
    assert visitor.get("/today").status_code == 200
    assert visitor.get("/sign-in").location == "/today"
    answer = visitor.post("/sign-out", data={"csrf_token": token})
    assert (answer.status_code, answer.location) == (303, "/sign-in")
    assert answer.headers["Clear-Site-Data"] == '"cache"'
    assert visitor.get("/today").location == "/sign-in"


def test_an_old_cookie_is_worth_nothing_after_signing_out(coach, visitor):
    token = staff.csrf(visitor.get("/sign-in"))
    staff.sign_in(visitor, coach)
    reference = visitor.get_cookie(DESK).value
    visitor.post("/sign-out", data={"csrf_token": token})
    visitor.set_cookie(DESK, reference, domain="localhost", secure=True)
    assert visitor.get("/today").status_code == 303


def test_signing_in_again_gives_a_new_reference(coach, visitor):
    visitor.set_cookie(DESK, "planted-by-somebody-else", domain="localhost", secure=True)
    staff.sign_in(visitor, coach)
    assert visitor.get_cookie(DESK).value != "planted-by-somebody-else"


def test_nobody_can_tell_a_known_account_from_an_unknown_or_disabled_one(coach, visitor):
    staff.add("admin")
    with transaction():
        disable_user(operator(), "admin@practice.test")
    answers = [
        plain(attempt(visitor, "coach@practice.test", "a wrong password, long enough")),
        plain(attempt(visitor, "nobod@practice.test", "a wrong password, long enough")),
        plain(attempt(visitor, "admin@practice.test")),
    ]
    answers = [
        (status, headers, re.sub(r"\w+@practice\.test", "", body))
        for status, headers, body in answers
    ]
    assert answers[0][0] == 401
    assert answers[0] == answers[1] == answers[2]


def test_a_closed_throttle_looks_the_same_for_both_and_says_when_to_come_back(coach, visitor):
    answers = {}
    with at(NOON):
        for email in ("coach@practice.test", "nobod@practice.test"):
            for _ in range(8):
                assert attempt(visitor, email, "wrong").status_code == 401
            answers[email] = attempt(visitor, email)
    known, unknown = (plain(answer) for answer in answers.values())
    assert known[0] == unknown[0] == 429
    assert known[1] == unknown[1]
    assert int(known[1]["Retry-After"]) == 15 * 60 + 1
    assert known[2].replace("coach@", "") == unknown[2].replace("nobod@", "")


def test_the_throttle_opens_again(coach, visitor):
    with at(NOON):
        for _ in range(9):
            answer = attempt(visitor, password="wrong")
    assert answer.status_code == 429
    with at(NOON + timedelta(minutes=15, seconds=1)):
        assert attempt(visitor).status_code == 303


def test_a_new_browser_is_no_way_around_the_throttle(coach, app):
    with at(NOON):
        answers = [attempt(app.test_client(), password="wrong").status_code for _ in range(9)]
    assert answers == [401] * 8 + [429]


def test_an_address_of_ones_own_choosing_is_no_way_around_either(coach, visitor):
    with at(NOON):
        answers = [
            attempt(
                visitor, password="wrong", headers={"X-Forwarded-For": f"192.0.2.{n}"}
            ).status_code
            for n in range(9)
        ]
    assert answers[-1] == 429


@pytest.mark.parametrize(
    "changed",
    [
        {"email": ""},
        {"password": ""},
        {"email": "x" * 255},
        {"password": "x" * 1001},
        {"email": "coach@practice.test\x00"},
        {"password": "\x00" * 20},
    ],
)
def test_whatever_is_typed_is_answered(coach, visitor, changed):
    assert attempt(visitor, **changed).status_code in {401, 422}


def test_the_password_never_comes_back_in_the_page(coach, visitor):
    answer = attempt(visitor, password="a wrong password, long enough")
    assert "a wrong password" not in answer.get_data(as_text=True)
    answer = attempt(visitor, email="", password="a wrong password, long enough")
    assert answer.status_code == 422
    assert "a wrong password" not in answer.get_data(as_text=True)


def test_the_email_is_read_without_case_and_blanks(coach, visitor):
    assert attempt(visitor, " Coach@Practice.TEST ").status_code == 303
