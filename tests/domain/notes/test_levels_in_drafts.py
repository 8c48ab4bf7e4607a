"""A level that opens a safety hold counts as soon as the draft that has it is saved."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import Stale
from caseapp.core.transaction import transaction
from caseapp.domain.followups.models import FollowUp
from caseapp.domain.notes.models import Note
from caseapp.domain.notes.operations import (
    discard_draft,
    mark_screening_in_error,
    record_draft_screening,
    save_draft,
    sign_note,
)
from caseapp.domain.notes.queries import get_note, lock_note
from caseapp.domain.notes.records import DraftScreening
from caseapp.domain.notes.schemas import DraftChange
from caseapp.domain.screening.current import get_safety_state
from caseapp.domain.screening.history import get_safety_history
from caseapp.domain.screening.protocol import ITEMS
from caseapp.domain.screening.queries import lock_screening
from tests.support import builders

NONE = {item.key: 0 for item in ITEMS}


def save(actor, note_id, version, levels=None, *, about=None, **change):
    """Save answers, and what is entered about them, in a draft."""
    if levels is not None:
        change["screening"] = DraftScreening(levels, **(about or {}))
    with transaction():
        return save_draft(actor, lock_note(actor, note_id), DraftChange(**change), version)


def sign(actor, note_id, version):
    with transaction():
        sign_note(actor, lock_note(actor, note_id), version)


def list_recorded(case):
    """List what the client's screenings asked, the oldest first."""
    found = reversed(get_safety_history(case.client_id).screenings)
    return [{key: lvl for key, lvl in each.levels.items() if lvl is not None} for each in found]


def find_last(case):
    return get_safety_history(case.client_id).screenings[0]


def count_episodes(case):
    query = sa.select(sa.func.count(FollowUp.episode_id.distinct()))
    return db.session.scalar(query.where(FollowUp.client_id == case.client_id))


@pytest.fixture
def coach(team):
    return team["coach"]


@pytest.fixture
def case(coach):
    return builders.case(coach)


@pytest.fixture
def note_id(coach, case):
    return builders.draft(coach, case.case_id)


@pytest.mark.parametrize(("item", "level"), [("sleep", 3), ("self_harm", 2), ("fear_at_home", 3)])
def test_level_that_opens_a_safety_hold_is_recorded_when_the_draft_is_saved(
    coach, case, note_id, item, level
):
    assert save(coach, note_id, 1, {"eating": 1, item: level, "work": None}) == 2
    safety, note = get_safety_state(case.client_id), get_note(coach, note_id)
    assert safety.hold == "safety"
    assert list_recorded(case) == [{"eating": 1, item: level}]
    assert note.draft.answers == {"eating": 1, item: level, "work": None}
    assert (note.screening_id, note.unrecorded_level, note.status) == (
        find_last(case).id,
        None,
        "draft",
    )
    stored = db.session.scalar(sa.select(Note.draft_screening).where(Note.id == note_id))
    assert find_last(case).id.hex.encode() not in stored


def test_lower_levels_stay_in_the_draft_until_it_is_signed(coach, case, note_id):
    save(coach, note_id, 1, NONE | {"sleep": 2, "self_harm": 1})
    assert list_recorded(case) == []
    sign(coach, note_id, 2)
    assert list_recorded(case) == [NONE | {"sleep": 2, "self_harm": 1}]


def test_repeated_saves_record_an_answer_once(coach, case, note_id):
    save(coach, note_id, 1, {"self_harm": 3})
    hold = get_safety_state(case.client_id).holds[0]
    save(coach, note_id, 2, {"self_harm": 3}, sections={"plan": "Ring."})
    save(coach, note_id, 3, {"self_harm": 3, "sleep": 1})
    save(coach, note_id, 4, {"sleep": 1})
    save(coach, note_id, 5, {"self_harm": 3, "sleep": 1})
    assert list_recorded(case) == [{"self_harm": 3}]
    assert get_safety_state(case.client_id).holds[0] == hold


def test_another_answer_that_opens_a_hold_is_recorded_at_once(coach, case, note_id):
    save(coach, note_id, 1, {"self_harm": 3})
    save(coach, note_id, 2, {"self_harm": 3, "sleep": 1, "fear_at_home": 2})
    [hold] = get_safety_state(case.client_id).holds
    assert list_recorded(case) == [
        {"self_harm": 3},
        {"self_harm": 3, "sleep": 1, "fear_at_home": 2},
    ]
    assert [(reason["item"], reason["level"]) for reason in hold.reasons] == [
        ("self_harm", 3),
        ("fear_at_home", 2),
    ]
    assert count_episodes(case) == 2


