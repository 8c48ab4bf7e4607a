import pytest

from caseapp.domain.practice.queries import today
from tests.api.api_client import assert_error, assert_hidden, assert_refused
from tests.support import builders


@pytest.mark.slow
def test_requests_are_recorded_once_listed_declined_and_accepted(staff, coach):
    case = builders.case(coach.actor, "Ines Okafor")
    note_id = builders.note(coach.actor, case.case_id)
    path = f"/notes/{note_id}/amendments"
    body = {"requested_on": today().isoformat(), "words": "I never said that."}
    for _ in range(2):
        made = coach.post(path, body, idempotency_key="one")
        assert made.status_code == 201
        assert [each["state"] for each in made.get_json()["requests"]] == ["open"]
    assert assert_refused(coach.post(path, body)) == ["amendment_open"]
    assert_hidden(staff["coach2"], "POST", "/notes/{}/amendments", note_id, body)
    (waiting,) = staff["supervisor"].get("/amendment-requests").get_json()["items"]
    assert waiting["note_id"] == str(note_id)
    found = coach.get(path).get_json()
    reason = {"reason": "It is in the log of that week."}
    assert_error(coach.post(f"{path}/decline", reason), 428)
    answer = coach.post(f"{path}/decline", reason, version=found)
    assert answer.get_json()["requests"][0]["answer"] == reason["reason"]
    again = coach.post(path, body).get_json()
    answer = coach.post(f"{path}/accept", {"text": "She slept four."}, version=again)
    assert answer.get_json()["requests"][1]["addendum_id"]
    # When the note is moved, the correction moves too, and the requests stay.
    other = builders.case(coach.actor, "Tom Vale")
    wrong = {"case_id": str(other.case_id), "reason": "I had the wrong case open."}
    note = coach.get(f"/notes/{note_id}")
    moved = coach.post(f"/notes/{note_id}/move", wrong, version=note.get_json()).get_json()
    assert [each["signed_elsewhere"] for each in moved["addenda"]] == [True]
    assert coach.get(path).get_json()["requests"] == []
    [left] = coach.get(f"/cases/{case.case_id}/moved-notes").get_json()["items"]
    assert [each["words"] for each in left["requests"]] == [body["words"]] * 2
