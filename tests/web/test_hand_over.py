import pytest
import sqlalchemy as sa

from caseapp.core.database import db
from caseapp.core.transaction import transaction
from caseapp.domain.cases.queries import get_case_context
from caseapp.domain.followups.models import FollowUp
from caseapp.domain.staffing.queries import list_responsibilities
from tests.support import builders, staff
from tests.support.staff_pages import StaffBrowser, forms_in


@pytest.fixture
def team(team):
    return team | {"heir": staff.add("coach3", role="coach", supervisor="supervisor")}


@pytest.fixture
def ines(team):
    made = builders.case(team["coach"], "Ines Okafor")
    builders.screen(team["coach"], made.client_id, self_harm=3)
    return made


def send_all(browser, path, heir):
    """Choose who gets all clients, and confirm it."""
    asked = browser.send(path, f"{path}/all", heir_id=str(heir.id)).get_data(as_text=True)
    form = forms_in(asked, path, f"{path}/all/confirmed")[0]
    return browser.post(form.action, form.fields)


def left(team):
    return [found.client for found in list_responsibilities(team["coach"].id)]


@pytest.mark.slow
def test_supervisor_names_client_by_client_who_is_responsible(app, team, ines):
    other = builders.case(team["coach"], "Tomasz Held")
    builders.screen(team["coach"], other.client_id, sleep=2)
    # Nobody is kept waiting by this one, who needs a coach all the same.
    quiet = builders.case(team["coach"], "Ana Quiet")
    helen, path = StaffBrowser(app, team["supervisor"]), f"/hand-over/{team['coach'].id}"
    assert 'href="/hand-over"' in helen.text("/board")
    assert f'href="{path}"' in helen.text("/hand-over")
    page = helen.text(path)
    assert page.index("Ines Okafor") < page.index("Tomasz Held") < page.index("Ana Quiet")
    assert "can’t be disabled while a client here" in page
    answer = helen.send(path, f"{path}/{ines.client_id}", heir_id=str(team["heir"].id))
    assert (answer.status_code, answer.location) == (303, path)
    assert left(team) == ["Tomasz Held"]
    page = helen.text(path)
    assert "Handed over." in page
    assert "Ines Okafor" not in page
    action = f"{path}/{other.client_id}"
    assert helen.send(path, action, heir_id=str(team["supervisor"].id)).status_code == 303
    assert left(team) == []
    assert "They still need a coach." in helen.text(path)
    assert send_all(helen, path, team["heir"]).status_code == 303
    assert get_case_context(team["heir"], quiet.case_id).case.coach_id == team["heir"].id
    assert "Nothing is left to hand over." in helen.text(path)


def test_form_without_a_choice_is_refused_and_changes_nothing(app, team, ines):
    helen, path = StaffBrowser(app, team["supervisor"]), f"/hand-over/{team['coach'].id}"
    for action in (f"{path}/{ines.client_id}", f"{path}/all"):
        answer = helen.send(path, action, heir_id="")
        assert answer.status_code == 422
        assert "Choose who takes over." in answer.get_data(as_text=True)
    assert left(team) == ["Ines Okafor"]


@pytest.mark.slow
def test_all_are_handed_over_only_after_a_question_that_names_how_many_and_whom(app, team, ines):
    heir, helen = team["heir"], StaffBrowser(app, team["supervisor"])
    path = f"/hand-over/{team['coach'].id}"
    answer = helen.send(path, f"{path}/all", heir_id=str(heir.id))
    page = answer.get_data(as_text=True)
    assert answer.status_code == 200
    assert f"Hand over one client of {team['coach'].name} to {heir.name}?" in page
    assert "Ines Okafor" in page
    assert left(team) == ["Ines Okafor"]
    form = forms_in(page, path, f"{path}/all/confirmed")[0]
    other = builders.case(team["coach"], "Tomasz Held")
    builders.screen(team["coach"], other.client_id, sleep=2)
    page = helen.post(form.action, form.fields).get_data(as_text=True)
    assert f"Hand over 2 clients of {team['coach'].name} to {heir.name}?" in page
    assert left(team) == ["Ines Okafor", "Tomasz Held"]
    form = forms_in(page, path, f"{path}/all/confirmed")[0]
    helen.send(path, f"{path}/{other.client_id}", heir_id=str(heir.id))
    third = builders.case(team["coach"], "Mara Lind")
    builders.screen(team["coach"], third.client_id, sleep=2)
    page = helen.post(form.action, form.fields).get_data(as_text=True)
    assert "Mara Lind" in page
    assert left(team) == ["Ines Okafor", "Mara Lind"]
    with transaction():
        staff.disable("coach3@practice.test")
    form = forms_in(page, path, f"{path}/all/confirmed")[0]
    answer = helen.post(form.action, form.fields)
    assert answer.status_code == 422
    assert left(team) == ["Ines Okafor", "Mara Lind"]
    assert send_all(helen, path, team["supervisor"]).location == path
    assert left(team) == []


def test_page_warns_where_nobody_else_could_release_a_hold(app, team, ines):
    page = StaffBrowser(app, team["supervisor"]).text(f"/hand-over/{team['coach'].id}")
    assert "Helen Marsh (nobody else could then release a hold)" in page
    assert f'value="{team["heir"].id}"' in page
    assert f'value="{team["coach"].id}"' not in page
    assert f'value="{team["admin"].id}"' not in page


@pytest.mark.parametrize("who", ["coach", "admin"])
def test_only_supervisors_hand_over(app, team, ines, who):
    browser = StaffBrowser(app, team[who])
    for path in ("/hand-over", f"/hand-over/{team['coach'].id}"):
        assert browser.get(path).status_code == 403


def test_other_teams_are_not_found(app, team, ines):
    helen = StaffBrowser(app, team["supervisor"])
    assert helen.get(f"/hand-over/{team['coach2'].id}").status_code == 404
    stranger = StaffBrowser(app, staff.add("supervisor2"))
    assert stranger.get(f"/hand-over/{team['coach'].id}").status_code == 404


@pytest.mark.slow
def test_clients_of_somebody_who_was_disabled_before_can_be_handed_over(app, team, ines):
    with transaction():
        staff.disable("coach@practice.test")
    helen, path = StaffBrowser(app, team["supervisor"]), f"/hand-over/{team['coach'].id}"
    assert "Disabled" in helen.text("/hand-over")
    send_all(helen, path, team["heir"])
    assert left(team) == []


@pytest.mark.slow
def test_page_counts_follow_ups_of_another_team_and_its_supervisor_hands_them_over(app, team):
    ruth = staff.add("supervisor2")
    stranger = staff.add("coach4", role="coach", supervisor="supervisor2")
    made = builders.case(stranger, "Tomasz Held")
    builders.screen(stranger, made.client_id, self_harm=3)
    with transaction():
        db.session.execute(sa.update(FollowUp).values(assigned_to=team["supervisor"].id))
    path = f"/hand-over/{team['supervisor'].id}"
    page = StaffBrowser(app, team["supervisor"]).text(path)
    assert "Tomasz" not in page
    assert "open follow-ups about one client of another team" in page
    browser = StaffBrowser(app, ruth)
    assert f'href="{path}"' in browser.text("/board?show=unattended")
    answer = send_all(browser, path, stranger)
    assert (answer.status_code, answer.location) == (303, "/board?show=unattended")
    assert "Tomasz" not in browser.text("/board?show=unattended")
    assert "another team" not in StaffBrowser(app, team["supervisor"]).text(path)
