import pytest

from caseapp.core.actor import operator
from caseapp.core.transaction import transaction
from caseapp.domain.auth.operations import create_token, disable_user, revoke_token
from tests.api.api_client import BASE, assert_error, assert_only_answers
from tests.support import staff as people


def test_me(staff):
    for who, program in staff.items():
        found = program.get("/me").get_json()
        assert (found["id"], found["name"]) == (str(program.actor.id), program.actor.name)
        assert found["role"] == who.rstrip("2")
        assert ("report.export" in found["may"]) == (who == "admin")
        assert ("hold.release" in found["may"]) == (who == "supervisor")
    assert_only_answers(staff["coach"], "/me", "GET")


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Bearer wrong", "Basic dTpw", "Bearer a b", "\xe9"]
)
def test_no_token_no_answer(app, header):
    headers = {} if header is None else {"Authorization": header}
    answer = app.test_client().get(f"{BASE}/me", headers=headers)
    assert_error(answer, 401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_revoked_token_and_a_disabled_person_are_out_at_once(staff):
    coach, email = staff["coach"], "coach@practice.test"
    with transaction():
        token_id, text = create_token(operator(), email, "second")
    second = {"Authorization": f"Bearer {text}"}
    assert coach.client.get(f"{BASE}/me", headers=second).status_code == 200
    with transaction():
        revoke_token(operator(), token_id)
    assert_error(coach.client.get(f"{BASE}/me", headers=second), 401)
    assert coach.get("/me").status_code == 200
    with transaction():
        disable_user(operator(), email)
    assert_error(coach.get("/me"), 401)


def test_a_staff_cookie_opens_nothing_here(app, staff):
    browser = app.test_client()
    assert people.sign_in(browser, staff["coach"].actor).status_code == 303
    assert_error(browser.get(f"{BASE}/me"), 401)


def test_stages(staff):
    items = staff["admin"].get("/stages").get_json()["items"]
    assert [stage["id"] for stage in items][::6] == ["steady", "close"]
    assert [stage["number"] for stage in items] == list(range(1, 8))
    checks = {c["check"] for stage in items for c in (*stage["entry"], *stage["exit"])}
    assert {"", "two_steady_screenings"} <= checks
    assert_only_answers(staff["coach"], "/stages", "GET")


def test_an_address_that_is_none(staff):
    assert_error(staff["coach"].get("/nowhere"), 404, "not_found")
    assert_error(staff["coach"].client.get("/api/v2/me"), 404, "not_found")