def test_signing_records_the_whole_screening_and_requires_nothing_twice(coach, case, note_id):
    save(coach, note_id, 1, {"self_harm": 3})
    [hold] = get_safety_state(case.client_id).holds
    save(
        coach, note_id, 2, NONE | {"self_harm": 3}, about={"asked_alone": True, "comment": "Calm."}
    )
    sign(coach, note_id, 3)
    safety, note = get_safety_state(case.client_id), get_note(coach, note_id)
    assert list_recorded(case) == [{"self_harm": 3}, NONE | {"self_harm": 3}]
    assert safety.holds == (hold,)
    assert count_episodes(case) == 1
    last = find_last(case)
    assert note.screening_id == last.id
    assert (last.asked_alone, last.comment) == (True, "Calm.")


def test_signing_what_is_recorded_already_records_nothing(coach, case, note_id):
    save(coach, note_id, 1, NONE | {"self_harm": 3}, about={"asked_alone": True})
    recorded = get_note(coach, note_id).screening_id
    sign(coach, note_id, 2)
    assert list_recorded(case) == [NONE | {"self_harm": 3}]
    assert get_note(coach, note_id).screening_id == recorded


def test_what_is_written_about_recorded_answers_is_recorded_when_the_note_is_signed(
    coach, case, note_id
):
    save(coach, note_id, 1, NONE | {"self_harm": 3})
    save(
        coach, note_id, 2, NONE | {"self_harm": 3}, about={"asked_alone": True, "comment": "Calm."}
    )
    assert len(list_recorded(case)) == 1
    sign(coach, note_id, 3)
    last = find_last(case)
    assert (last.asked_alone, last.comment) == (True, "Calm.")
    assert count_episodes(case) == 1


def test_button_after_saving_records_nothing_twice(coach, case, note_id):
    save(coach, note_id, 1, {"self_harm": 3})
    recorded = get_note(coach, note_id).screening_id
    with transaction():
        assert record_draft_screening(coach, lock_note(coach, note_id), 2) == recorded
    assert list_recorded(case) == [{"self_harm": 3}]


def test_session_that_is_planned_for_later_never_blocks_an_answer(coach, case, note_id):
    planned = now() + timedelta(days=1)
    save(coach, note_id, 1, {"self_harm": 3}, session_at=planned)
    screening = find_last(case)
    assert screening.session_at <= now() < planned
    assert get_note(coach, note_id).session_at == planned
    # The time is put right afterwards: further answers belong to the same session, and count.
    save(coach, note_id, 2, NONE | {"self_harm": 3}, session_at=now() - timedelta(minutes=20))
    sign(coach, note_id, 3)
    last = find_last(case)
    assert (last.full, last.session_at) == (True, screening.session_at)


def test_lower_answers_of_a_session_that_is_planned_for_later_can_be_recorded(coach, case, note_id):
    save(coach, note_id, 1, {"sleep": 2}, session_at=now() + timedelta(days=1))
    with transaction():
        record_draft_screening(coach, lock_note(coach, note_id), 2)
    assert get_safety_state(case.client_id).hold == "care"


def test_stale_save_opens_no_hold(coach, case, note_id):
    save(coach, note_id, 1, sections={"plan": "From another window."})
    with pytest.raises(Stale):
        save(coach, note_id, 1, {"self_harm": 3})
    assert (list_recorded(case), get_safety_state(case.client_id).hold) == ([], None)


def test_discarded_draft_leaves_the_answers_that_saving_it_recorded(coach, case, note_id):
    save(coach, note_id, 1, {"self_harm": 3})
    with transaction():
        discard_draft(coach, lock_note(coach, note_id), 2)
    assert list_recorded(case) == [{"self_harm": 3}]
    assert get_safety_state(case.client_id).hold == "safety"


def mark(actor, screening_id):
    with transaction():
        locked = lock_screening(actor, screening_id)
        mark_screening_in_error(actor, locked, "Wrong key: she was never asked.")
    db.session.rollback()


def test_answer_recorded_in_error_leaves_the_draft_and_the_others_are_recorded_later(
    coach, case, note_id
):
    save(coach, note_id, 1, {"sleep": 1, "self_harm": 3})
    mark(coach, get_note(coach, note_id).screening_id)
    note = get_note(coach, note_id)
    assert (note.draft.answers, note.draft.repeats) == ({"sleep": 1}, {})
    assert (note.screening_id, note.unrecorded_level, note.version) == (None, 1, 3)
    save(coach, note_id, 3, {"sleep": 1}, sections={"plan": "Ring."})
    assert get_safety_state(case.client_id).hold is None
    save(coach, note_id, 4, NONE | {"sleep": 1})
    sign(coach, note_id, 5)
    assert list_recorded(case) == [NONE | {"sleep": 1}]


