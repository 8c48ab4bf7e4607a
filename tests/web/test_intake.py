"""Intake: one form creates a client and their case in one transaction."""

import re

import pytest
import sqlalchemy as sa

from caseapp.core.database import db
from caseapp.domain.audit.queries import AuditFilter, list_audit_events
from caseapp.domain.cases.models import Case
from caseapp.domain.clients.codes import MOST_QUESTIONS
from caseapp.domain.clients.models import Client
from tests.support import builders
from tests.support.staff_pages import StaffBrowser

ANSWERS = {
    "name": "Ines Okafor",
    "pronouns": "she/her",
    "email": "ines@example.org",
    "partner_name": "Peter Okafor",
    "safe_channels": ["email", "portal"],
    "safe_times": "before 17:00",
    "consent_on": "2026-05-14",
    "consent_method": "written",
    "separation_status": "separated",
    "stated_reasons": ["peace", "duties"],
    "spouse_contact_wish": "asked_for_none",
    "children": "2",
}


def made():
    """Count the clients and the cases."""
    db.session.rollback()
    return [
        db.session.scalar(sa.select(sa.func.count()).select_from(table)) for table in (Client, Case)
    ]


def test_intake_creates_client_and_case(coach):
    answer = coach.send("/cases/new", **ANSWERS)
    assert answer.status_code == 303
    page = coach.text(answer.headers["Location"])
    assert "Client added. Start with a full screening." in page
    assert "Ines Okafor" in page
    assert "Contact block" in page
    details = answer.headers["Location"] + "/details"
    facts = coach.form(details, f"{details}/facts").fields
    assert facts["stated_reasons"] == ["peace", "duties"]
    client = coach.form(details, f"{details}/client").fields
    assert client["consent_on"] == ["2026-05-14"]
    assert made() == [1, 1]


def test_intake_with_name_and_channel_succeeds(coach):
    answer = coach.send("/cases/new", name="Ines Okafor", safe_channels=["in_person"])
    assert answer.status_code == 303


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "123"}, "name"),
        ({"safe_channels": None}, "safe_channels"),
        ({"email": "ines at home"}, "email"),
        ({"consent_on": "yesterday"}, "consent_on"),
        ({"review_date": "2026-13-01"}, "review_date"),
        ({"separated_since": "2026"}, "separated_since"),
        ({"safe_warning": "x" * 100_000}, "safe_warning"),
        ({"gender": "x" * 61}, "gender"),
        ({"role": "husband"}, "role"),
        ({"coach_id": "me"}, "coach_id"),
        ({"colour": "blue"}, "colour"),
    ],
)
def test_invalid_intake_creates_nothing_and_keeps_answers(coach, changed, field):
    answer = coach.send("/cases/new", **ANSWERS | changed)
    page = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert f'href="#{field}"' in page
    kept = ANSWERS | changed
    for name in ("pronouns", "email", "partner_name", "safe_times", "children"):
        assert f'value="{kept[name]}"' in page
    assert 'value="duties" checked' in page
    assert '<option value="asked_for_none" selected>' in page
    assert made() == [0, 0]


def test_errors_of_client_and_case_are_shown_together(coach):
    page = coach.send("/cases/new", **ANSWERS | {"name": "", "gender": "x" * 61})
    assert 'href="#name"' in page.get_data(as_text=True)
    assert 'href="#gender"' in page.get_data(as_text=True)


def test_empty_form_creates_nothing(coach):
    assert coach.send("/cases/new").status_code == 422
    assert made() == [0, 0]


def test_form_sent_twice_creates_one_case(coach):
    form = coach.form("/cases/new")
    first, second = (coach.post(form.action, form.fields | ANSWERS) for _ in range(2))
    assert first.status_code == second.status_code == 303
    assert first.headers["Location"] == second.headers["Location"]
    assert made() == [1, 1]


def test_form_without_form_key_creates_nothing(coach):
    assert coach.send("/cases/new", **ANSWERS, form_key=None).status_code == 422
    assert made() == [0, 0]


def test_form_without_csrf_token_is_refused(coach):
    assert coach.send("/cases/new", **ANSWERS, csrf_token="guessed").status_code == 400
    assert made() == [0, 0]


def test_intake_for_admin_is_forbidden(app, team):
    admin = StaffBrowser(app, team["admin"])
    assert admin.post("/cases/new", admin.token | ANSWERS).status_code == 403
    assert made() == [0, 0]


@pytest.fixture
def spouse(team):
    """Create the spouse as a client of another supervisor's coach."""
    return builders.client(team["coach2"], "Peter Okafor")


def test_conflict_for_coach_only_refers_to_supervisor(coach, spouse):
    answer = coach.send("/cases/new", **ANSWERS)
    page = answer.get_data(as_text=True)
    assert answer.status_code == 409
    assert "Talk to your supervisor before saving." in page
    assert 'name="agreed"' not in page
    assert "Jonas Adler" not in page
    assert page.count("Peter Okafor") == 1, "only in the field that the coach filled in"
    assert 'value="ines@example.org"' in page
    assert made() == [1, 0]


@pytest.mark.slow
def test_conflict_that_the_supervisor_decides_is_saved_and_recorded(
    team, coach, supervisor, spouse
):
    answers = ANSWERS | {"agreed": "yes", "coach_id": str(team["coach"].id)}
    assert coach.send("/cases/new", **ANSWERS, agreed="yes").status_code == 409
    answer = supervisor.send("/cases/new", **answers)
    assert answer.status_code == 303
    assert coach.get(answer.headers["Location"]).status_code == 200
    found = list_audit_events(team["admin"], AuditFilter(action="client.create"), None, 10).items
    assert found[0].details == {"possible_conflict": "supervisor decided"}


