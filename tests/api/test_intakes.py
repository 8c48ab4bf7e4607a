"""Intakes that are sent to a supervisor, through the API."""

import pytest

from tests.api.api_client import NOBODYS, assert_error, assert_needs_a_role
from tests.support import builders

PATH = "/intakes"
CLIENT = {"name": "Ines Okafor", "partner_name": "Peter Okafor", "safe_channels": ["call"]}
BODY = {"client": CLIENT, "case": {"goal": "together"}}


@pytest.mark.slow
def test_refused_intake_is_decided_asked_again_and_opened(staff, stranger):
    coach, supervisor = staff["coach"], staff["supervisor"]
    spouse = builders.client(stranger.actor, "Peter Okafor")
    assert_error(coach.post("/cases", {"client": CLIENT, "goal": "together"}), 409, "rule_broken")
    assert assert_error(coach.post(PATH, {"case": {}}), 422)["fields"].keys() == {"client"}
    asked = coach.post(PATH, BODY)
    assert asked.status_code == 201
    path = f"{PATH}/{asked.get_json()['id']}"
    assert asked.get_json()["matches"] == coach.get(path).get_json()["matches"] == []
    [match] = supervisor.get(path).get_json()["matches"]
    assert (match["client_id"], match["coaches"]) == (str(spouse), ["Jonas Adler"])
    assert_error(stranger.get(path), 404)
    no, yes = ({"is_allowed": given, "shown": [str(spouse)]} for given in (False, True))
    unseen = assert_error(
        supervisor.post(f"{path}/decision", {"is_allowed": False}), 409, "rule_broken"
    )
    assert [reason["code"] for reason in unseen["reasons"]] == ["other_matches"]
    assert supervisor.post(f"{path}/decision", no).status_code == 200
    assert_error(supervisor.post(f"{path}/decision", yes), 409, "rule_broken")
    assert_error(coach.post(f"{path}/case", BODY), 409, "rule_broken")
    assert_error(supervisor.post(f"{path}/case", BODY), 404)
    again = coach.post(f"{path}/ask", BODY).get_json()
    assert_error(coach.get(path), 404)
    path = f"{PATH}/{again['id']}"
    supervisor.post(f"{path}/decision", yes)
    [listed] = coach.get(PATH).get_json()["items"]
    assert (listed["is_allowed"], listed["decided_by_name"]) == (True, None)
    opened = coach.post(f"{path}/case", BODY)
    assert opened.status_code == 201
    case = coach.get(f"/cases/{opened.get_json()['case_id']}").get_json()
    assert (case["client"], case["goal"]) == ("Ines Okafor", "together")
    assert supervisor.get(PATH).get_json()["items"] == []


def test_only_coaches_ask_and_only_supervisors_decide(staff):
    assert_needs_a_role(staff["supervisor"], ("POST", PATH))
    assert_needs_a_role(staff["coach"], ("POST", f"{PATH}/{NOBODYS}/decision"))
