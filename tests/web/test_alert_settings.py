from __future__ import annotations

import pytest
import sqlalchemy as sa

from caseapp.core.database import db
from caseapp.core.transaction import transaction
from caseapp.domain.alerts.models import AlertSetting
from caseapp.domain.users.models import User
from tests.support import staff
from tests.support.staff_pages import StaffBrowser

TIMES = {
    "safety_deputy_minutes": "20",
    "safety_manager_minutes": "60",
    "care_deputy_days": "2",
    "care_manager_days": "3",
}


@pytest.fixture
def team(second_supervisor_in_template, team):
    return team | staff.find_team(["supervisor2"])


@pytest.fixture
def admin(app, team):
    return StaffBrowser(app, team["admin"])


def setting():
    db.session.rollback()
    return db.session.scalars(sa.select(AlertSetting)).one()


def account(actor):
    db.session.rollback()
    return db.session.scalars(sa.select(User).where(User.id == actor.id)).one()


def test_admin_sets_manager_and_times(admin, team):
    manager = str(team["supervisor2"].id)
    answer = admin.send("/settings/alerts", manager_id=manager, **TIMES)
    assert answer.status_code == 303
    found = setting()
    assert found.manager_id == team["supervisor2"].id
    assert {name: str(getattr(found, name)) for name in TIMES} == TIMES
    assert admin.send("/settings/alerts", care_manager_days="").status_code == 303
    assert setting().care_manager_days is None


@pytest.mark.parametrize("who", ["coach", "admin"])
def test_manager_who_is_no_supervisor_is_refused(admin, team, who):
    answer = admin.send("/settings/alerts", manager_id=str(team[who].id))
    assert answer.status_code == 422
    assert "must be a supervisor" in answer.get_data(as_text=True)
    assert setting().manager_id is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"safety_deputy_minutes": "0"},
        {"safety_manager_minutes": "19"},
        {"safety_manager_minutes": "1441"},
        {"care_deputy_days": "11"},
        {"care_manager_days": "1"},
        {"care_deputy_days": ""},
        {"manager_id": "01890000-0000-7000-8000-000000000000"},
    ],
)
def test_times_that_make_no_sense_are_refused(admin, wrong):
    assert admin.send("/settings/alerts", **(TIMES | wrong)).status_code == 422
    assert setting().safety_deputy_minutes == 30


def test_admin_sets_phone_hours_and_deputy(admin, team):
    path = f"/settings/alerts/{team['supervisor'].id}"
    deputy = str(team["supervisor2"].id)
    answer = admin.send(path, phone="020 7946 0142", on_call_hours="Any hour", deputy_id=deputy)
    assert answer.status_code == 303
    found = account(team["supervisor"])
    assert (found.phone, found.on_call_hours) == ("020 7946 0142", "Any hour")
    assert found.deputy_id == team["supervisor2"].id
    page = admin.text("/settings/alerts")
    assert "020 7946 0142" in page
    assert "Ruth Vance" in page


@pytest.mark.parametrize("who", ["supervisor", "coach", "admin"])
def test_deputy_must_be_another_active_supervisor(admin, team, who):
    path = f"/settings/alerts/{team['supervisor'].id}"
    assert admin.send(path, deputy_id=str(team[who].id)).status_code == 422
    assert account(team["supervisor"]).deputy_id is None


def test_deputy_whose_account_is_disabled_is_refused(admin, team):
    with transaction():
        staff.disable("supervisor2@practice.test")
    path = f"/settings/alerts/{team['supervisor'].id}"
    assert str(team["supervisor2"].id) not in admin.text(path)
    assert admin.send(path, deputy_id=str(team["supervisor2"].id)).status_code == 422


def test_coach_has_no_deputy(admin, team):
    path = f"/settings/alerts/{team['coach'].id}"
    assert "Deputy" not in admin.text(path)
    assert admin.send(path, deputy_id=str(team["supervisor"].id)).status_code == 422


@pytest.mark.parametrize("phone", ["call me", "12", "+44 <b>"])
def test_phone_that_is_no_number_is_refused(admin, team, phone):
    path = f"/settings/alerts/{team['coach'].id}"
    assert admin.send(path, phone=phone).status_code == 422
    assert account(team["coach"]).phone == ""


def test_settings_of_alerts_are_the_admins(app, team):
    for who in ("coach", "supervisor"):
        assert StaffBrowser(app, team[who]).get("/settings/alerts").status_code == 403
