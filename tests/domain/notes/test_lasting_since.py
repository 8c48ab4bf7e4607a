"""A draft keeps since when items have lasted, and its screening records it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from caseapp.core.errors import Invalid
from caseapp.core.transaction import transaction
from caseapp.domain.notes.operations import record_draft_screening, save_draft, sign_note
from caseapp.domain.notes.queries import get_note, lock_note
from caseapp.domain.notes.records import DraftScreening
from caseapp.domain.notes.schemas import DraftChange
from caseapp.domain.practice.queries import today
from caseapp.domain.screening.current import get_safety_state
from caseapp.domain.screening.history import get_safety_history
from caseapp.domain.screening.protocol import ITEMS
from tests.support import builders

pytestmark = pytest.mark.both

NONE = {item.key: 0 for item in ITEMS}


@pytest.fixture
def coach(team):
    return team["coach"]


@pytest.fixture
def case(coach):
    return builders.case(coach)


@pytest.fixture
def note_id(coach, case):
    return builders.draft(coach, case.case_id)


def since(days):
    return today() - timedelta(days=days)


def save(coach, note_id, version, levels, **lasting):
    draft = DraftScreening(NONE | levels, lasting_since=lasting)
    with transaction():
        return save_draft(coach, lock_note(coach, note_id), DraftChange(screening=draft), version)


def newest(case):
    return get_safety_history(case.client_id).screenings[0]


def test_draft_keeps_every_day_and_signing_records_those_at_watch_or_above(coach, case, note_id):
    days = {"sleep": since(40), "work": since(50)}
    assert save(coach, note_id, 1, {"sleep": 1}, **days) == 2
    assert get_note(coach, note_id).draft.lasting_since == days
    assert save(coach, note_id, 2, {"sleep": 1}, **days) == 2
    with transaction():
        sign_note(coach, lock_note(coach, note_id), 2)
    assert newest(case).lasting_since == {"sleep": since(40)}
    [proposal] = get_safety_state(case.client_id).proposals
    assert proposal.item == "sleep"


@pytest.mark.parametrize("finish", [sign_note, record_draft_screening])
def test_day_in_the_future_is_kept_in_the_draft_and_refused_when_it_is_recorded(
    coach, note_id, finish
):
    save(coach, note_id, 1, {"sleep": 1}, sleep=since(-1))
    with transaction():
        note = lock_note(coach, note_id)
        with pytest.raises(Invalid) as refused:
            finish(coach, note, 2)
    assert [*refused.value.fields] == ["lasting_since.sleep"]


def test_day_in_the_future_never_keeps_a_safety_hold_from_being_opened(coach, case, note_id):
    save(coach, note_id, 1, {"sleep": 1, "self_harm": 3}, sleep=since(-1))
    assert get_safety_state(case.client_id).hold == "safety"
    assert newest(case).lasting_since == {}
    assert get_note(coach, note_id).draft.lasting_since == {"sleep": since(-1)}


def test_day_entered_after_a_hold_was_opened_is_recorded_when_the_note_is_signed(
    coach, case, note_id
):
    save(coach, note_id, 1, {"sleep": 1, "self_harm": 3})
    save(coach, note_id, 2, {"sleep": 1, "self_harm": 3}, sleep=since(40))
    with transaction():
        sign_note(coach, lock_note(coach, note_id), 3)
    assert get_safety_state(case.client_id).raised["sleep"].reported_since == since(40)
