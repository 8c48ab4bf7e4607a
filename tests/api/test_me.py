from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from caseapp.core.actor import operator
from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.permissions import SCOPES
from caseapp.core.settings import active as active_settings
from caseapp.core.settings import use as use_settings
from caseapp.core.transaction import transaction
from caseapp.domain.auth.identities import Vouched, find_identity, link_identity
from caseapp.domain.auth.models import Token
from caseapp.domain.auth.operations import TOKEN_DAYS, create_token, revoke_token
from caseapp.domain.practice.models import Practice
from tests.api.api_client import BASE, assert_error, assert_only_answers, assert_refuses
from tests.support import staff as people


def test_get_me_returns_owner_and_actions(staff):
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
def test_missing_or_unknown_token_is_unauthenticated(app, header):
    headers = {} if header is None else {"Authorization": header}
    answer = app.test_client().get(f"{BASE}/me", headers=headers)
    assert_error(answer, 401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_revoked_token_and_disabled_owner_are_refused(staff):
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
        people.disable(email)
    assert_error(coach.get("/me"), 401)


def test_staff_cookie_is_refused(app, staff):
    browser = app.test_client()
    assert people.sign_in(browser, staff["coach"].actor).status_code == 303
    assert_error(browser.get(f"{BASE}/me"), 401)


def test_list_stages_returns_seven_with_criteria(staff):
    items = staff["admin"].get("/stages").get_json()["items"]
    assert [stage["id"] for stage in items][::6] == ["steady", "close"]
    assert [stage["number"] for stage in items] == list(range(1, 8))
    checks = {c["check"] for stage in items for c in (*stage["entry"], *stage["exit"])}
    assert {"", "two_steady_screenings"} <= checks
    assert_only_answers(staff["coach"], "/stages", "GET")


def test_unknown_address_is_not_found(staff):
    assert_error(staff["coach"].get("/nowhere"), 404, "not_found")
    assert_error(staff["coach"].client.get("/api/v2/me"), 404, "not_found")


NEW = {"password": people.PASSWORD, "new_password": "another good pass phrase"}


def test_change_of_password_ends_sessions_and_tokens(app, staff):
    coach = staff["coach"]
    browser = app.test_client()
    people.sign_in(browser, coach.actor)
    wrong = [(name, NEW | {name: "qwertyuiopasdfgh"}) for name in NEW]
    assert_refuses(coach, "POST", "/me/password", wrong)
    assert coach.get("/me").status_code == 200
    assert coach.post("/me/password", NEW).get_json()["id"] == str(coach.actor.id)
    assert_error(coach.get("/me"), 401)
    assert browser.get("/account").location == "/sign-in"
    assert staff["coach2"].get("/me").status_code == 200


def test_language_of_ones_own_mail_is_set(staff):
    coach, admin = staff["coach"], staff["admin"]
    assert coach.get("/me").get_json()["language"] is None
    assert_refuses(coach, "POST", "/me/language", [("language", {"language": "de"})])
    assert coach.post("/me/language", {"language": "es"}).get_json()["language"] == "es"
    person = admin.get(f"/people/{coach.actor.id}")
    assert person.get_json()["language"] == "es"


def test_wrong_passwords_are_counted(staff):
    wrong = NEW | {"password": "wrong"}
    with at(now()):
        codes = [staff["coach"].post("/me/password", wrong).status_code for _ in range(12)]
    assert codes == [422] * 10 + [429] * 2


def test_own_sessions_are_listed_and_ended(app, staff):
    coach = staff["coach"]
    browser = app.test_client()
    people.sign_in(browser, coach.actor)
    [found] = coach.get("/me/sessions").get_json()["items"]
    assert found["ended_at"] is None
    address = f"/me/sessions/{found['id']}/end"
    assert_error(staff["coach2"].post(address, {}), 404)
    assert coach.post(address, {}).get_json()["ended_at"]
    assert browser.get("/account").location == "/sign-in"
    assert_error(coach.post(address, {}), 404)
    assert coach.get("/me/sessions").get_json()["items"] == []


def test_own_identity_is_shown_and_unlinked(app, staff):
    coach = staff["coach"]
    assert coach.get("/me/identity").get_json() == {"identity": None}
    assert_error(coach.post("/me/identity/unlink", {}), 404)
    with transaction():
        link_identity(coach.actor, Vouched("https://id.example.org", "1", None, has_factor=False))
    assert_error(coach.get("/me"), 401)
    with transaction():
        _, text = create_token(operator(), "coach@practice.test", "second", SCOPES)
    coach = replace(coach, token=text)
    found = coach.get("/me/identity").get_json()["identity"]
    assert (found["issuer"], found["subject"]) == ("https://id.example.org", "1")
    assert coach.post("/me/identity/unlink", {}).get_json()["id"] == str(coach.actor.id)
    assert_error(coach.get("/me"), 401)
    assert find_identity(coach.actor.id) is None


def test_own_tokens_are_listed_and_revoked(staff):
    coach = staff["coach"]
    assert coach.get("/me").status_code == 200
    [found] = coach.get("/me/tokens").get_json()["items"]
    assert found["scopes"] == [*SCOPES]
    assert found["used_at"]
    address = f"/me/tokens/{found['id']}/revoke"
    assert_error(staff["coach2"].post(address, {}), 404)
    assert coach.post(address, {}).get_json()["revoked_at"]
    assert_error(coach.get("/me"), 401)


def test_token_of_somebody_who_must_have_a_second_factor_and_has_none_is_refused(app, staff):
    with transaction():
        db.session.execute(sa.update(Practice).values(second_factor_roles=["coach"]))
    assert_error(staff["coach"].get("/me"), 403, "second_factor_needed")
    assert staff["supervisor"].get("/me").status_code == 200
    people.set_up_app(staff["coach"].actor)
    # A new factor ends the tokens of before.
    assert_error(staff["coach"].get("/me"), 401)
    with transaction():
        _, text = create_token(operator(), "coach@practice.test", "after")
    assert replace(staff["coach"], token=text).get("/me").status_code == 200


def test_token_that_sends_too_many_requests_in_a_minute_waits(app, staff):
    coach, start = staff["coach"], datetime(2026, 5, 14, 12, 0, 20, tzinfo=UTC)
    use_settings(replace(active_settings(), token_requests=2))
    with at(start):
        assert [coach.get("/me").status_code for _ in range(2)] == [200, 200]
        refused = coach.get("/me")
        assert_error(refused, 429, "too_many_attempts")
        assert refused.headers["Retry-After"] == "40"
        assert staff["supervisor"].get("/me").status_code == 200
    with at(start + timedelta(seconds=40)):
        assert coach.get("/me").status_code == 200


def test_token_expires_and_notes_its_use_once_a_minute(app, staff):
    coach, start = staff["coach"], now()

    def last_use():
        db.session.rollback()
        return db.session.scalar(sa.select(Token.used_at).where(Token.user_id == coach.actor.id))

    for seconds, noted in ((0, 0), (59, 0), (60, 60), (100, 60)):
        with at(start + timedelta(seconds=seconds)):
            assert coach.get("/me").status_code == 200
            assert last_use() == start + timedelta(seconds=noted)
    with at(start + timedelta(days=TOKEN_DAYS)):
        assert_error(coach.get("/me"), 401)
