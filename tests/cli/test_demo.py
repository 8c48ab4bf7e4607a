from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from caseapp.cli import demo
from caseapp.core.actor import Actor
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import Invalid, RuleBroken
from caseapp.core.i18n import format_date
from caseapp.core.permissions import Role
from caseapp.core.vault import unseal_json
from caseapp.domain.assignments.models import Assignment
from caseapp.domain.assignments.queries import list_assignments
from caseapp.domain.assignments.reading import get_reading_list
from caseapp.domain.audit.models import AuditEvent
from caseapp.domain.auth.models import PortalAccess
from caseapp.domain.cases.models import Case, CaseEvent
from caseapp.domain.cases.queries import CaseFilter, get_case_context, get_stage_gate, list_cases
from caseapp.domain.clients.matches import list_matches
from caseapp.domain.clients.models import Client
from caseapp.domain.dashboard.queries import get_today
from caseapp.domain.followups.queries import list_client_followups
from caseapp.domain.keys.queries import get_client_key
from caseapp.domain.notes.models import Note
from caseapp.domain.notes.queries import list_own_drafts
from caseapp.domain.practice.queries import get_practice, get_practice_info, today
from caseapp.domain.screening.history import get_safety_history
from caseapp.domain.screening.protocol import Level
from caseapp.domain.users.models import User
from caseapp.domain.worksheets.queries import get_shared_answers, get_shared_summaries

PASSWORD = "seven quiet harbours at dusk"
PIN = "482915"


def user(name):
    row = db.session.scalars(sa.select(User).where(User.email == f"{name}@demo.test")).one()
    return Actor(row.id, Role(row.role), row.name, "web")


def client(name):
    return db.session.scalars(sa.select(Client.id).where(Client.name == name)).one()


def context(actor, name):
    case = db.session.scalars(sa.select(Case.id).where(Case.client_id == client(name))).one()
    return get_case_context(actor, case)


def count(table, *where):
    return db.session.scalar(sa.select(sa.func.count()).select_from(table).where(*where))


@pytest.mark.slow
def test_fill_creates_the_whole_demo_practice(app):
    lines = demo.fill(PASSWORD, PIN)
    for address in ("coach", "coach2", "supervisor", "admin", "priya", "daniel"):
        assert any(line.startswith(f"{address}@demo.test") for line in lines)
    assert get_practice().name == "Harbour Lane"
    assert not get_practice_info().help_lines.stale
    assert_cases_in_every_stage()
    assert_two_clients_on_hold()
    assert_drafts_and_followups_for_today()
    assert_assignments_in_every_state()
    assert_shared_worksheet()
    assert_couple_is_matched_for_the_supervisor()
    assert_varied_facts()
    assert_history_is_in_the_past()
    assert_open_criteria()
    with pytest.raises(RuleBroken) as refusal:
        demo.fill(PASSWORD, PIN)
    assert refusal.value.reasons[0].code == "not_empty"
    assert count(Case) == 24


def assert_cases_in_every_stage():
    found = db.session.execute(sa.select(Case.stage, sa.func.count()).group_by(Case.stage)).all()
    assert dict(found) == {
        "steady": 4,
        "understand": 4,
        "rebuild": 5,
        "contact": 3,
        "reconnect": 3,
        "repair": 2,
        "close": 3,
    }
    outcomes = db.session.scalars(sa.select(Case.outcome).where(Case.status == "closed"))
    assert sorted(outcomes) == ["divorcing", "reunited"]
    assert len(list_cases(user("supervisor"), CaseFilter(), None, 50).items) == 24


def assert_two_clients_on_hold():
    holds = [
        (person.name, hold)
        for person in db.session.scalars(sa.select(Client))
        for hold in get_safety_history(person.id).holds.values()
    ]
    assert sorted((name, hold.kind) for name, hold in holds if hold.released_at is None) == [
        ("Ines Okafor", "safety"),
        ("Tomasz Zieliński", "care"),
    ]
    [released] = [hold for _, hold in holds if hold.released_at]
    assert released.released_by == user("supervisor").id
    tasks = {
        task.kind: task for task in list_client_followups(user("coach"), client("Ines Okafor"))
    }
    assert tasks["safety_24h"].completed_at
    assert tasks["safety_72h"].completed_at
    assert tasks["safety_7d"].completed_at is None
    assert tasks["safety_7d"].due_at.date() == today()


