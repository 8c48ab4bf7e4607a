import pytest

from caseapp.domain.dashboard.board import GROUPS
from tests.domain.dashboard import bulk_rows
from tests.support import builders
from tests.support.staff_pages import StaffBrowser


@pytest.mark.slow
def test_board_shows_counts_first_and_leads_to_each_group(app, team):
    coach = team["coach"]
    made = builders.case(coach, "Ines Okafor")
    builders.screen(coach, made.client_id, self_harm=3, days_ago=9)
    builders.draft(coach, made.case_id, days_ago=3)
    helen = StaffBrowser(app, team["supervisor"])
    assert 'href="/board"' in helen.text("/today")
    page = helen.text("/board")
    first_panel = page.index('class="panel"')
    for group in GROUPS:
        assert page.index(f'href="/board?show={group}"') < first_panel
    assert f'href="/case/{made.number}/hold"' in page
    assert f'href="/case/{made.number}/follow-ups"' in page
    assert "Sent to Helen Marsh" in page
    assert "3 days old" in page
    assert 'id="h-holds"' not in page
    assert "No hold is waiting for a second person." in helen.text("/board?show=holds")


@pytest.mark.slow
def test_group_alone_is_paged_and_names_all_of_its_rows(app, team):
    bulk_rows.caseload(team["coach"], 30)
    helen = StaffBrowser(app, team["supervisor"])
    assert "Show all 30" in helen.text("/board")
    page = helen.text("/board?show=notes")
    assert page.count("row-tight") == 25
    assert 'rel="next"' in page
    assert "Overdue actions" not in page.split("<main")[1]


@pytest.mark.slow
def test_overdue_actions_of_one_person_have_an_address(app, team):
    coach = team["coach"]
    made = builders.case(coach, "Ines Okafor")
    builders.screen(coach, made.client_id, self_harm=3, days_ago=9)
    helen = StaffBrowser(app, team["supervisor"])
    assert f'href="/board?show=actions&amp;person={coach.id}"' in helen.text("/board")
    assert "Ines Okafor" in helen.text(f"/board?show=actions&person={coach.id}")
    page = helen.text(f"/board?show=actions&person={team['supervisor'].id}")
    assert "Ines Okafor" not in page


@pytest.mark.parametrize("who", ["coach", "admin"])
def test_board_is_shown_to_supervisors_only(app, team, who):
    browser = StaffBrowser(app, team[who])
    browser.text("/board", 403)
    assert 'href="/board"' not in browser.text("/today")


def test_board_shows_no_clients_of_other_teams(app, team):
    made = builders.case(team["coach2"], "Ines Okafor")
    builders.screen(team["coach2"], made.client_id, self_harm=3, days_ago=9)
    builders.draft(team["coach2"], made.case_id)
    page = StaffBrowser(app, team["supervisor"]).text("/board")
    assert "Ines Okafor" not in page
    assert made.number not in page


@pytest.mark.slow
def test_board_without_anything_says_so(app, team):
    page = StaffBrowser(app, team["supervisor"]).text("/board")
    assert "Nothing is waiting." in page
    assert page.count('class="panel"') == 1
