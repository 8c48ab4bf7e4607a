from datetime import timedelta

from caseapp.domain.practice.queries import today
from tests.support import builders


def test_cover_is_arranged_listed_and_ended(staff):
    coach, colleague = staff["coach"], staff["coach2"]
    made = builders.case(coach.actor)
    body = {
        "user_id": str(colleague.actor.id),
        "starts_on": today().isoformat(),
        "ends_on": (today() + timedelta(days=1)).isoformat(),
        "clients": [str(made.client_id)],
    }
    path = f"/coaches/{coach.actor.id}/covers"
    assert colleague.post(path, body).status_code == 404
    answer = coach.post(path, body)
    assert answer.status_code == 201
    cover = answer.get_json()
    assert (cover["clients"], cover["state"]) == (1, "running")
    assert [one["id"] for one in colleague.get("/covers").get_json()["items"]] == [cover["id"]]
    assert colleague.get(f"/clients/{made.client_id}").status_code == 200
    assert colleague.post(f"/covers/{cover['id']}/end").status_code == 404
    assert coach.post(f"/covers/{cover['id']}/end").get_json()["state"] == "ended"
    assert coach.post(f"/covers/{cover['id']}/end").status_code == 409
    assert colleague.get(f"/clients/{made.client_id}").status_code == 404
