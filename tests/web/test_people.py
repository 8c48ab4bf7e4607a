import pytest

from caseapp.core.actor import operator
from caseapp.core.transaction import transaction
from caseapp.domain.reports.csv_table import coach_code
from caseapp.domain.users.operations import disable_user
from tests.support.staff_pages import Desk


def test_people_shows_roles_supervisors_and_codes(app, team):
    with transaction():
        disable_user(operator(), "coach2@practice.test")
    page = Desk(app, team["admin"]).text("/people")
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
def test_only_an_admin_sees_people(app, team, who):
    assert Desk(app, team[who]).get("/people").status_code == 403
