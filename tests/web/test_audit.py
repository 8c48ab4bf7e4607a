import re
from uuid import uuid4

import pytest

from caseapp.core.permissions import Action
from caseapp.domain.audit.queries import AuditFilter, list_audit_events
from caseapp.web.audit import ACTION_LABELS
from tests.support import builders
from tests.support.staff_pages import StaffBrowser, Statements, lasting

pytestmark = pytest.mark.both


def rows(page):
    return re.findall(r"<tr>\s*<th scope=\"row\".*?</tr>", page, re.DOTALL)


def test_log_names_staff_but_no_client(team, admin):
    made = builders.case(team["coach"], "Ines Okafor")
    page = admin.text("/log")
    assert "Marta Lindqvist" in page
    assert "Opened a case" in page
    assert str(made.client_id)[-12:] in page
    assert "Ines" not in lasting(page)


def test_log_filters(app, team, admin):
    ines = builders.case(team["coach"])
    builders.case(team["coach2"])
    StaffBrowser(app, team["coach2"]).get(f"/case/{ines.number}")
    assert len(rows(admin.text(f"/log?client={ines.client_id}&action=case.open"))) == 1
    [refused] = rows(admin.text("/log?outcome=refused"))
    assert "Jonas Adler" in refused
    page = admin.text(f"/log?by={team['coach'].id}&action=client.create")
    assert len(rows(page)) == 1
    assert '<option value="client.create" selected>' in page


@pytest.mark.slow
def test_log_pages(team, admin):
    for _ in range(15):
        builders.case(team["coach"])
    first = admin.text("/log?action=case.open")
    assert len(rows(first)) == 15
    page = admin.text("/log")
    assert len(rows(page)) == 25
    following = re.search(r'href="(/log\?cursor=[^"]+)" rel="next"', page)[1]
    assert rows(admin.text(following.replace("&amp;", "&")))


@pytest.mark.parametrize("wrong", ["action=everything", "outcome=maybe", "by=Marta", "client=Ines"])
def test_invalid_filter_is_named_and_ignored(admin, wrong):
    page = admin.text(f"/log?{wrong}")
    name = wrong.partition("=")[0]
    assert f'<a href="#{name}">' in page
    assert rows(page)


def test_empty_log_shows_a_message(admin):
    assert "No events match." in admin.text(f"/log?client={uuid4()}")


def test_every_reading_of_the_log_is_recorded_with_its_filters_and_period(team, admin):
    made = builders.case(team["coach"])
    admin.text(f"/log?client={made.client_id}&outcome=done")
    admin.text("/log?by=nobody")
    admin.text("/log?by=nobody")
    wanted = AuditFilter(action=Action.AUDIT_READ)
    *again, first = list_audit_events(team["admin"], wanted, None, 9).items
    assert first.details["filters"] == {"client_id": str(made.client_id), "outcome": "done"}
    assert (first.details["events"], first.details["clients"]) == (2, 1)
    assert first.details["from"] <= first.details["to"] <= first.occurred_at.isoformat()
    assert [event.details["filters"] for event in again] == [{}, {}]
    shown = list_audit_events(team["admin"], AuditFilter(client_id=made.client_id), None, 9).items
    assert {first.id, *(event.id for event in again)} <= {event.id for event in shown}


@pytest.mark.parametrize("who", ["coach", "supervisor"])
def test_only_admins_read_the_log(app, team, who):
    """Neither a coach nor a supervisor does (VULN-11)."""
    assert StaffBrowser(app, team[who]).get("/log").status_code == 403


def test_every_action_has_a_label():
    assert set(ACTION_LABELS) == set(Action)


@pytest.mark.slow
def test_log_uses_a_fixed_number_of_statements(team, admin):
    def seen():
        with Statements() as asked:
            admin.text("/log")
        return len(asked.seen)

    builders.case(team["coach"])
    admin.text("/log")
    few = seen()
    for _ in range(10):
        builders.case(team["coach"])
    assert seen() == few
