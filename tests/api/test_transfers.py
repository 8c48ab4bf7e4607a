import pytest

from caseapp.domain.practice.queries import today
from tests.support import builders


@pytest.mark.slow
def test_cases_are_offered_listed_decided_and_undone(staff):
    coach, colleague = staff["coach"], staff["coach2"]
    made = builders.case(coach.actor)
    body = {
        "to_id": str(colleague.actor.id),
        "reason": "schedule",
        "clients": [str(made.client_id)],
    }
    path = f"/coaches/{coach.actor.id}/transfers"
    assert colleague.post(path, body).status_code == 404
    assert coach.post(path, body | {"reason": "bored"}).status_code == 422
    answer = coach.post(path, body)
    assert (answer.status_code, answer.get_json()["to_id"]) == (201, body["to_id"])
    assert coach.post(path, body).status_code == 422

    def listed(person):
        return [
            (one["number"], one["state"], one["reason"], one["may_decide"])
            for one in person.get("/transfers").get_json()["items"]
        ]

    assert listed(coach) == [(made.number, "offered", "schedule", False)]
    assert listed(colleague) == [(made.number, "offered", None, True)]
    [offered] = colleague.get("/transfers").get_json()["items"]
    address = f"/transfers/{offered['id']}"
    assert coach.post(f"{address}/accept").status_code == 409
    assert colleague.post(f"{address}/withdraw").status_code == 409
    assert staff["supervisor"].post(f"{address}/decline").status_code == 409
    assert colleague.post(f"{address}/accept").get_json()["state"] == "accepted"
    assert colleague.get(f"/clients/{made.client_id}").status_code == 200
    assert coach.get(f"/clients/{made.client_id}").status_code == 404
    day = today().isoformat()
    told = {"withdrawn_on": day, "withdrawn_method": "spoken", "told": "She told me."}
    brief = colleague.get(f"{address}/brief").get_json()
    found = [brief[name] for name in ("number", "former", "holds", "flags", "drafts", "plan")]
    assert found == [made.number, coach.actor.name, [], [], [], None]
    assert (brief["consent"], brief["consent_withdrawn_on"]) == ("given", None)
    assert colleague.post(f"/clients/{made.client_id}/consents/withdrawal", told).status_code == 201
    brief = colleague.get(f"{address}/brief").get_json()
    assert (brief["consent"], brief["consent_withdrawn_on"]) == ("withdrawn", day)
    assert coach.get(f"{address}/brief").status_code == 404
    assert coach.post(f"{address}/undo").get_json()["state"] == "undone"
    assert coach.get(f"/clients/{made.client_id}").status_code == 200
    assert colleague.post(f"{address}/undo").status_code == 409
    for decide, who in (("decline", colleague), ("withdraw", coach)):
        assert coach.post(path, body).status_code == 201
        waiting = [
            one for one in coach.get("/transfers").get_json()["items"] if one["state"] == "offered"
        ]
        answer = who.post(f"/transfers/{waiting[0]['id']}/{decide}")
        assert answer.status_code == 200, decide
