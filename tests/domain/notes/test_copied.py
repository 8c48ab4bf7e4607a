"""Rest as last time: answers that are copied count once they are confirmed."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from caseapp.core.errors import Invalid, RuleBroken
from caseapp.core.transaction import transaction
from caseapp.domain.notes.copied_operations import confirm_copied, copy_rest
from caseapp.domain.notes.copied_rules import keep_between_saves, list_rest
from caseapp.domain.notes.operations import record_draft_screening, save_draft, sign_note
from caseapp.domain.notes.queries import get_note, lock_note
from caseapp.domain.notes.records import DraftScreening, draft_from_json, draft_to_json
from caseapp.domain.notes.schemas import DraftChange
from caseapp.domain.screening.current import get_safety_state
from caseapp.domain.screening.protocol import ITEMS, SAFETY_ITEMS
from caseapp.domain.screening.queries import get_screening
from caseapp.domain.screening.records import Answer
from tests.support import builders

ASKED = datetime(2026, 11, 20, 10, tzinfo=UTC)
LAST = {item.key: Answer(2, ASKED, asked_alone=True, screening_id=UUID(int=1)) for item in ITEMS}
REST = [item.key for item in ITEMS if not item.safety]


def test_rest_leaves_out_what_is_answered_about_safety_or_never_asked():
    assert list_rest(DraftScreening({}), LAST) == dict.fromkeys(REST, 2)
    assert not {*SAFETY_ITEMS} & {*REST}
    answered = DraftScreening({"sleep": 0, "eating": None})
    assert {*REST} - {*list_rest(answered, LAST)} == {"sleep", "eating"}
    assert list_rest(DraftScreening({}), {}) == {}


def test_copy_stays_until_it_is_answered_and_counts_nowhere():
    copied = DraftScreening({}, copied={"sleep": 3, "eating": 2})
    assert (copied.touched, copied.has_unrecorded, copied.unrecorded) == (False, False, {})
    assert copied.screening.levels["sleep"] is None
    assert draft_from_json(draft_to_json(copied)) == copied
    assert keep_between_saves(copied, DraftScreening({"sleep": 0})).copied == {"eating": 2}


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
    for refused in (sign_note, record_draft_screening):
        with pytest.raises(Invalid) as caught:
            run(refused, 3)
        assert {*caught.value.fields} == {*draft.copied}
    assert run(confirm_copied, 3) == 4
    screening_id = run(record_draft_screening, 4)
    levels = get_screening(coach, screening_id).levels
    assert (levels["sleep"], levels["eating"]) == (2, 1)
    assert get_safety_state(case.client_id).answers["sleep"].screening_id == screening_id
