import pytest

from tests.api.api_client import assert_hidden, assert_refused
from tests.support import builders


@pytest.mark.slow
def test_supervisor_lists_returns_and_cosigns_notes(staff, coach):
    admin, supervisor = staff["admin"], staff["supervisor"]
    person = f"/people/{coach.actor.id}"
    wish = {"needs_cosignature": True}
    foreign = staff["coach2"].actor.id
    assert_hidden(supervisor, "POST", "/people/{}/cosignature", foreign, wish)
    for who in (admin, supervisor):
        assert who.post(f"{person}/cosignature", wish).get_json()["needs_cosignature"]
    note_id = builders.note(coach.actor, builders.case(coach.actor, "Ines Okafor").case_id)
    note = f"/notes/{note_id}"
    assert coach.get(note).get_json()["review"] == "waiting"
    [item] = supervisor.get("/note-reviews").get_json()["items"]
    assert (item["id"], item["author"], item["state"]) == (
        str(note_id),
        coach.actor.name,
        "waiting",
    )
    comment = {"comment": "Say who was in the room."}
    assert supervisor.post(f"{note}/return", comment).status_code == 428
    opened = supervisor.get(f"{note}/review").get_json()
    answer = supervisor.post(f"{note}/return", comment, version=opened)
    assert answer.get_json()["review"] == "returned"
    review = supervisor.get(f"{note}/review").get_json()
    again = supervisor.post(f"{note}/return", comment, version=review)
    assert assert_refused(again) == ["already_returned"]
    assert supervisor.post(f"{note}/cosign", version=opened).status_code == 412
    assert len(coach.get("/note-reviews").get_json()["items"]) == 1
    review = coach.get(f"{note}/review").get_json()
    assert (review["state"], review["returns"][0]["comment"]) == ("returned", comment["comment"])
    assert_hidden(staff["coach2"], "GET", "/notes/{}/review", note_id)
    signed = supervisor.post(f"{note}/cosign", version=review).get_json()
    assert signed["cosignature"]["signed_by"] == str(supervisor.actor.id)
    assert (signed["review"], signed["is_as_signed"]) == (None, True)
