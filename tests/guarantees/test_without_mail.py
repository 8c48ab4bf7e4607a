"""Nothing needs mail: whatever is mailed is also told on a page, printed, or said by a person whom a page asks to."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from caseapp.core import mail
from caseapp.core.actor import operator
from caseapp.core.settings import ROOT
from caseapp.core.transaction import transaction
from caseapp.domain.alerts.operations import acknowledge_alert
from caseapp.domain.alerts.queries import list_waiting_alerts, lock_alert
from caseapp.domain.auth.second_factor import remove_second_factor_of
from caseapp.domain.practice.queries import today
from caseapp.domain.screening.hold_operations import name_second_person
from caseapp.domain.screening.queries import lock_hold
from caseapp.domain.staffing.coach_news import TELLING, add_telling_task
from tests.domain.screening.hold_helpers import only_hold
from tests.domain.staffing.steps import give
from tests.support import builders, staff
from tests.support.staff_pages import StaffBrowser
from tests.web.test_people import INES, choose, code_on

KINDS = {path.stem for path in (ROOT / "templates" / "emails").glob("*.txt")}


@pytest.fixture
def without_mail(monkeypatch):
    """Fail whenever mail is sent; nothing waits for it either."""

    def refuse(_message: Any) -> None:
        raise ConnectionError

    monkeypatch.setattr(mail, "send", refuse)


@pytest.mark.slow
def test_every_kind_of_mail_has_another_way_which_a_page_tells(app, team, visitor, without_mail):
    coach, colleague, supervisor = team["coach"], team["coach2"], team["supervisor"]
    helper, person = staff.add("supervisor2"), f"/people/{coach.id}"
    admin, told = StaffBrowser(app, team["admin"]), {}
    # Accounts: codes are handed over, and the account tells what was done to it.
    told["invitation"] = admin.text("/people/invite"), "No mail server is set"
    assert code_on(admin.send("/people/invite", **INES, way="code"))
    told["address-changed"] = admin.text(person), "tell them the new address yourself"
    told["forgotten-password"] = (
        visitor.get("/sign-in/forgotten").get_data(as_text=True),
        "ask whoever manages accounts for a printed code",
    )
    code = code_on(admin.send(person, f"{person}/password-code", reset_reason="forgotten"))
    assert choose(visitor, staff.PASSWORD, code=code).location == "/sign-in"
    staff.set_up_app(coach)
    with transaction():
        remove_second_factor_of(operator(), coach.id, "lost")
    own = StaffBrowser(app, coach)
    told["password-replaced"] = own.text("/account"), "last reset with a link or code"
    told["second-factor-removed"] = own.text("/account/second-factor"), "was removed on"
    # Clients: a hold with its alert, a second person, emergency access, cover, and a hand-over.
    made = builders.case(coach, "Ines Okafor")
    builders.screen(coach, made.client_id, self_harm=3)
    theirs = StaffBrowser(app, supervisor)
    told["alert"] = theirs.text("/today"), "alert is waiting for you"
    told["board"] = theirs.text("/board"), "What needs attention among your clients"
    hold = only_hold(made.client_id)
    with transaction():
        name_second_person(coach, lock_hold(coach, hold.id), helper.id, hold.version)
    told["second-person"] = StaffBrowser(app, helper).text("/today"), "For you to release"
    builders.read_in_emergency(colleague, made.number)
    told["emergency-access"] = own.text("/today"), "Read using emergency access"
    path, day = f"/cover/for/{coach.id}", today()
    days = {"starts_on": day.isoformat(), "ends_on": (day + timedelta(days=1)).isoformat()}
    answer = own.send(path, path, user_id=str(colleague.id), all="yes", **days)
    assert answer.status_code == 303
    covering = StaffBrowser(app, colleague)
    told["cover"] = covering.text("/today"), "You are covering for"
    with transaction():
        [alert] = list_waiting_alerts(supervisor)
        acknowledge_alert(supervisor, lock_alert(supervisor, alert.id))
    give(supervisor, made, coach, colleague)
    told["hand-over"] = covering.text("/today"), "handed over to you"
    assert "Ines Okafor" in covering.text("/transfers").partition("Handed over to me")[2]
    # Clients in the portal: a card, and the new coach, who has it as a follow-up.
    told["reading-link"] = visitor.get("/portal/sign-in").get_data(as_text=True), "printed card"
    with transaction():
        add_telling_task(operator(), uuid4(), made.client_id, colleague.id)
    told["portal-line"] = covering.text("/today"), TELLING
    assert {kind: words for kind, (page, words) in told.items() if words not in page} == {}
    assert told.keys() == KINDS
