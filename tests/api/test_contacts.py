import pytest

from tests.api.api_client import assert_error, assert_hidden, assert_refused
from tests.support import builders


@pytest.fixture
def ines(coach):
    return str(builders.client(coach.actor, "Ines Okafor"))


def test_entry_is_added_listed_and_marked_as_recorded_in_error(coach, ines):
    path = f"/clients/{ines}/contacts"
    body = {
        "kind": "cancelled",
        "happened_at": "2026-05-14T11:30:00Z",
        "cancelled_by": "client",
        "words": " She has a cold. ",
        "follow_up": True,
    }
    first = coach.post(path, body, idempotency_key="a")
    assert coach.post(path, body, idempotency_key="a").get_json() == first.get_json()
    entry = first.get_json()
    assert first.status_code == 201
    assert first.headers["Location"] == f"/api/v1/contacts/{entry['id']}"
    assert (entry["words"], entry["method"], entry["in_error_at"]) == (
        "She has a cold.",
        None,
        None,
    )
    assert coach.get(path).get_json() == {"items": [entry], "next": None}
    [task] = coach.get(f"/followups?client={ines}").get_json()["items"]
    assert task["title"] == "Agree another time for the cancelled session"
    reason = {"reason": "It was her sister."}
    marked = coach.post(f"/contacts/{entry['id']}/error", reason).get_json()
    assert marked["error_reason"] == "It was her sister."
    assert coach.get(f"/contacts/{entry['id']}").get_json() == marked
    again = coach.post(f"/contacts/{entry['id']}/error", reason)
    assert assert_refused(again) == ["already_in_error"]


def test_wrong_entry_names_its_fields_and_others_see_none(coach, staff, ines):
    path = f"/clients/{ines}/contacts"
    answer = coach.post(path, {"kind": "contact", "cancelled_by": "client"})
    fields = assert_error(answer, 422, "invalid")["fields"]
    assert {*fields} == {"method", "cancelled_by"}
    entry = coach.post(path, {"kind": "no_show"}).get_json()
    stranger = staff["coach2"]
    assert_hidden(stranger, "GET", "/clients/{}/contacts", ines)
    assert_hidden(stranger, "POST", "/clients/{}/contacts", ines, {"kind": "no_show"})
    assert_hidden(stranger, "GET", "/contacts/{}", entry["id"])
    assert_hidden(stranger, "POST", "/contacts/{}/error", entry["id"], {"reason": "Not mine."})
