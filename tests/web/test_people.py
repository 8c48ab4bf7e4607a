import re

import pytest
import sqlalchemy as sa

from caseapp.core import outbox
from caseapp.core.database import db
from caseapp.core.transaction import transaction
from caseapp.domain.auth.models import Credential
from caseapp.domain.auth.queries import get_account
from caseapp.domain.reports.csv_table import coach_code
from caseapp.domain.users.queries import find_user_by_email
from tests.support import builders, staff
from tests.support.portal_client import mailbox_server
from tests.support.staff_pages import StaffBrowser

NEW = "another good pass phrase"
INES = {"name": "Ines Okafor", "email": "ines@practice.test", "role": "supervisor"}


def test_people_list_shows_roles_supervisors_and_codes(app, team):
    with transaction():
        staff.disable("coach2@practice.test")
    admin = StaffBrowser(app, team["admin"])
    page = admin.text("/people")
    for words in (
        "Marta Lindqvist",
        "coach@practice.test",
        "Helen Marsh",
        coach_code(team["coach"].id),
    ):
        assert words in page
    assert "Jonas Adler" not in page
    assert "caseapp user" not in page
    page = admin.text("/people?state=disabled")
    assert page.count("No access since") == 1
    assert "Jonas Adler" in page
    assert "Marta Lindqvist" not in page
    assert "Nobody matches." in admin.text("/people?state=invited")
    assert "Helen Marsh" not in admin.text("/people?role=admin")


@pytest.mark.slow
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
    assert admin.send(page, reason="lost").location == f"/people/{coach.id}"
    assert staff.sign_in(visitor, coach).location == "/today"
    assert "was removed on" in StaffBrowser(app, coach).text("/account/second-factor")
    assert (
        admin.get("/people/00000000-0000-0000-0000-000000000000/second-factor").status_code == 404
    )
    assert StaffBrowser(app, team["supervisor"]).get(page).status_code == 403


def code_on(answer):
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return re.findall(r'class="code num">([^<]+)<', answer.get_data(as_text=True))[0]


def choose(visitor, password=NEW, code=None, path="/sign-in/password"):
    page = visitor.get(path)
    if page.status_code == 303:
        page = visitor.get(page.location)
    assert page.status_code == 200
    fields = {"csrf_token": staff.csrf(page), "new_password": password}
    return visitor.post("/sign-in/password", data=fields | ({"code": code} if code else {}))


@pytest.mark.slow
def test_invited_person_chooses_a_password_with_a_code_and_signs_in(app, team, visitor):
    admin = StaffBrowser(app, team["admin"])
    refused = admin.send("/people/invite", **INES | {"email": "coach@practice.test"}, way="code")
    assert refused.status_code == 422
    assert "Ines Okafor" in refused.get_data(as_text=True)
    old = code_on(admin.send("/people/invite", **INES, way="code"))
    user = find_user_by_email("ines@practice.test")
    assert "Ines Okafor" in admin.text("/people?state=invited")
    page = f"/people/{user.id}"
    new = code_on(admin.send(page, f"{page}/invitation", way="code"))
    assert choose(visitor, code=old).status_code == 401
    weak = choose(visitor, "too short", code=new)
    assert weak.status_code == 422
    assert "Use 15 characters or more" in weak.get_data(as_text=True)
    assert choose(visitor, code=new).location == "/sign-in"
    fields = {"email": "ines@practice.test", "password": NEW}
    fields["csrf_token"] = staff.csrf(visitor.get("/sign-in"))
    assert visitor.post("/sign-in", data=fields).location == "/today"
    assert get_account(user.id).state == "active"