def test_another_answer_of_the_same_note_stays_when_one_was_in_error(coach, case, note_id):
    save(coach, note_id, 1, {"self_harm": 3})
    wrong = get_note(coach, note_id).screening_id
    save(coach, note_id, 2, {"self_harm": 3, "fear_at_home": 3, "sleep": 0})
    right = get_note(coach, note_id).screening_id
    mark(coach, wrong)
    note, safety = get_note(coach, note_id), get_safety_state(case.client_id)
    assert note.draft.answers == {"fear_at_home": 3, "sleep": 0}
    assert (note.screening_id, {*note.draft.repeats.values()}) == (right, {right})
    assert safety.levels == {"fear_at_home": 3, "sleep": 0}
    assert [reason["item"] for reason in safety.holds[0].standing] == ["fear_at_home"]
    save(coach, note_id, 4, {"fear_at_home": 3, "sleep": 0, "self_harm": 0})
    assert len(list_recorded(case)) == 1


def test_answer_that_is_given_again_after_an_error_opens_the_hold_again(coach, case, note_id):
    save(coach, note_id, 1, {"self_harm": 3})
    mark(coach, get_note(coach, note_id).screening_id)
    save(coach, note_id, 3, {"self_harm": 3})
    assert get_safety_state(case.client_id).hold == "safety"


def test_answer_that_was_changed_before_the_error_stays_changed(coach, case, note_id):
    save(coach, note_id, 1, {"self_harm": 3})
    wrong = get_note(coach, note_id).screening_id
    save(coach, note_id, 2, {"self_harm": 0})
    mark(coach, wrong)
    assert get_note(coach, note_id).draft.answers == {"self_harm": 0}


def test_supervisor_marks_a_screening_of_a_draft_and_of_a_signed_note(team, coach, case, note_id):
    save(coach, note_id, 1, NONE | {"self_harm": 3})
    mark(team["supervisor"], get_note(coach, note_id).screening_id)
    assert get_note(coach, note_id).draft.answers == {key: 0 for key in NONE if key != "self_harm"}
    signed = builders.note(coach, case.case_id, levels=NONE | {"self_harm": 3})
    before = get_note(coach, signed)
    mark(team["supervisor"], before.screening_id)
    assert get_note(coach, signed) == before
    assert get_safety_state(case.client_id).hold is None


def test_circumstance_that_raises_an_earlier_answer_counts_when_the_draft_is_saved(
    coach, case, note_id
):
    builders.screen(coach, case.client_id, self_harm="watch")
    save(coach, note_id, 1, {"sleep": 0}, about={"circumstances": ("weapons",)})
    assert get_safety_state(case.client_id).hold == "safety"
    assert list_recorded(case)[-1] == {"sleep": 0}
    save(coach, note_id, 2, sections={"plan": "Another word."})
    assert len(list_recorded(case)) == 2


def test_circumstance_that_is_known_already_records_nothing_when_the_draft_is_saved(
    coach, case, note_id
):
    builders.screen(coach, case.client_id, circumstances=("choking",))
    save(coach, note_id, 1, {"sleep": 1}, about={"circumstances": ("choking",)})
    assert len(list_recorded(case)) == 1


def test_circumstance_recorded_in_error_leaves_the_draft(coach, case, note_id):
    save(coach, note_id, 1, {}, about={"circumstances": ("choking",)})
    mark(coach, get_note(coach, note_id).screening_id)
    assert get_note(coach, note_id).draft.circumstances == ()
    save(coach, note_id, 3, sections={"plan": "Another word."})
    assert get_safety_state(case.client_id).hold is None


def test_circumstance_recorded_in_error_raises_nothing_in_a_screening_that_repeats_it(
    coach, case, note_id
):
    ticked = {"circumstances": ("choking",)}
    save(coach, note_id, 1, {}, about=ticked)
    wrong = get_note(coach, note_id).screening_id
    save(coach, note_id, 2, {"self_harm": 3}, about=ticked)
    mark(coach, wrong)
    note, safety = get_note(coach, note_id), get_safety_state(case.client_id)
    assert (note.draft.answers, note.draft.circumstances) == ({"self_harm": 3}, ())
    assert (safety.levels, {*safety.circumstances}) == ({"self_harm": 3}, set())
    save(coach, note_id, 4, sections={"plan": "Another word."})
    assert len(list_recorded(case)) == 1


def test_answer_that_a_circumstance_raises_leaves_the_draft_with_its_screening(
    coach, case, note_id
):
    save(coach, note_id, 1, {"self_harm": 1}, about={"circumstances": ("weapons",)})
    mark(coach, get_note(coach, note_id).screening_id)
    draft = get_note(coach, note_id).draft
    assert (draft.answers, draft.circumstances) == ({"self_harm": 1}, ())
    save(coach, note_id, 3, sections={"plan": "Another word."})
    assert get_safety_state(case.client_id).hold is None
