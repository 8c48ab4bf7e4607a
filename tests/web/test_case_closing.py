"""Closing a case and opening it again."""

import pytest

from tests.support import builders, followups


@pytest.fixture
def ines(team):
    return builders.case(team["coach"], "Ines Okafor", phone="07700 900418")


CLOSING = {
    "outcome": "separated",
    "reason": "decision",
    "final_screening": "done",
    "follow_up_consent": "yes",
    "follow_up_on": "2027-06-01",
}


@pytest.mark.slow
def test_case_is_closed_and_reopened(team, coach, ines):
    builders.screen(team["coach"], ines.client_id)
    page = f"/case/{ines.number}/close"
    assert coach.send(page, **CLOSING).status_code == 303
    text = coach.text(f"/case/{ines.number}")
    assert "Separated amicably" in text
    assert "because the case was closed with the couple apart" in text
    empty = coach.send(page, f"/case/{ines.number}/reopen", reason="")
    assert empty.status_code == 422
    assert (
        coach.send(page, f"/case/{ines.number}/reopen", reason="He wrote again.").status_code == 303
    )
    assert "He wrote again." in coach.text(f"/case/{ines.number}")


def test_close_without_screening_is_refused_with_way_out(coach, ines):
    answer = coach.send(f"/case/{ines.number}/close", **CLOSING)
    text = answer.get_data(as_text=True)
    assert answer.status_code == 409
    assert "Record a full screening today, then close the case." in text
    assert f"/case/{ines.number}/screening" in text
    assert '<option value="separated" selected>' in text


@pytest.mark.parametrize(
    "changed",
    [
        {"outcome": ""},
        {"reason": "tired"},
        {"final_screening": "not_possible"},
        {"follow_up_on": None},
        {"follow_up_on": "soon"},
        {"colour": "blue"},
    ],
)
def test_invalid_closing_is_refused(team, coach, ines, changed):
    builders.screen(team["coach"], ines.client_id)
    assert coach.send(f"/case/{ines.number}/close", **CLOSING | changed).status_code == 422
    assert "Closed on" not in coach.text(f"/case/{ines.number}")


@pytest.mark.slow
def test_closing_sent_twice_closes_once(team, coach, ines):
    builders.screen(team["coach"], ines.client_id)
    form = coach.form(f"/case/{ines.number}/close")
    first = coach.post(form.action, form.fields | CLOSING)
    second = coach.post(form.action, form.fields | CLOSING)
    assert (first.status_code, first.location) == (303, second.location)
    coach.text(first.location)
    assert coach.text(f"/case/{ines.number}/timeline?kind=stage").count("Case closed") == 1


def test_stale_closing_changes_nothing(team, coach, ines):
    builders.screen(team["coach"], ines.client_id)
    page = f"/case/{ines.number}"
    form = coach.form(f"{page}/close")
    coach.send(f"{page}/details", f"{page}/details/facts", gender="woman")
    assert coach.post(form.action, form.fields | CLOSING).status_code == 412
    assert "Closed on" not in coach.text(page)


LOST = {
    "outcome": "lost_contact",
    "reason": "client_stopped",
    "final_screening": "not_possible",
    "not_screened_reason": "No answer for a month.",
}


@pytest.mark.slow
def test_case_with_a_safety_hold_is_closed_for_lost_contact_by_the_supervisor(
    team, coach, supervisor, ines
):
    page = f"/case/{ines.number}/close"
    builders.screen(team["coach"], ines.client_id, days_ago=5, self_harm="urgent")
    assert "can only be closed with the outcome “Lost contact”" in coach.text(page)
    early = supervisor.send(page, **LOST)
    assert early.status_code == 409
    assert "No supervisor has decided yet that contact" in early.get_data(as_text=True)
    followups.lose_contact(team["coach"], team["supervisor"], ines.client_id)
    refused = coach.send(page, **LOST)
    assert refused.status_code == 409
    assert "Ask another supervisor to close it." in refused.get_data(as_text=True)
    assert supervisor.send(page, **LOST).status_code == 303
    text = supervisor.text(f"/case/{ines.number}/hold")
    assert "Safety hold" in text
    assert "No answer for a month." in text
    assert "Still open: 24-hour safety check." in text
