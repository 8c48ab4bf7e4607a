import pytest

from tests.api.api_client import assert_error
from tests.support import builders
from tests.support import staff as people


@pytest.mark.slow
def test_left_draft_is_listed_read_and_filed_by_the_supervisor(staff, coach):
    made, leaver = builders.case(coach.actor, "Ines Okafor"), people.add("leaver", role="coach")
    note_id = builders.left_draft(coach.actor, leaver, made.case_id)
    supervisor, path = staff["supervisor"], f"/left-drafts/{note_id}"
    [listed] = supervisor.get("/left-drafts").get_json()["items"]
    assert (listed["id"], listed["author"]) == (str(note_id), leaver.name)
    assert coach.get(path).status_code == 403
    draft = supervisor.get(path).get_json()
    assert (draft["status"], draft["sections"]) == ("draft", builders.SECTIONS)
    reason = {"reason": "She left in May; it is all there is."}
    assert_error(supervisor.post(f"{path}/file", reason), 428)
    note = supervisor.post(f"{path}/file", reason, version=draft).get_json()
    assert (note["status"], note["author_id"]) == ("signed", str(leaver.id))
    assert note["signature"]["meaning"] == "filed"
    assert note["filed_unsigned"]["reason"] == reason["reason"]
    assert coach.get(f"/notes/{note_id}").get_json()["filed_unsigned"] == note["filed_unsigned"]
    assert supervisor.get(path).status_code == 404