@pytest.mark.slow
def test_link_is_mailed_and_only_sending_the_form_uses_it(app, team, visitor):
    with mailbox_server() as mailbox:
        sent = StaffBrowser(app, team["admin"]).send("/people/invite", **INES, way="mail")
        assert sent.status_code == 303
        page = visitor.get("/sign-in/forgotten")
        fields = {"csrf_token": staff.csrf(page), "email": "Coach@practice.test"}
        assert visitor.post("/sign-in/forgotten", data=fields).location == "/sign-in/forgotten"
        fields["email"] = "nobody@practice.test"
        assert visitor.post("/sign-in/forgotten", data=fields).location == "/sign-in/forgotten"
        for _ in range(2):
            outbox.sweep()
        found = {message["To"]: message.get_content() for message in mailbox.messages()}
    assert found.keys() == {"ines@practice.test", "coach@practice.test"}
    for text in found.values():
        [path] = re.findall(r"/sign-in/password/[\w-]+", text)
        db.session.rollback()
        before = db.session.execute(sa.select(Credential.__table__)).all()
        assert visitor.get(path).location == "/sign-in/password"
        assert b"Choose a password" in visitor.get("/sign-in/password").data
        db.session.rollback()
        assert db.session.execute(sa.select(Credential.__table__)).all() == before
        assert choose(visitor, path=path).location == "/sign-in"
        # A second click, or the form again after going back: it was chosen.
        assert choose(visitor, path=path).location == "/sign-in"
        assert choose(visitor).location == "/sign-in"
        assert choose(app.test_client(), path=path).status_code == 401


@pytest.mark.slow
def test_admin_makes_a_code_for_somebody_else_who_reads_it_on_their_account(app, team, visitor):
    admin, coach = StaffBrowser(app, team["admin"]), team["coach"]
    page = f"/people/{coach.id}"
    assert "Choose a reason." in admin.send(page, f"{page}/password-code").get_data(as_text=True)
    code = code_on(admin.send(page, f"{page}/password-code", reset_reason="forgotten"))
    assert choose(visitor, staff.PASSWORD, code=code).location == "/sign-in"
    assert "last reset with a link or code" in StaffBrowser(app, coach).text("/account")
    own = admin.text(f"/people/{team['admin'].id}")
    assert "password-code" not in own
    assert "This is your own account" in own


@pytest.mark.slow
def test_admin_edits_moves_disables_and_enables_somebody(app, team):
    admin, coach = StaffBrowser(app, team["admin"]), team["coach"]
    page = f"/people/{coach.id}"
    assert admin.send(page, name="Marta Lund").status_code == 303
    assert "Marta Lund" in admin.text(page)
    made = builders.case(coach)
    builders.screen(coach, made.client_id, self_harm=3)
    left = admin.text(page)
    assert made.number in left
    assert "Helen Marsh supervises them. A supervisor can hand over the clients here" in left
    assert f"/hand-over/{coach.id}" in left
    for answer in (
        admin.send(page, f"{page}/role", role="admin", supervisor_id=None),
        admin.send(page, f"{page}/disable"),
    ):
        assert answer.status_code == 409
        assert made.number in answer.get_data(as_text=True)
    page = f"/people/{team['coach2'].id}"
    assert admin.send(page, f"{page}/sessions/end").location == page
    role = {"role": "supervisor", "supervisor_id": str(team["supervisor"].id)}
    assert admin.send(page, f"{page}/role", **role).location == page
    assert get_account(team["coach2"].id).user.role == "supervisor"
    assert admin.send(page, f"{page}/disable").location == page
    assert "No access since" in admin.text(page)
    assert admin.send(page, f"{page}/enable").location == page
    assert "No access since" not in admin.text(page)
    page = f"/people/{team['supervisor'].id}"
    left = admin.send(page, f"{page}/disable")
    assert left.status_code == 409
    assert "Name another supervisor for them." in left.get_data(as_text=True)
    successor = {"successor_id": str(team["coach2"].id)}
    assert admin.send(page, f"{page}/disable", **successor).location == page
    page = f"/people/{team['admin'].id}"
    assert "There is no other admin" in admin.send(page, f"{page}/disable").get_data(as_text=True)


@pytest.mark.parametrize("who", ["coach", "supervisor"])
def test_only_admins_see_people(app, team, who):
    assert StaffBrowser(app, team[who]).get("/people").status_code == 403