def assert_drafts_and_followups_for_today():
    levels = [draft.unrecorded_level for draft in list_own_drafts(user("coach"))]
    assert levels == [Level.CONCERN, None, None, None]
    for coach in ("coach", "coach2"):
        due = get_today(user(coach)).followups
        assert any(task.due_at.date() == today() for task in due)


def assert_assignments_in_every_state():
    client_actor = Actor(client("Priya Raman"), Role.CLIENT, "Priya", "portal")
    assert {"assigned", "opened", "read"} <= {
        found.state for found in get_reading_list(client_actor)
    }
    coach = user("coach")
    assignments = list_assignments(coach, context(coach, "Ines Okafor"))
    assert "suspended" in {found.state for found in assignments}
    assert count(Assignment, Assignment.withdrawn_at.is_not(None)) == 1
    accesses = db.session.scalars(sa.select(PortalAccess)).all()
    assert len(accesses) == 2
    assert all(row.pin_hash and row.start_code_hash is None for row in accesses)


def assert_shared_worksheet():
    coach = user("coach")
    assigned = list_assignments(coach, context(coach, "Daniel Brandt"))
    returned = get_shared_summaries(coach, [record.id for record in assigned])
    [shared] = [record for record in assigned if record.id in returned]
    assert (shared.slug, shared.state) == ("my-reasons", "opened")
    found = get_shared_answers(coach, shared.id)
    answers = {answer.id: answer.text for answer in found.answers}
    assert "Sophie" in answers["unsure_reasons"]
    # A day is text that a client writes, so the demo practice writes it as people do.
    assert answers["review_on"] == format_date(today() + timedelta(days=76))
    assert answers["change_mind"] == ""


def assert_couple_is_matched_for_the_supervisor():
    for name, other in (("Gareth Lloyd", "Bethan Lloyd"), ("Bethan Lloyd", "Gareth Lloyd")):
        assert {match.name for match in list_matches(user("supervisor"), client(name))} == {other}


def assert_varied_facts():
    facts = [
        unseal_json(case, "facts", get_client_key(case.client_id))
        for case in db.session.scalars(sa.select(Case))
    ]
    assert any(found["living_arrangement"] == "long_distance" for found in facts)
    assert {found["gender"] for found in facts} == {"woman", "man", "non-binary"}
    assert {found["who_initiated"] for found in facts} == {"spouse", "client", "both"}
    assert {found["children"] > 0 for found in facts} == {True, False}
    assert len({found["age_band"] for found in facts}) == 6


def assert_history_is_in_the_past():
    assert db.session.scalar(sa.select(sa.func.max(AuditEvent.occurred_at))) <= now()
    assert db.session.scalar(sa.select(sa.func.max(Note.updated_at))) < now()
    assert count(CaseEvent, CaseEvent.kind == "moved") > 40
    assert count(AuditEvent, AuditEvent.outcome != "done") == 0


def assert_open_criteria():
    gate = get_stage_gate(context(user("coach"), "Ruth Adeyemi"), today=today())
    assert gate.blockers == ()
    assert [check.criterion.id for check in gate.checks if not check.met] == [
        "two_supports_named",
        "pause_described",
        "practical_emergencies_listed",
    ]


@pytest.mark.parametrize(
    ("password", "pin", "field"),
    [
        ("too short", PIN, "password"),
        ("I am Marta Lindqvist", PIN, "password"),
        (PASSWORD, "111111", "pin"),
    ],
)
def test_fill_with_weak_secrets_stores_nothing(app, password, pin, field):
    with pytest.raises(Invalid) as refusal:
        demo.fill(password, pin)
    assert list(refusal.value.fields) == [field]
    assert count(User) == 0


@pytest.mark.parametrize("story", demo.stories(), ids=lambda story: story["name"])
def test_story_avoids_gendered_clinical_and_seasonal_words(story):
    """Check seasons too: they would be wrong for half of the year, since dates count back from today."""
    text = str(story).lower()
    for word in (
        "husband",
        "wife",
        "patient ",
        "christmas",
        "summer",
        "winter",
        "spring",
        "autumn",
    ):
        assert word not in text
