from base64 import b64decode

from caseapp.core import pdf
from tests.api.api_client import assert_error, assert_hidden, assert_refused
from tests.support import builders


def test_copy_is_made_and_recorded_once_for_a_key(staff, coach, monkeypatch):
    monkeypatch.setattr(pdf, "render", lambda *_given, archive, **_more: archive.encode())
    case = builders.case(coach.actor, "Ines Okafor")
    path = f"/cases/{case.case_id}/copies"
    body = {"channel": "in_person", "asked_alone": True, "kind": ["session"]}
    assert assert_refused(coach.post(path, body | {"asked_alone": False})) == ["copy_not_asked"]
    for left_out in ({"channel": "in_person"}, body | {"kind": []}):
        fields = assert_error(coach.post(path, left_out), 422)["fields"]
        assert fields == {"kind": ["Choose what the copy contains."]}
    made = [coach.post(path, body, idempotency_key="one").get_json() for _ in range(2)]
    assert made[0]["disclosure_id"] == made[1]["disclosure_id"]
    assert made[0]["passphrase"] != made[1]["passphrase"]
    assert made[0]["passphrase"].encode() in b64decode(made[0]["content"])
    log = coach.get(f"/clients/{case.client_id}/disclosures").get_json()["items"]
    assert [entry["id"] for entry in log] == [made[0]["disclosure_id"]]
    assert_hidden(staff["coach2"], "POST", "/cases/{}/copies", case.case_id, body)
