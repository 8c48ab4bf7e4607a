"""The rest from last time: answers that are copied count once they are confirmed."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from caseapp.core.clock import now
from caseapp.core.errors import Invalid, RuleBroken
from caseapp.core.transaction import transaction
from caseapp.domain.notes.copied_operations import confirm_copied, copy_rest
from caseapp.domain.notes.copied_rules import keep_between_saves, list_outdated, list_rest
from caseapp.domain.notes.move_operations import move_note
from caseapp.domain.notes.move_queries import lock_note_move
from caseapp.domain.notes.operations import (
    mark_screening_in_error,
    record_draft_screening,
    save_draft,
    sign_note,
)
from caseapp.domain.notes.queries import get_note, lock_note
from caseapp.domain.notes.records import DraftScreening, draft_from_json, draft_to_json
from caseapp.domain.notes.schemas import DraftChange, NewNoteMove
from caseapp.domain.screening.current import get_safety_state
from caseapp.domain.screening.protocol import ITEMS, SAFETY_ITEMS
from caseapp.domain.screening.queries import get_screening, lock_screening
from caseapp.domain.screening.records import Answer
from tests.support import builders

ASKED = datetime(2026, 11, 20, 10, tzinfo=UTC)
SESSION = ASKED + timedelta(days=7)
SCREENING = UUID(int=1)
LAST = {item.key: Answer(2, ASKED, True, SCREENING, ASKED) for item in ITEMS}  # noqa: FBT003
REST = [item.key for item in ITEMS if not item.safety]


def test_rest_leaves_out_what_is_answered_about_safety_or_never_asked():
    assert list_rest(DraftScreening({}), LAST, SESSION) == dict.fromkeys(REST, 2)
    assert not {*SAFETY_ITEMS} & {*REST}
    answered = DraftScreening({"sleep": 0, "eating": None})
    assert {*REST} - {*list_rest(answered, LAST, SESSION)} == {"sleep", "eating"}
    assert list_rest(DraftScreening({}), {}, SESSION) == {}


@pytest.mark.parametrize(
    ("level", "asked_at", "session_at"),
    [
        (2, ASKED, ASKED),
        (2, ASKED, ASKED - timedelta(days=3)),
        (2, ASKED, ASKED + timedelta(days=15)),
        (2, None, SESSION),
        (3, ASKED, SESSION),
    ],
)
def test_nothing_is_copied_from_after_the_session_or_long_before_or_that_opens_a_safety_hold(
    level, asked_at, session_at
):
    last = {"sleep": Answer(level, ASKED, True, SCREENING, asked_at)}  # noqa: FBT003
    assert list_rest(DraftScreening({}), last, session_at) == {}
    assert list_outdated(DraftScreening({}, copied={"sleep": level}), last, session_at) == ["sleep"]


def test_copy_stays_until_it_is_answered_and_counts_nowhere():
    copied = DraftScreening({}, copied={"sleep": 3, "eating": 2})
    assert (copied.touched, copied.has_unrecorded, copied.unrecorded) == (False, False, {})
    assert copied.screening.levels["sleep"] is None
    assert draft_from_json(draft_to_json(copied)) == copied
    change = DraftChange(screening=DraftScreening({"sleep": 0}))
    assert keep_between_saves(copied, change).copied == {"eating": 2}


@pytest.mark.slow
@pytest.mark.both
def test_copied_answers_are_recorded_once_they_are_confirmed(team):
    coach = team["coach"]
    case = builders.case(coach)
    builders.screen(coach, case.client_id, days_ago=7, sleep="concern")
    note_id = builders.draft(coach, case.case_id)
    safe = {**dict.fromkeys(SAFETY_ITEMS, 0), "eating": 1}

    def run(change, version):
        with transaction():
            return change(coach, lock_note(coach, note_id), version)

    with pytest.raises(RuleBroken):
        run(confirm_copied, 1)
    with transaction():
        change = DraftChange(screening=DraftScreening(safe))
        save_draft(coach, lock_note(coach, note_id), change, 1)
    assert run(copy_rest, 2) == 3
    draft = get_note(coach, note_id).draft
    assert {*draft.copied} == {*REST} - {"eating"}
    assert draft.copied["sleep"] == 2
    with pytest.raises(Invalid) as caught:
        run(sign_note, 3)
    assert {*caught.value.fields} == {*draft.copied}
    assert run(confirm_copied, 3) == 4
    screening_id = run(record_draft_screening, 4)
    levels = get_screening(coach, screening_id).levels
    assert (levels["sleep"], levels["eating"]) == (2, 1)
    assert get_safety_state(case.client_id).answers["sleep"].screening_id == screening_id


@pytest.fixture
def coach(team):
    return team["coach"]


@pytest.fixture
def case(coach):
    return builders.case(coach)


def change_draft(coach, note_id, change):
    with transaction():
        return change(coach, lock_note(coach, note_id), get_note(coach, note_id).version)


@pytest.mark.slow
def test_recording_leaves_copies_as_they_are(coach, case):
    builders.screen(coach, case.client_id, days_ago=7, sleep="watch")
    note_id = builders.draft(coach, case.case_id, levels={"drinking": 0, "eating": 1})
    change_draft(coach, note_id, copy_rest)
    copied = get_note(coach, note_id).draft.copied
    change_draft(coach, note_id, record_draft_screening)
    assert get_note(coach, note_id).draft == DraftScreening({}, copied=copied)
    with pytest.raises(Invalid) as caught:
        change_draft(coach, note_id, record_draft_screening)
    assert {*caught.value.fields} == {*copied}


@pytest.mark.slow
@pytest.mark.both
def test_nothing_old_is_confirmed_over_what_was_asked_since(coach, case):
    builders.screen(coach, case.client_id, days_ago=7, sleep="concern")
    note_id = builders.draft(coach, case.case_id)
    change_draft(coach, note_id, copy_rest)
    session_at = get_note(coach, note_id).session_at - timedelta(hours=2)
    builders.screen(coach, case.client_id, session_at=session_at, sleep="none")
    with pytest.raises(RuleBroken) as caught:
        change_draft(coach, note_id, confirm_copied)
    [reason] = caught.value.reasons
    assert reason.code == "copies_outdated"
    assert "Sleep" in reason.message
    change_draft(coach, note_id, copy_rest)
    assert get_note(coach, note_id).draft.copied["sleep"] == 0
    change_draft(coach, note_id, confirm_copied)
    assert get_note(coach, note_id).draft.answers["sleep"] == 0


@pytest.mark.slow
def test_copy_of_a_screening_in_error_is_not_confirmed(coach, case):
    session_at = now() - timedelta(hours=3)
    screening_id = builders.screen(coach, case.client_id, session_at=session_at, sleep="concern")
    note_id = builders.draft(coach, case.case_id)
    change_draft(coach, note_id, copy_rest)
    with transaction():
        mark_screening_in_error(coach, lock_screening(coach, screening_id), "Of another client.")
    with pytest.raises(RuleBroken):
        change_draft(coach, note_id, confirm_copied)


@pytest.mark.slow
def test_copies_do_not_move_into_the_record_of_another_client(coach, case):
    other = builders.case(coach, "Tom Vale")
    builders.screen(coach, case.client_id, days_ago=7, sleep="concern")
    note_id = builders.draft(coach, case.case_id, levels={"eating": 1})
    version = change_draft(coach, note_id, copy_rest)
    with transaction():
        move = lock_note_move(coach, note_id, other.number)
        move_note(coach, move, NewNoteMove("I had the wrong case open."), version)
    draft = get_note(coach, note_id).draft
    assert (draft.copied, draft.answers) == ({}, {"eating": 1})
    with pytest.raises(RuleBroken):
        change_draft(coach, note_id, confirm_copied)