def test_own_client_is_named_and_the_coach_decides_that_it_is_somebody_else(team, coach):
    number = builders.case(team["coach"], "Inès Okafor").number
    answer = coach.send("/cases/new", **ANSWERS)
    page = answer.get_data(as_text=True)
    assert answer.status_code == 409
    assert f"You already have a client, Inès Okafor, {number}, who has the same name." in page
    assert "this is somebody else" in page
    assert coach.send("/cases/new", **ANSWERS, agreed="yes").status_code == 303


@pytest.mark.slow
def test_questions_past_the_limit_are_not_answered(coach, spouse):
    for _ in range(MOST_QUESTIONS):
        assert coach.send("/cases/new", **ANSWERS).status_code == 409
    other = ANSWERS | {"name": "Eva Blum", "partner_name": "Noor Haddad"}
    answer = coach.send("/cases/new", **other)
    assert answer.status_code == 409
    assert f"told of {MOST_QUESTIONS} possible conflicts" in answer.get_data(as_text=True)
    assert made() == [1, 0]


def test_conflict_for_supervisor_shows_both_records(supervisor, spouse):
    answer = supervisor.send("/cases/new", **ANSWERS)
    page = answer.get_data(as_text=True)
    assert answer.status_code == 409
    assert "Peter Okafor (coach: Jonas Adler) has the name of this person" in page
    assert 'value="Ines Okafor"' in page
    assert supervisor.send("/cases/new", **ANSWERS, agreed="yes").status_code == 303


def test_refused_intake_is_in_audit_log(team, coach, spouse):
    coach.send("/cases/new", **ANSWERS)
    refused = list_audit_events(team["admin"], AuditFilter(outcome="refused"), None, 10).items
    assert [(entry.action, entry.details) for entry in refused] == [
        ("client.create", {"reasons": ["possible_conflict"]})
    ]


def test_supervisor_chooses_one_of_their_coaches(team, coach, supervisor):
    assert 'name="coach_id"' not in coach.text("/cases/new")
    page = supervisor.text("/cases/new")
    assert "Marta Lindqvist" in page
    assert "Jonas Adler" not in page
    answer = supervisor.send("/cases/new", **ANSWERS, coach_id=str(team["coach"].id))
    assert "Coach</dt><dd>Marta Lindqvist" in coach.text(answer.headers["Location"])


@pytest.mark.parametrize("who", ["coach", "supervisor"])
def test_intake_for_coach_of_other_supervisor_is_refused(app, team, who):
    answer = StaffBrowser(app, team[who]).send(
        "/cases/new", **ANSWERS, coach_id=str(team["coach2"].id)
    )
    assert answer.status_code == 422
    assert made() == [0, 0]


@pytest.mark.slow
def test_refused_intake_is_put_to_a_supervisor_and_opened_without_typing_again(
    team, coach, supervisor, spouse
):
    refused = coach.send("/cases/new", **ANSWERS).get_data(as_text=True)
    assert 'formaction="/cases/new/ask"' in refused
    form = coach.form("/cases/new")
    asked = coach.post("/cases/new/ask", form.fields | ANSWERS).location
    assert "One intake is waiting for your decision." in supervisor.text("/today")
    listed = coach.text("/intakes")
    assert "Waiting" in listed
    assert not re.search(r"\bfits?\b", listed), "nothing was compared"
    page = supervisor.text(asked)
    assert "Peter Okafor (coach: Jonas Adler)" in page
    assert "before 17:00" not in page
    decision = f"{asked}/decision"
    undecided = supervisor.send(asked, decision, is_allowed="")
    assert (undecided.status_code, "Choose yes or no." in undecided.text) == (422, True)
    form = supervisor.form(asked, decision)
    builders.client(team["coach2"], "Ines Okafor", agreed=True)
    answer = supervisor.post(decision, form.fields | {"is_allowed": "no"})
    assert answer.status_code == 409
    for words in (
        "The records that match this intake have changed",
        "Ines Okafor (coach:",
        "selected>No<",
    ):
        assert words in answer.text
    assert "has no field" not in answer.text
    assert supervisor.send(asked, decision, is_allowed="no").status_code == 303
    assert "A supervisor has decided about one intake that you entered." in coach.text("/today")
    page = coach.text(asked)
    assert "You can’t open this case" in page
    for words in ("Jonas Adler", "Helen Marsh"):
        assert words not in page + coach.text("/intakes")
    refused = coach.send(asked, f"{asked}/case").get_data(as_text=True)
    assert f'formaction="{asked}/ask"' in refused
    again = coach.post(f"{asked}/ask", coach.form(asked, f"{asked}/case").fields).location
    assert coach.get(asked).status_code == 404
    assert supervisor.send(again, f"{again}/decision", is_allowed="yes").status_code == 303
    form = coach.form(again, f"{again}/case")
    opened, twice = (coach.post(form.action, form.fields) for _ in range(2))
    assert opened.status_code == 303
    assert twice.location == opened.location
    assert "Ines Okafor" in coach.text(opened.location)
    assert coach.get(again).status_code == 404
    assert made() == [3, 1]
