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


@pytest.mark.parametrize("who", ["coach", "supervisor"])
def test_only_admins_see_people(app, team, who):
    assert StaffBrowser(app, team[who]).get("/people").status_code == 403
