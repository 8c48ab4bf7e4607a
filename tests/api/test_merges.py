import pytest

from tests.api.api_client import assert_error, assert_refused, assert_refuses
from tests.support import builders, safety_plans

WHY = {"reason": "She says that she called twice."}


@pytest.mark.slow
def test_supervisor_merges_a_client_and_the_old_address_leads_to_the_other(coach, staff):
    supervisor = staff["supervisor"]
    stays = builders.case(coach.actor, "Ines Okafor")
    gone = builders.client(coach.actor, "Ines Okafor", agreed=True, pronouns="she/her")
    for client_id in (gone, stays.client_id):
        builders.screen(coach.actor, client_id, self_harm="urgent")
        safety_plans.write(coach.actor, client_id, text="Call Anne")
    here, body = f"/clients/{gone}/merge", {"into_id": str(stays.client_id)} | WHY
    assert_error(coach.post(here, body, version='"1"'), 403)
    wrong = [("reason", {"into_id": str(gone)}), ("into_id", WHY)]
    assert_refuses(supervisor, "POST", here, wrong, version='"1"')
    same = supervisor.post(here, body | {"into_id": str(gone)}, version='"1"')
    assert assert_refused(same) == ["merge_same_client"]
    assert coach.get(f"/clients/{gone}").status_code == 200
    assert assert_refused(supervisor.post(here, body, version='"1"')) == ["merge_decided_conflict"]
    merged = supervisor.post(here, body | {"despite_decision": True}, version='"1"')
    assert merged.status_code == 200
    assert merged.get_json()["id"] == str(stays.client_id)
    moved = coach.get(f"/clients/{gone}")
    assert moved.status_code == 301
    assert moved.headers["Location"] == f"/api/v1/clients/{stays.client_id}"
    assert staff["coach2"].get(f"/clients/{gone}").status_code == 404
    [earlier] = coach.get(f"/clients/{stays.client_id}/earlier-records").get_json()["items"]
    assert (earlier["id"], earlier["reason"]) == (str(gone), WHY["reason"])
    assert earlier["client"]["pronouns"] == "she/her"
    assert [each["levels"]["self_harm"] for each in earlier["screenings"]] == ["urgent"]
    assert [each["kind"] for each in earlier["holds"]] == ["safety"]
    assert [each["kind"] for each in earlier["flags"]] == ["self_harm_flag"]
    [plan] = earlier["safety_plans"]
    assert "Call Anne 1" in plan["answers"].values()
    other = staff["coach2"].get(f"/clients/{stays.client_id}/earlier-records")
    assert other.status_code == 404
