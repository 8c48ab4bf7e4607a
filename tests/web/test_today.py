from datetime import timedelta

import pytest
import sqlalchemy as sa

from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.transaction import transaction
from caseapp.domain.alerts.operations import acknowledge_alert
from caseapp.domain.alerts.queries import list_waiting_alerts, lock_alert
from caseapp.domain.assignments.operations import assign_handout
from caseapp.domain.cases.queries import lock_case
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.followups.models import FollowUp
from caseapp.domain.screening.operations import set_manual_flag
from caseapp.domain.worksheets.operations import share_answers
from caseapp.domain.worksheets.queries import lock_worksheet
from tests.domain.dashboard import bulk_rows
from tests.domain.dashboard.test_portal_items import assign
from tests.support import builders, followups, portal_client
from tests.support.staff_pages import StaffBrowser, Statements


def test_today_without_cases_shows_first_steps(app, team):
    page = StaffBrowser(app, team["coach"]).text("/today")
    assert "Nothing needs attention today." in page
    assert "All notes are signed." in page
    assert "Add your first client" in page


@pytest.mark.slow
def test_today_shows_unrecorded_concerns_then_holds(app, team):
    coach = team["coach"]
    held, drafted = builders.case(coach, "Tomasz Held"), builders.case(coach, "Ines Drafted")
    builders.screen(coach, held.client_id, fear_at_home=2)
    note_id = builders.draft(coach, drafted.case_id, levels={"sleep": 2})
    page = StaffBrowser(app, team["coach"]).text("/today")
    assert page.index("Not recorded yet") < page.index("Safety hold, day 1")
    assert f"/note/{note_id}#screening" in page
    assert "One safety hold is open." in page
    assert "Tell your supervisor" in page
    assert f"/case/{held.number}/follow-ups" in page


@pytest.mark.slow
def test_today_shows_a_new_safety_hold_above_shared_answers_and_an_older_one_below(app, team):
    coach = team["coach"]
    new, old, writer = (builders.case(coach, name) for name in ("New One", "Old One", "Writer One"))
    with at(now() - timedelta(hours=25)):
        assign(coach, writer)
        builders.screen(coach, old.client_id, fear_at_home=2)
        followups.complete_all(coach, old.client_id)
    client = portal_client.reader(writer.client_id, "Writer")
    with at(now() - timedelta(hours=3)), transaction():
        share_answers(client, lock_worksheet(client, 1), {"what_happened": "Rang."}, 0)
    with at(now() - timedelta(hours=2)):
        late = builders.case(coach, "Late One")
        builders.screen(coach, late.client_id, sleep=1)
        with transaction():
            db.session.execute(
                sa.update(FollowUp)
                .where(FollowUp.client_id == late.client_id)
                .values(due_at=now() - timedelta(days=9))
            )
    builders.screen(coach, new.client_id, fear_at_home=2)
    for who in ("coach", "supervisor"):
        for alert in list_waiting_alerts(team[who]):
            with transaction():
                acknowledge_alert(team[who], lock_alert(team[who], alert.id))
    page = StaffBrowser(app, coach).text("/today")
    page = page[page.index("h-attention") : page.index("h-cases")]
    names = ("New One", "Late One", "Writer One", "Old One")
    assert sorted(names, key=page.index) == [*names]


@pytest.mark.slow
def test_today_shows_a_supervisor_the_age_of_a_draft_without_levels(app, team):
    coach = team["coach"]
    case = builders.case(coach, "Ines Okafor")
    note_id = builders.draft(coach, case.case_id, days_ago=3, levels={"sleep": 2})
    page = StaffBrowser(app, team["supervisor"]).text("/today")
    assert "3 days old" in page
    assert "Marta Lindqvist" in page
    assert str(note_id) not in page
    assert "Urgent" not in page
    assert "Not recorded yet" not in page


def test_today_of_an_admin_shows_no_clients(app, team):
    case = builders.case(team["coach"], "Ines Okafor")
    builders.screen(team["coach"], case.client_id, self_harm=3)
    page = StaffBrowser(app, team["admin"]).text("/today")
    assert "Ines Okafor" not in page
    assert case.number not in page
    for path in ("/reports", "/people", "/settings", "/log"):
        assert f'href="{path}' in page
    assert "Need confirming" in page


@pytest.mark.slow
def test_today_shows_no_foreign_clients(app, team):
    case = builders.case(team["coach"], "Ines Okafor")
    builders.screen(team["coach"], case.client_id, self_harm=3)
    page = StaffBrowser(app, team["coach2"]).text("/today")
    assert "Ines Okafor" not in page
    assert case.number not in page


@pytest.mark.slow
@pytest.mark.parametrize("who", ["coach", "supervisor"])
def test_today_page_statements_do_not_grow_with_cases(app, team, who):
    coach, browser = team["coach"], StaffBrowser(app, team[who])
    bulk_rows.caseload(coach, 10)
    browser.text("/today")
    with Statements() as few:
        browser.text("/today")
    bulk_rows.caseload(coach, 990, since=10)
    # The first look at other clients is recorded.
    browser.text("/today")
    with Statements() as many:
        page = browser.text("/today")
    assert ("1,000 open" if who == "coach" else "more than 400 open") in page
    assert len(many.seen) == len(few.seen) <= 17


@pytest.mark.slow
def test_today_says_when_suspended_handouts_are_counted_in_the_newest_cases(app, team):
    coach = team["coach"]
    browser = StaffBrowser(app, coach)
    bulk_rows.caseload(coach, 100)
    assert "newest open cases" not in browser.text("/today")
    bulk_rows.caseload(coach, 1, since=100)
    page = browser.text("/today")
    assert "In the 100 newest open cases, no handouts are suspended." in page
    assert '<a href="/handouts/suspended">See suspended handouts in all open cases</a>' in page
    made = builders.case(coach, "Ines Okafor")
    builders.screen(coach, made.client_id)
    with transaction():
        assign_handout(
            coach, lock_case(coach, made.case_id), "first-days-pause", message="", channel="portal"
        )
        set_manual_flag(coach, lock_client(coach, made.client_id), "unsafe_delivery")
    assert "In the 100 newest open cases, one handout is suspended." in browser.text("/today")
