"""Staff through the API: invited, edited, in another role, disabled and enabled, by the operations of the pages."""

import pytest

from tests.api.api_client import NOBODYS, assert_error, assert_needs_a_role

INES = {"name": "Ines Okafor", "email": "ines@practice.test", "role": "coach", "way": "code"}


@pytest.fixture
def admin(staff):
    return staff["admin"]


def test_person_is_invited_again_edited_and_disabled(admin, staff):
    supervisor_id = str(staff["supervisor"].actor.id)
    made = admin.post("/people", INES | {"supervisor_id": supervisor_id})
    assert made.status_code == 201
    path = made.headers["Location"].removeprefix("/api/v1")
    assert len(made.get_json()["code"]) == 19
    found = admin.get(path).get_json()
    assert (found["state"], found["supervisor_id"]) == ("invited", supervisor_id)
    again = admin.post(f"{path}/invitation", {"way": "mail"})
    assert again.get_json() == {"id": found["id"], "code": None}
    named = admin.patch(path, {"name": "Ines Ruiz"}, version=found).get_json()
    assert (named["name"], named["email"]) == ("Ines Ruiz", "ines@practice.test")
    assert_error(admin.patch(path, {"name": "Ines"}, version=found), 412)
    role = {"role": "supervisor", "supervisor_id": None}
    assert admin.post(f"{path}/role", role).get_json()["role"] == "supervisor"
    assert admin.post(f"{path}/disable", {"successor_id": None}).get_json()["state"] == "disabled"
    listed = admin.get("/people?state=disabled").get_json()["items"]
    assert [one["id"] for one in listed] == [found["id"]]
    assert_error(admin.post(f"{path}/invitation", {"way": "code"}), 409)
    assert admin.post(f"{path}/sessions/end").get_json()["id"] == found["id"]
    assert admin.post(f"{path}/enable").get_json()["state"] == "invited"
    assert_error(admin.post(f"{path}/enable"), 409)


def test_invitation_with_the_same_key_makes_one_account_and_shows_no_code_again(admin, staff):
    body = INES | {"supervisor_id": str(staff["supervisor"].actor.id)}
    made, again = (
        admin.post("/people", body, idempotency_key="ines-1").get_json() for _ in range(2)
    )
    assert made["code"]
    assert again == {"id": made["id"], "code": None}


def test_token_makes_no_admin(admin):
    body = INES | {"role": "admin", "supervisor_id": None}
    assert_error(admin.post("/people", body), 403, "forbidden")


def test_code_for_a_new_password_is_for_somebody_else(admin, staff):
    reason = {"reset_reason": "forgotten"}
    path = f"/people/{staff['coach'].actor.id}/password-code"
    assert len(admin.post(path, reason).get_json()["code"]) == 19
    assert_error(admin.post(f"/people/{admin.actor.id}/password-code", reason), 409)
    assert_error(admin.post(f"/people/{NOBODYS}/password-code", reason), 404)


def test_people_are_for_admins(staff):
    for who in ("coach", "supervisor"):
        assert_needs_a_role(staff[who], ("GET", "/people"), ("POST", "/people"))
