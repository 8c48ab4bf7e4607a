import re
from uuid import uuid4

import pytest

from caseapp.core.permissions import Action
from caseapp.domain.audit.queries import LogFilter, entries
from caseapp.web.audit import WORDS
from tests.support import builders
from tests.support.staff_pages import Desk, Statements, lasting

pytestmark = pytest.mark.both


def rows(page):
    return re.findall(r"<tr>\s*<th scope=\"row\".*?</tr>", page, re.DOTALL)


def test_the_log_names_staff_and_never_a_client(team, admin):
    made = builders.case(team["coach"], "Ines Okafor")
    page = admin.text("/log")
    assert "Marta Lindqvist" in page
    assert "Opened a case" in page
    assert str(made.client_id)[-12:] in page
    assert "Ines" not in lasting(page)


def test_filters_narrow_the_log(app, team, admin):
    ines = builders.case(team["coach"])
    builders.case(team["coach2"])
    Desk(app, team["coach2"]).get(f"/case/{ines.number}")
    assert len(rows(admin.text(f"/log?client={ines.client_id}&action=case.open"))) == 1
    [refused] = rows(admin.text("/log?outcome=refused"))
    assert "Jonas Adler" in refused
    page = admin.text(f"/log?by={team['coach'].id}&action=client.create")
    assert len(rows(page)) == 1
    assert '<option value="client.create" selected>' in page


def test_the_log_goes_on_page_by_page(team, admin):
    for _ in range(15):
        builders.case(team["coach"])
    first = admin.text("/log?action=case.open")
    assert len(rows(first)) == 15
    page = admin.text("/log")
    assert len(rows(page)) == 25
    following = re.search(r'href="(/log\?cursor=[^"]+)" rel="next"', page)[1]
    assert rows(admin.text(following.replace("&amp;", "&")))


@pytest.mark.parametrize("wrong", ["action=everything", "outcome=maybe", "by=Marta", "client=Ines"])
def test_what_cannot_be_meant_is_named_and_left_out(admin, wrong):
    page = admin.text(f"/log?{wrong}")
    name = wrong.partition("=")[0]
    assert f'<a href="#{name}">' in page
    assert rows(page)


def test_an_empty_answer_says_so(admin):
    assert "Nothing in the log matches." in admin.text(f"/log?client={uuid4()}")


def test_reading_the_log_stands_in_it_once_a_quarter_of_an_hour(team, admin):
    admin.text("/log")
    admin.text("/log")
    assert len(entries(team["admin"], LogFilter(action=Action.AUDIT_READ), None, 9).items) == 1


@pytest.mark.parametrize("who", ["coach", "supervisor"])
def test_only_an_admin_reads_the_log(app, team, who):
    assert Desk(app, team[who]).get("/log").status_code == 403


def test_every_action_has_words():
    assert set(WORDS) == set(Action)


def test_the_log_asks_the_same_for_few_entries_and_for_many(team, admin):
    def seen():
        with Statements() as asked:
            admin.text("/log")
        return len(asked.seen)

    admin.text("/log")
    few = seen()
    for _ in range(10):
        builders.case(team["coach"])
    assert seen() == few
