from __future__ import annotations

import pytest

from caseapp.core.transaction import transaction
from caseapp.domain.clients.memberships import join_care_team
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.clients.schemas import SafeContact
from tests.domain.alerts.steps import add_deputies, the_alert
from tests.support import builders, staff
from tests.support.staff_pages import StaffBrowser


@pytest.fixture
def team(team):
    return add_deputies(team)


@pytest.fixture
def ines(team):
    made = builders.case(team["coach"], "Ines Okafor")
    builders.screen(team["coach"], made.client_id, self_harm="urgent")
    return made


def test_supervisor_acknowledges_an_alert_on_its_page(app, team, ines):
    helen = StaffBrowser(app, team["supervisor"])
    page = helen.text("/alerts")
    assert "Safety hold for Ines Okafor" in page
    assert f"/case/{ines.number}/hold" in page
    action = f"/alerts/{the_alert().id}/acknowledge"
    assert helen.send("/alerts", action).status_code == 303
    page = helen.text("/alerts")
    assert "No alert is waiting for you." in page
    assert "Acknowledged by Helen Marsh" in page
    assert the_alert().acknowledged_by == team["supervisor"].id


@pytest.mark.slow
def test_coach_acknowledges_a_safety_alert_and_it_waits_for_the_supervisors(app, team):
    made = builders.case(team["coach"], "Ines Okafor")
    with transaction():
        join_care_team(team["coach"], lock_client(team["coach"], made.client_id), team["coach2"].id)
    builders.screen(team["coach2"], made.client_id, self_harm="urgent")
    marta = StaffBrowser(app, team["coach"])
    assert marta.send("/alerts", f"/alerts/{the_alert().id}/acknowledge").status_code == 303
    page = marta.text("/alerts")
    assert "No alert is waiting for you." in page
    assert "A supervisor still has to." in page
    assert "Tell somebody now" in marta.text(f"/case/{made.number}/hold")
    assert the_alert().acknowledged_at is None


def test_alert_page_shows_nothing_of_others_alerts(app, team, ines):
    jonas = StaffBrowser(app, team["coach2"])
    assert "Ines" not in jonas.text("/alerts")
    path = f"/alerts/{the_alert().id}/acknowledge"
    fields = jonas.token | jonas.key_for(path)
    assert jonas.post(path, fields).status_code == 404
    assert the_alert().acknowledged_at is None


@pytest.mark.slow
def test_somebody_of_another_team_reads_whom_to_ring_and_what_has_to_be_done(app, team):
    admin = StaffBrowser(app, team["admin"])
    path = f"/settings/alerts/{team['coach2'].id}"
    assert admin.send(path, phone="+44 20 7946 0000").status_code == 303
    made = builders.case(team["coach2"], "Ines Okafor", phone="07700 900123")
    builders.screen(team["coach2"], made.client_id, self_harm="urgent", comment="Said so twice.")
    # Without supervisor and deputy, the manager is alerted at once.
    owen = StaffBrowser(app, team["manager"])
    page = owen.text("/alerts")
    assert "Call Jonas Adler" in page
    assert f"/case/{made.number}" not in page
    page = owen.text(f"/alerts/{the_alert().id}")
    for word in ("Ines Okafor", "07700 900123", "+44 20 7946 0000", "Safety hold", "before 17:00"):
        assert word in page
    assert "Self-harm is at urgent" in page
    assert "What the coach does now" in page
    assert "Said so twice" not in page
    assert made.number not in page
    assert owen.get(f"/case/{made.number}/hold").status_code == 404


@pytest.mark.slow
def test_today_leads_with_the_alerts_that_wait(app, team, ines):
    helen = StaffBrowser(app, team["supervisor"])
    page = helen.text("/today")
    attention = page[page.index('id="h-attention"') :]
    assert attention.index("Safety hold for Ines Okafor") < attention.index("Safety hold, day 1")
    helen.send("/alerts", f"/alerts/{the_alert().id}/acknowledge")
    assert "Safety hold for Ines Okafor" not in helen.text("/today")


@pytest.mark.slow
@pytest.mark.parametrize("tab", ["hold", "screening"])
def test_coach_reads_whom_to_ring_and_who_was_told_once_acknowledged(app, team, ines, tab):
    admin, marta = StaffBrowser(app, team["admin"]), StaffBrowser(app, team["coach"])
    path = f"/settings/alerts/{team['supervisor'].id}"
    admin.send(path, phone="020 7946 0142", on_call_hours="Any hour")
    text = marta.text(f"/case/{ines.number}/{tab}")
    assert "Tell somebody now" in text
    assert "Told:" not in text
    for word in ("Supervisor Helen Marsh", "020 7946 0142", "Any hour", "Deputy Priya Nair"):
        assert word in text
    assert "Manager Owen Blake" in text
    helen = StaffBrowser(app, team["supervisor"])
    helen.send("/alerts", f"/alerts/{the_alert().id}/acknowledge")
    text = marta.text(f"/case/{ines.number}/{tab}")
    assert "Told: Helen Marsh" in text
    assert "Tell somebody now" not in text


def test_page_says_when_nobody_could_be_alerted(app, team):
    with transaction():
        for who in ("supervisor", "supervisor3", "supervisor4"):
            staff.disable(f"{who}@practice.test")
    made = builders.case(team["coach2"])
    builders.screen(team["coach2"], made.client_id, self_harm="urgent")
    text = StaffBrowser(app, team["coach2"]).text(f"/case/{made.number}/hold")
    assert "No alert could be sent to anybody." in text
    assert "There is nobody to call." in text


@pytest.mark.slow
def test_deputy_acknowledges_on_the_page_of_the_alert_and_stays_there(app, team):
    made = builders.case(team["coach2"], "Ines Okafor", phone="07700 900123")
    builders.screen(team["coach2"], made.client_id, self_harm="urgent")
    owen, path = StaffBrowser(app, team["manager"]), f"/alerts/{the_alert().id}"
    today = owen.text("/today")
    assert "No hold is open." not in today
    assert "One alert is waiting for you." in today
    page = owen.text(path)
    assert page.index("Acknowledge") < page.index("What the coach does now")
    answer = owen.send(path)
    assert (answer.status_code, answer.location) == (303, path)
    page = owen.text(path)
    assert "Acknowledged by" in page
    assert "Ines Okafor" in page
    assert f'action="{path}"' not in page


def test_member_of_the_team_goes_on_to_the_hold_after_acknowledging(app, team, ines):
    helen = StaffBrowser(app, team["supervisor"])
    answer = helen.send("/alerts", f"/alerts/{the_alert().id}/acknowledge")
    assert answer.location == f"/case/{ines.number}/hold"


def test_alert_page_gives_no_number_that_is_not_safe_to_call(app, team):
    safe = SafeContact(("in_person",), "")
    made = builders.case(team["coach2"], "Ines Okafor", phone="07700 900123", safe=safe)
    builders.screen(team["coach2"], made.client_id, self_harm="urgent")
    page = StaffBrowser(app, team["manager"]).text(f"/alerts/{the_alert().id}")
    assert "07700 900123" not in page
    assert "don’t call" in page
