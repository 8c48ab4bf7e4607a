from caseapp.domain.practice.queries import today
from tests.api.api_client import assert_error, assert_hidden
from tests.support import builders


def test_disclosure_is_recorded_listed_and_hidden_from_others(coach, staff):
    client_id = builders.client(coach.actor, "Ines Okafor")
    path = f"/clients/{client_id}/disclosures"
    body = {"disclosed_on": today().isoformat(), "recipient": "Dr Lam", "what": "Two notes."}
    assert {*assert_error(coach.post(path, body), 422, "invalid")["fields"]} == {"why"}
    body["why"] = "She asked."
    entry = coach.post(path, body)
    assert entry.status_code == 201
    assert coach.get(path).get_json() == {"items": [entry.get_json()], "next": None}
    assert_hidden(staff["coach2"], "GET", "/clients/{}/disclosures", client_id)
    assert_hidden(staff["coach2"], "POST", "/clients/{}/disclosures", client_id, body)
