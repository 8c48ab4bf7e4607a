from datetime import timedelta

import pytest

from caseapp.core.clock import now
from caseapp.core.errors import NotFound
from caseapp.notes.queries import (
    drafts_of,
    last_plan,
    my_signed_notes,
    note_shown,
    notes_of,
    waiting_drafts,
)
from tests import build, people
from tests.desk import Statements


@pytest.fixture
def team(app):
    return people.team()


def test_a_cases_notes_are_everybodys_signed_ones_and_my_drafts(team):
    coach, supervisor = team["coach"], team["supervisor"]
    case = build.case(coach)
    signed = build.note(coach, case.case_id, days_ago=2)
    own = build.draft(coach, case.case_id, days_ago=1)
    theirs = build.draft(supervisor, case.case_id)
    assert [note.id for note in notes_of(coach, case.case_id, None, 10).items] == [own, signed]
    assert [n.id for n in notes_of(supervisor, case.case_id, None, 10).items] == [theirs, signed]
    with pytest.raises(NotFound):
        notes_of(team["coach2"], case.case_id, None, 10)


def test_notes_come_page_by_page_newest_first(team):
    coach = team["coach"]
    case = build.case(coach)
    ids = [build.note(coach, case.case_id, days_ago=days) for days in range(5)]
    found, cursor = [], None
    while True:
        page = notes_of(coach, case.case_id, cursor, 2)
        found += [note.id for note in page.items]
        cursor = page.next
        if cursor is None:
            break
    assert found == ids


def test_twenty_notes_are_opened_with_one_statement(team):
    coach = team["coach"]
    case = build.case(coach)
    for _ in range(20):
        build.draft(coach, case.case_id)
    with Statements() as statements:
        page = notes_of(coach, case.case_id, None, 20)
    assert len(page.items) == 20
    assert len(statements.seen) == 1


def test_unrecorded_concerns_lead_the_drafts(team):
    coach = team["coach"]
    case = build.case(coach)
    old = build.draft(coach, case.case_id, days_ago=3)
    watch = build.draft(coach, case.case_id, days_ago=2, levels={"sleep": 1})
    concern = build.draft(coach, case.case_id, levels={"sleep": 2})
    urgent = build.draft(coach, case.case_id, levels={"sleep": 3})
    assert [line.id for line in drafts_of(coach)] == [urgent, concern, old, watch]
    assert drafts_of(team["supervisor"]) == []


def test_a_supervisor_sees_only_the_age_of_a_coachs_draft(team):
    coach = team["coach"]
    case = build.case(coach, "Ines Okafor")
    build.draft(coach, case.case_id, days_ago=3, levels={"self_harm": 3})
    build.draft(team["coach2"], build.case(team["coach2"]).case_id)
    [waiting] = waiting_drafts(team["supervisor"])
    assert (waiting.author, waiting.client, waiting.number) == (
        coach.name,
        "Ines Okafor",
        case.number,
    )
    assert abs(now() - timedelta(days=3) - waiting.made_at) < timedelta(minutes=5)
    assert set(waiting.__dataclass_fields__) == {
        "author",
        "client_id",
        "number",
        "client",
        "made_at",
    }


def test_the_last_plan_is_that_of_the_session_before(team):
    coach = team["coach"]
    case = build.case(coach)
    build.note(coach, case.case_id, build.WORDS | {"plan": "The older plan."}, days_ago=9)
    build.note(coach, case.case_id, build.WORDS | {"plan": "The last plan."}, days_ago=4)
    build.note(coach, case.case_id, {"text": "A call."}, format="free", days_ago=2)
    build.draft(coach, case.case_id, build.WORDS | {"plan": "The plan of a draft."}, days_ago=1)
    note = note_shown(coach, build.draft(coach, case.case_id))
    assert last_plan(coach, note).sections["plan"] == "The last plan."


def test_my_signed_notes_are_mine(team):
    coach = team["coach"]
    case = build.case(coach)
    mine = build.note(coach, case.case_id)
    build.draft(coach, case.case_id)
    build.note(team["supervisor"], case.case_id)
    assert [note.id for note in my_signed_notes(coach, None, 10).items] == [mine]
