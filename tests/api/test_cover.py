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


def test_line_about_a_client_is_written_by_the_coach_and_read_by_whoever_covers(staff):
    coach, colleague = staff["coach"], staff["coach2"]
    made = builders.case(coach.actor)
    day = today().isoformat()
    body = {"user_id": str(colleague.actor.id), "starts_on": day, "ends_on": day, "all": True}
    cover = coach.post(f"/coaches/{coach.actor.id}/covers", body).get_json()
    path = f"/covers/{cover['id']}/clients/{made.client_id}"
    [before] = coach.get(f"/covers/{cover['id']}/clients").get_json()["items"]
    assert (before["number"], before["line"], before["holds"]) == (made.number, "", [])
    line = {"line": "Ring before noon."}
    assert colleague.patch(path, line, version=before).status_code == 404
    assert coach.patch(path, line, version=before).get_json()["line"] == line["line"]
    assert colleague.get(path).get_json()["line"] == line["line"]
    assert coach.patch(path, {"line": "Or not."}, version=before).status_code == 412
    assert staff["supervisor"].get(path).status_code == 200
    assert coach.get(f"/covers/{cover['id']}/clients/{cover['id']}").status_code == 404
