from datetime import timedelta

import pytest

from caseapp.core.clock import now
from caseapp.core.errors import NotFound
from caseapp.domain.notes.queries import (
    find_previous_plan,
    get_note,
    list_case_notes,
    list_own_drafts,
    list_own_signed_notes,
)
from caseapp.domain.notes.unsigned import list_coaches_drafts
from tests.support import builders
from tests.support.staff_pages import Statements

pytestmark = pytest.mark.both


def test_case_notes_are_all_signed_ones_and_own_drafts(team):
    coach, supervisor = team["coach"], team["supervisor"]
    case = builders.case(coach)
    signed = builders.note(coach, case.case_id, days_ago=2)
    own = builders.draft(coach, case.case_id, days_ago=1)
    theirs = builders.draft(supervisor, case.case_id)
    assert [note.id for note in list_case_notes(coach, case.case_id, None, 10).items] == [
        own,
        signed,
    ]
    assert [n.id for n in list_case_notes(supervisor, case.case_id, None, 10).items] == [
        theirs,
        signed,
    ]
    with pytest.raises(NotFound):
        list_case_notes(team["coach2"], case.case_id, None, 10)


def test_case_notes_are_paged_newest_first(team):
    coach = team["coach"]
    case = builders.case(coach)
    ids = [builders.note(coach, case.case_id, days_ago=days) for days in range(5)]
    found, cursor = [], None
    while True:
        page = list_case_notes(coach, case.case_id, cursor, 2)
        found += [note.id for note in page.items]
        cursor = page.next
        if cursor is None:
            break
    assert found == ids


def test_case_notes_take_one_statement(team):
    coach = team["coach"]
    case = builders.case(coach)
    for _ in range(20):
        builders.draft(coach, case.case_id)
    with Statements() as statements:
        page = list_case_notes(coach, case.case_id, None, 20)
    assert len(page.items) == 20
    assert len(statements.seen) == 1


def test_own_drafts_list_unrecorded_concerns_first(team):
    coach = team["coach"]
    case = builders.case(coach)
    old = builders.draft(coach, case.case_id, days_ago=3)
    watch = builders.draft(coach, case.case_id, days_ago=2, levels={"sleep": 1})
    concern = builders.draft(coach, case.case_id, levels={"sleep": 2})
    recorded = builders.draft(coach, case.case_id, days_ago=1, levels={"sleep": 3})
    assert [line.id for line in list_own_drafts(coach)] == [concern, old, watch, recorded]
    assert list_own_drafts(team["supervisor"]) == []


def test_coaches_drafts_show_a_supervisor_only_their_age(team):
    coach = team["coach"]
    case = builders.case(coach, "Ines Okafor")
    builders.draft(coach, case.case_id, days_ago=3, levels={"self_harm": 3})
    builders.draft(team["coach2"], builders.case(team["coach2"]).case_id)
    [waiting] = list_coaches_drafts(team["supervisor"])
    assert (waiting.author, waiting.client, waiting.number) == (
        coach.name,
        "Ines Okafor",
        case.number,
    )
    assert abs(now() - timedelta(days=3) - waiting.created_at) < timedelta(minutes=5)
    assert set(waiting.__dataclass_fields__) == {
        "author",
        "id",
        "client_id",
        "number",
        "client",
        "created_at",
    }


def test_previous_plan_is_from_the_session_before(team):
    coach = team["coach"]
    case = builders.case(coach)
    builders.note(coach, case.case_id, builders.SECTIONS | {"plan": "The older plan."}, days_ago=9)
    builders.note(coach, case.case_id, builders.SECTIONS | {"plan": "The last plan."}, days_ago=4)
    builders.note(coach, case.case_id, {"text": "A call."}, format="free", days_ago=2)
    builders.draft(
        coach, case.case_id, builders.SECTIONS | {"plan": "The plan of a draft."}, days_ago=1
    )
    note = get_note(coach, builders.draft(coach, case.case_id))
    assert find_previous_plan(coach, note).sections["plan"] == "The last plan."


def test_own_signed_notes_exclude_other_authors(team):
    coach = team["coach"]
    case = builders.case(coach)
    mine = builders.note(coach, case.case_id)
    builders.draft(coach, case.case_id)
    builders.note(team["supervisor"], case.case_id)
    assert [note.id for note in list_own_signed_notes(coach, None, 10).items] == [mine]
