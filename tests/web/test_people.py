import pytest

from caseapp.core.transaction import transaction
from caseapp.domain.reports.csv_table import coach_code
from tests.support import staff
from tests.support.staff_pages import StaffBrowser


def test_people_list_shows_roles_supervisors_and_codes(app, team):
    with transaction():
        staff.disable("coach2@practice.test")
    page = StaffBrowser(app, team["admin"]).text("/people")
    for words in (
        "Marta Lindqvist",
        "coach@practice.test",
        "Helen Marsh",
        coach_code(team["coach"].id),
    ):
        assert words in page
    assert page.count("No access since") == 1
    assert page.index("Jonas Adler") > page.index("Marta Lindqvist")
    assert "caseapp user add" in page


def test_admin_removes_the_second_factor_of_somebody_and_says_why(app, team, visitor):
    admin, coach = StaffBrowser(app, team["admin"]), team["coach"]
    page = f"/people/{coach.id}/second-factor"
    assert page not in admin.text("/people")
    assert "nothing to remove" in admin.text(page)
    staff.set_up_app(coach)
    assert page in admin.text("/people")
    refused = admin.send(page)
    assert refused.status_code == 422
    assert "Choose a reason." in refused.get_data(as_text=True)
    assert admin.send(page, reason="lost").location == "/people"
    assert staff.sign_in(visitor, coach).location == "/today"
    assert "was removed on" in StaffBrowser(app, coach).text("/account/second-factor")
    assert (
        admin.get("/people/00000000-0000-0000-0000-000000000000/second-factor").status_code == 404
    )
    assert StaffBrowser(app, team["supervisor"]).get(page).status_code == 403


@pytest.mark.parametrize("who", ["coach", "supervisor"])
def test_only_admins_see_people(app, team, who):
    assert StaffBrowser(app, team[who]).get("/people").status_code == 403
