"""Emergency access to a record, through the API."""

from tests.api.api_client import assert_error, assert_needs_a_role
from tests.support import builders

PATH = "/emergency-access"


def test_coach_reads_a_foreign_record_which_the_supervisor_reviews(staff, coach, stranger):
    made = builders.case(coach.actor, "Ines Okafor")
    supervisor, client = staff["supervisor"], f"/clients/{made.client_id}"
    body = {"number": made.number, "reason": "contact", "words": "She rang, Marta is ill."}
    missing = assert_error(stranger.post(PATH, body | {"number": "C-1999-0001"}), 422)
    assert missing["fields"].keys() == {"number"}
    opened = stranger.post(PATH, body)
    assert opened.status_code == 201
    record = stranger.get(client)
    assert record.status_code == 200
    assert_error(stranger.patch(client, {"pronouns": "they"}, version=record.get_json()), 404)
    path = f"{PATH}/{opened.get_json()['id']}"
    assert_error(stranger.post(f"{path}/review", {"outcome": "needed"}), 403)
    [found] = supervisor.get(PATH).get_json()["items"]
    assert (found["words"], found["is_open"]) == (body["words"], True)
    assert supervisor.post(f"{path}/review", {"outcome": "needed"}).status_code == 200
    assert_error(supervisor.post(f"{path}/review", {"outcome": "needed"}), 409, "rule_broken")
    assert_error(supervisor.post(f"{path}/end"), 404)
    assert stranger.post(f"{path}/end").status_code == 200
    assert_error(stranger.get(client), 404)


def test_admins_have_no_emergency_access(staff):
    assert_needs_a_role(staff["admin"], ("GET", PATH), ("POST", PATH))
