"""Staff who must not see a client, through the API."""

from tests.api.api_client import assert_error, assert_needs_a_role
from tests.support import builders

PATH = "/denied-access"


def test_admin_records_and_ends_what_the_supervisor_then_does_not_see(staff):
    coach, supervisor, admin = staff["coach"], staff["supervisor"], staff["admin"]
    made = builders.case(coach.actor, "Ines Okafor")
    body = {"number": made.number, "user_id": str(supervisor.actor.id), "reason": "relative"}
    wrong = body | {"number": "C-1999-0001"}
    assert assert_error(admin.post(PATH, wrong), 422)["fields"].keys() == {"number"}
    assert_error(supervisor.post(PATH, body), 409, "rule_broken")
    recorded = admin.post(PATH, body)
    assert recorded.status_code == 201
    assert_error(supervisor.get(f"/clients/{made.client_id}"), 404)
    assert supervisor.get(PATH).get_json() == {"items": [], "next": None}
    [found] = admin.get(PATH).get_json()["items"]
    assert found["id"] == recorded.get_json()["id"]
    assert (found["number"], found["reason"]) == (made.number, None)
    path = f"{PATH}/{found['id']}/end"
    assert_error(supervisor.post(path, {"reason": "past"}), 404)
    assert admin.post(path, {"reason": "past"}).status_code == 200
    assert supervisor.get(f"/clients/{made.client_id}").status_code == 200
    assert_error(admin.post(path, {"reason": "past"}), 404)


def test_coaches_neither_read_nor_record_it(staff):
    assert_needs_a_role(staff["coach"], ("GET", PATH), ("POST", PATH))
