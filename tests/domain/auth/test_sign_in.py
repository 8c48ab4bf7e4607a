from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from caseapp.core.clock import at
from caseapp.core.transaction import transaction
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


def test_coach_can_sign_in_and_out(coach, visitor):
    answer = staff.sign_in(visitor, coach)
    assert (answer.status_code, answer.location) == (303, "/today")
    today = visitor.get("/today")
    assert today.status_code == 200
    assert visitor.get("/sign-in").location == "/today"
    answer = visitor.post("/sign-out", data={"csrf_token": staff.csrf(today)})
    assert (answer.status_code, answer.location) == (303, "/sign-in")
    assert answer.headers["Clear-Site-Data"] == '"cache"'
    assert visitor.get("/today").location == "/sign-in"


def test_cookie_is_refused_after_signing_out(coach, visitor):
    staff.sign_in(visitor, coach)
    token = staff.csrf(visitor.get("/today"))
    reference = visitor.get_cookie(DESK).value
    visitor.post("/sign-out", data={"csrf_token": token})
    visitor.set_cookie(DESK, reference, domain="localhost", secure=True)
    assert visitor.get("/today").status_code == 303


def test_signing_in_again_gives_a_new_token(coach, visitor):
    visitor.set_cookie(DESK, "planted-by-somebody-else", domain="localhost", secure=True)
    staff.sign_in(visitor, coach)
    assert visitor.get_cookie(DESK).value != "planted-by-somebody-else"


def test_answer_is_the_same_for_known_unknown_and_disabled_accounts(coach, visitor):
    staff.add("admin")
    with transaction():
        staff.disable("admin@practice.test")
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


def test_reached_limit_answers_the_same_with_retry_after(coach, visitor):
    answers = {}
    with at(NOON):
        for email in ("coach@practice.test", "nobod@practice.test"):
            for _ in range(5):
                assert attempt(visitor, email, "wrong").status_code == 401
            answers[email] = attempt(visitor, email)
    known, unknown = (plain(answer) for answer in answers.values())
    assert known[0] == unknown[0] == 429
    assert known[1] == unknown[1]
    assert int(known[1]["Retry-After"]) == 1
    assert "in one second" in known[2]
    assert known[2].replace("coach@", "") == unknown[2].replace("nobod@", "")


def test_sign_in_works_after_the_limit_has_passed(coach, visitor):
    with at(NOON):
        for _ in range(6):
            answer = attempt(visitor, password="wrong")
    assert answer.status_code == 429
    with at(NOON + timedelta(seconds=1)):
        assert attempt(visitor).status_code == 303


def test_new_browser_does_not_avoid_the_limit(coach, app):
    with at(NOON):
        answers = [attempt(app.test_client(), password="wrong").status_code for _ in range(6)]
    assert answers == [401] * 5 + [429]


def test_forged_forwarded_address_does_not_avoid_the_limit(coach, visitor):
    with at(NOON):
        answers = [
            attempt(
                visitor, password="wrong", headers={"X-Forwarded-For": f"192.0.2.{n}"}
            ).status_code
            for n in range(6)
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
def test_any_input_gets_an_answer(coach, visitor, changed):
    assert attempt(visitor, **changed).status_code in {401, 422}


def test_password_is_not_in_the_answer(coach, visitor):
    answer = attempt(visitor, password="a wrong password, long enough")
    assert "a wrong password" not in answer.get_data(as_text=True)
    answer = attempt(visitor, email="", password="a wrong password, long enough")
    assert answer.status_code == 422
    assert "a wrong password" not in answer.get_data(as_text=True)


def test_email_ignores_case_and_spaces(coach, visitor):
    assert attempt(visitor, " Coach@Practice.TEST ").status_code == 303
