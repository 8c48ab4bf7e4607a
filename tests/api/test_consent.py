import pytest

from caseapp.domain.practice.queries import today
from tests.api.api_client import assert_error, assert_hidden, assert_refused
from tests.support import builders

TEXT = {"language": "en-GB", "words": "We keep notes about what you tell us."}


@pytest.mark.slow
def test_consent_is_published_given_withdrawn_and_given_again(coach, staff):
    made = builders.case(coach.actor, "Ines Okafor")
    client, case = f"/clients/{made.client_id}", f"/cases/{made.case_id}"
    path, withdrawal = f"{client}/consents", f"{client}/consents/withdrawal"
    assert coach.get(case).get_json()["consent"] == "given"
    text = staff["supervisor"].post("/consent-texts", TEXT)
    assert (text.status_code, text.get_json()["version"]) == (201, 1)
    again = staff["supervisor"].post("/consent-texts", TEXT | {"is_translation": True})
    assert assert_refused(again) == ["consent_text_published"]
    assert coach.get("/consent-texts").get_json()["items"] == [text.get_json()]
    assert coach.get(case).get_json()["consent"] == "earlier_text"

    day = today().isoformat()
    answer = coach.post(path, {"given_on": day, "method": "written"})
    assert {*assert_error(answer, 422, "invalid")["fields"]} == {"text_id"}
    body = {"given_on": day, "method": "written", "text_id": text.get_json()["id"]}
    entry = coach.post(path, body).get_json()
    assert (entry["kind"], entry["version"], entry["happened_on"]) == ("given", 1, day)
    assert coach.get(case).get_json()["consent"] == "given"

    told = {"withdrawn_on": day, "withdrawn_method": "spoken", "told": "She told me."}
    assert coach.post(withdrawal, told).get_json()["words"] == "She told me."
    assert assert_refused(coach.post(withdrawal, told)) == ["consent_already_withdrawn"]
    assert coach.get(client).get_json()["consent_withdrawn_on"] == day
    assert coach.get("/clients").get_json()["items"][0]["consent_withdrawn_on"] == day
    listed = coach.get("/cases").get_json()["items"][0]
    assert listed["consent_withdrawn_on"] == day
    wish = {"slug": "better-nights", "channel": "print", "confirmed": True}
    assert "consent_withdrawn" in assert_refused(coach.post(f"{case}/assignments", wish))
    [withdrawn, _] = coach.get(path).get_json()["items"]
    here, reason = f"/consents/{withdrawn['id']}/error", {"reason": "Another client."}
    assert_hidden(staff["coach2"], "POST", "/consents/{}/error", withdrawn["id"], reason)
    assert coach.post(here, reason).get_json()["error_reason"] == reason["reason"]
    assert assert_refused(coach.post(here, reason)) == ["already_in_error"]
    assert coach.get(case).get_json()["consent"] == "given"
    coach.post(path, body)
    assert len(coach.get(path).get_json()["items"]) == 3
    assert coach.get(case).get_json()["consent"] == "given"
    assert_hidden(staff["coach2"], "GET", "/clients/{}/consents", made.client_id)
    assert_hidden(staff["coach2"], "POST", "/clients/{}/consents", made.client_id, body)
    assert_hidden(staff["coach2"], "POST", "/clients/{}/consents/withdrawal", made.client_id, told)
