"""The trend of levels: what it shows of the last screenings, and what it says changed."""

from __future__ import annotations

from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caseapp.core.vault import DataKey
from caseapp.domain.dashboard.trend import TREND_LENGTH, Change, Mark, build_trend
from caseapp.domain.screening.events import HoldReleased, ScreeningInError
from caseapp.domain.screening.history import SafetyHistory
from caseapp.domain.screening.protocol import ITEMS
from tests.domain.screening.past_events import CLIENT, HOLD, asked, day, hold, record

KEY = DataKey(CLIENT, bytes(32))


def trend(at, *facts, marks=()):
    history = SafetyHistory(KEY, record(*facts), b"")
    return build_trend(history, marks, day(at))


def changes(at, *facts):
    return [*trend(at, *facts).changes]


def test_without_a_screening_there_is_no_trend():
    assert trend(0) is None


def test_shown_are_the_items_that_were_at_watch_or_above_the_highest_level_now_first():
    found = trend(9, asked(0, sleep=2, eating=1, work=0), asked(8, sleep=1, eating=2))
    assert [(item.item, item.level) for item in found.items] == [("eating", 2), ("sleep", 1)]
    assert [answer.level for answer in found.items[1].answers] == [2, 1]


def test_change_is_told_with_the_first_session_of_the_new_level():
    facts = asked(0, sleep=2), asked(8, sleep=1), asked(16, sleep=1)
    assert changes(20, *facts) == [Change("sleep", 2, 1, day(8))]


def test_what_went_up_and_down_again_is_told_by_its_last_change():
    assert changes(9, asked(0, sleep=0), asked(4, sleep=3), asked(8, sleep=0)) == [
        Change("sleep", 3, 0, day(8))
    ]


def test_worse_comes_first_then_the_newest():
    facts = asked(0, sleep=2, eating=0, work=1), asked(4, sleep=1, eating=2), asked(8, work=0)
    assert [change.item for change in changes(9, *facts)] == ["eating", "work", "sleep"]


def test_first_answer_and_the_same_answer_again_are_no_changes():
    assert changes(9, asked(0, sleep=1), asked(8, sleep=1, eating=2)) == []


def test_answer_that_does_not_count_changes_nothing():
    late = asked(1, recorded=9, sleep=0)
    found = trend(10, asked(0, sleep=2), asked(8, sleep=2), late)
    assert (found.changes, found.items[0].level) == ((), 2)
    assert [answer.asked_at for answer in found.items[0].answers] == [day(0), day(1), day(8)]


def test_screening_in_error_is_left_out():
    in_error = day(9), ScreeningInError(UUID(int=102), "Typed into the wrong case.")
    found = trend(10, asked(0, sleep=1), asked(8, sleep=3), in_error)
    assert (len(found.screenings), found.changes) == (1, ())
    assert [answer.level for answer in found.items[0].answers] == [1]


def test_long_history_shows_the_last_screenings_and_what_happened_since():
    facts = [asked(n, sleep=1 + n % 2) for n in range(20)]
    marks = [Mark("session", day(n)) for n in range(20)]
    found = trend(20, *facts, marks=marks)
    assert len(found.screenings) == len(found.marks) == TREND_LENGTH
    assert found.begins_at == found.marks[0].begins_at == day(20 - TREND_LENGTH)


def test_hold_is_shown_with_its_end_if_it_lasted_into_the_time():
    released = day(3), HoldReleased(HOLD, "Sleeps again.")
    facts = asked(0, sleep=2), hold(0), released
    assert trend(4, *facts).marks == (Mark("care", day(0), day(3)),)
    later = [asked(4 + n, sleep=0) for n in range(TREND_LENGTH)]
    assert trend(30, *facts, *later).marks == ()


@pytest.mark.parametrize(("on", "share"), [(-1, 0), (0, 0), (5, 50), (10, 100), (11, 100)])
def test_moments_are_placed_within_the_time(on, share):
    assert trend(10, asked(0, sleep=1)).place(day(on)) == share


def test_single_screening_of_this_moment_has_a_place():
    assert trend(0, asked(0, sleep=1)).place(day(0)) == 0


screenings = st.lists(
    st.tuples(
        st.integers(0, 9),
        st.dictionaries(
            st.sampled_from([item.key for item in ITEMS]), st.integers(0, 3), min_size=1
        ),
    ),
    min_size=1,
    max_size=20,
)


@pytest.mark.slow
@given(screenings)
def test_every_answer_has_its_place_in_time_and_every_change_is_one(found):
    on, facts = 0, []
    for gap, answers in found:
        on += gap
        facts.append(asked(on, **answers))
    shown = trend(on, *facts)
    last = {item: level for _, answers in found for item, level in answers.items()}
    for item in shown.items:
        places = [shown.place(answer.asked_at) for answer in item.answers]
        assert all(0 <= first <= second <= 100 for first, second in pairwise([0, *places]))
    for change in shown.changes:
        # Fear at home is lowered too, since it was asked alone.
        assert change.after == last[change.item] != change.before
