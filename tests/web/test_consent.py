import pytest

from tests.support import builders
from tests.support.staff_pages import StaffBrowser, read_forms

TEXT = "We keep notes about what you tell us, and you can see them."


@pytest.fixture
def case(coach):
    return builders.case(coach.actor, "Ines Okafor")


@pytest.mark.slow
def test_published_text_is_missing_until_the_client_agrees_and_a_withdrawal_shows(
    app, coach, team, case
):
    path, overview = f"/case/{case.number}/consent", f"/case/{case.number}"
    note_id = builders.draft(
        coach.actor, case.case_id, {"data": "Slept.", "assessment": "Calm.", "plan": "Walk."}
    )
    sign, missing = (
        f"/note/{note_id}/sign",
        "hasn’t agreed to the practice’s current consent text yet",
    )
    assert missing not in coach.text(overview) + coach.text(sign)
    answer = StaffBrowser(app, team["supervisor"]).send(
        "/settings/consent", language="en-GB", words=TEXT
    )
    assert (answer.status_code, answer.headers["Location"]) == (303, "/settings/consent")
    for page in (overview, sign):
        assert missing in coach.text(page)
    assert "You can still sign the note." in coach.text(sign)

    assert TEXT in coach.text(path)
    answer = coach.send(path, method="")
    assert answer.status_code == 422
    assert "Choose how consent was given." in answer.get_data(as_text=True)
    assert coach.send(path, method="written").headers["Location"] == path
    assert missing not in coach.text(overview) + coach.text(sign)
    assert "Version 1, English (United Kingdom)" in coach.text(path)

    answer = coach.send(
        path, f"{path}/withdrawal", withdrawn_method="spoken", told="She told me on the phone."
    )
    assert answer.headers["Location"] == path
    assert "She told me on the phone." in coach.text(path)
    for page in (overview, "/cases", "/today"):
        assert "Consent withdrawn" in coach.text(page)
    assert "The client withdrew consent on" in coach.text(sign)
    assert coach.send(sign).status_code == 303
    assert coach.send(path, method="spoken").headers["Location"] == path
    for page in (overview, "/cases", "/today"):
        assert "Consent withdrawn" not in coach.text(page)


def test_entry_recorded_in_error_is_marked_with_a_reason(coach, case):
    path = f"/case/{case.number}/consent"
    coach.send(path, f"{path}/withdrawal", withdrawn_method="spoken", told="She told me.")
    error = next(
        form.action
        for form in read_forms(coach.text(path), path)
        if form.action.startswith(path) and form.action.endswith("/error")
    )
    assert coach.send(path, error, reason="no").status_code == 422
    assert coach.send(path, error, reason="It was another client.").location == path
    page = coach.text(path)
    assert "It was another client." in page
    assert "Consent withdrawn" not in coach.text(f"/case/{case.number}")
