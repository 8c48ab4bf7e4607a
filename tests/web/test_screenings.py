"""Screening page: records answers and opens what they require."""

from datetime import timedelta

import pytest

from caseapp.core.clock import now
from caseapp.domain.screening.protocol import ITEMS
from caseapp.domain.screening.queries import get_safety_history
from tests.domain.alerts.steps import the_alert
from tests.support import builders
from tests.support.staff_pages import StaffBrowser, Statements

NONE = {item.key: "none" for item in ITEMS}


@pytest.fixture
def ines(team):
    return builders.case(team["coach"], "Ines Okafor")


@pytest.fixture
def address(ines):
    return f"/case/{ines.number}/screening"


def test_page_without_screening_shows_empty_state(coach, address):
    text = coach.text(address)
    assert "Not screened yet." in text
    assert text.count("What the levels mean<span") == len(ITEMS)
    assert coach.form(address).fields["sleep"] == ["not_asked"]


def test_calm_screening_is_recorded_and_shown(coach, ines, address):
    answer = coach.send(
        address,
        **NONE | {"sleep": "watch", "eating": "not_asked"},
        asked_alone="yes",
        actions_taken=["gave_numbers"],
        comment="Sleeps by the window.",
    )
    assert answer.headers["Location"] == address
    text = coach.text(address)
    assert "Screening recorded." in text
    assert "Sleeps by the window." in text
    assert "gave the help line numbers" in text
    assert "Last time: watch" in text
    assert "Not asked yet" in text
    found = get_safety_history(ines.client_id).screenings[0]
    assert found.levels == dict.fromkeys(NONE, 0) | {"sleep": 1, "eating": None}
    assert found.asked_alone


def test_concern_redirects_to_hold_page(coach, address):
    answer = coach.send(address, **NONE | {"fear_at_home": "concern"})
    assert answer.headers["Location"].endswith("/hold")
    text = coach.text(answer.headers["Location"])
    assert "A hold is open. These are the required actions." in text
    assert "Believe the client. Do not advise staying or leaving." in text
    assert "999" in text
    assert "Do this now" in coach.text(address)


@pytest.mark.parametrize("path", ["/case/{}/hold", "/case/{}/screening", "/alerts/{}"])
@pytest.mark.parametrize("after", ["brief check", "late entry", "calm answers"])
def test_immediate_steps_follow_the_answers_that_count_now(app, team, ines, path, after):
    coach, supervisor = team["coach"], team["supervisor"]
    if after == "late entry":
        builders.screen(coach, ines.client_id)
        builders.screen(
            coach, ines.client_id, session_at=now() - timedelta(days=4), self_harm="urgent"
        )
    else:
        builders.screen(coach, ines.client_id, self_harm="urgent")
        unasked = {item.key: None for item in ITEMS if item.key != "sleep"}
        builders.screen(coach, ines.client_id, **unasked if after == "brief check" else {})
    part = the_alert().id if "alerts" in path else ines.number
    page = StaffBrowser(app, supervisor).text(path.format(part))
    assert ("Do this now</h2>" in page) == (after != "calm answers")


@pytest.mark.parametrize("level", ["none", "watch"])
def test_calm_answers_show_no_immediate_steps(coach, address, level):
    coach.send(address, **NONE | {"self_harm": level})
    assert "Do this now</h2>" not in coach.text(address)


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({}, "levels"),
        ({"sleep": "terrible"}, "sleep"),
        ({"sleep": "3"}, "sleep"),
        (NONE | {"comment": "x" * 2001}, "comment"),
        (NONE | {"actions_taken": ["prayed"]}, "actions_taken"),
        (NONE | {"mood": "none"}, "mood"),
        (NONE | {"form_key": None}, "form_key"),
    ],
)
def test_invalid_answers_record_nothing(coach, ines, address, sent, field):
    answer = coach.send(address, **sent)
    assert answer.status_code == 422
    assert f'href="#{field}"' in answer.get_data(as_text=True)
    assert get_safety_history(ines.client_id).screenings == []


def test_answers_are_kept_on_error(coach, address):
    answer = coach.send(address, **NONE | {"sleep": "urgent", "comment": "x" * 2001})
    text = answer.get_data(as_text=True)
    assert 'name="sleep" value="urgent" checked' in text
    assert "x" * 2001 in text


def test_form_sent_twice_records_one_screening(coach, ines, address):
    form = coach.form(address)
    fields = form.fields | NONE | {"sleep": "concern"}
    first, second = (coach.post(form.action, fields) for _ in range(2))
    assert first.headers["Location"] == second.headers["Location"]
    assert len(get_safety_history(ines.client_id).screenings) == 1


def test_screening_page_for_other_users_is_refused(app, team, ines, address):
    for who, status in (("coach2", 404), ("admin", 403)):
        desk = StaffBrowser(app, team[who])
        assert desk.get(address).status_code == status
        sent = desk.token | desk.key_for(address) | NONE
        assert desk.post(address, sent).status_code == status
    assert get_safety_history(ines.client_id).screenings == []


def test_table_is_paginated_with_constant_statement_count(team, coach, ines, address):
    counts = []
    for rows in (10, 40):
        for number in range(rows):
            builders.screen(team["coach"], ines.client_id, days_ago=number + 1)
        coach.text(address)
        with Statements() as heard:
            text = coach.text(address)
        counts.append(len(heard.seen))
    assert counts[0] == counts[1]
    assert text.count('<th scope="row" class="who">') == 25
    assert "Next page" in text
