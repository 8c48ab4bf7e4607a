"""An item that has lasted two weeks at watch is proposed as a concern: the rule, over histories of answers."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caseapp.domain.screening.events import HoldReleased, ProposalDeclined, ScreeningInError
from caseapp.domain.screening.proposals import find_wrong_days, lasts_since, list_proposals
from caseapp.domain.screening.protocol import ITEMS
from caseapp.domain.screening.state import fold, state_from_json, state_to_json
from tests.domain.screening.past_events import HOLD, START, asked, day, hold, record

# Content map, section (e): safety items need no duration, one report is enough.
SAFETY = {"self_harm", "harm_to_others", "following", "fear_at_home"}
TWO_WEEKS, A_WEEK = timedelta(days=14), timedelta(days=7)


def fold_facts(*facts):
    return fold(record(*facts))


def proposed(at, *facts):
    return [found.item for found in list_proposals(fold_facts(*facts), day(at))]


@pytest.mark.parametrize("item", [item.key for item in ITEMS])
@pytest.mark.parametrize("level", range(4))
def test_only_watch_of_an_item_that_is_no_safety_item_is_proposed(item, level):
    expected = [item] if level == 1 and item not in SAFETY else []
    assert proposed(14, asked(0, **{item: level})) == expected


def test_proposal_stands_from_fourteen_days_on_to_the_second():
    state = fold_facts(asked(0, sleep=1), asked(10, sleep=1))
    assert list_proposals(state, day(14) - timedelta(seconds=1)) == []
    assert [found.proposed_at for found in list_proposals(state, day(14))] == [day(14)]


def test_higher_level_in_between_counts_for_the_time():
    assert proposed(14, asked(0, sleep=3), asked(7, sleep=1)) == ["sleep"]
    assert proposed(14, asked(0, sleep=1), asked(7, sleep=2)) == []


def test_none_in_between_begins_the_time_again():
    facts = asked(0, sleep=1), asked(7, sleep=0), asked(8, sleep=1)
    assert proposed(21, *facts) == []
    assert proposed(22, *facts) == ["sleep"]


def test_not_asked_in_between_is_no_none():
    assert proposed(14, asked(0, sleep=1), asked(7, eating=0)) == ["sleep"]


def test_items_are_judged_alone_and_the_first_proposed_comes_first():
    facts = asked(0, work=1, sleep=0), asked(2, sleep=1, eating=1)
    assert proposed(15, *facts) == ["work"]
    assert proposed(16, *facts) == ["work", "sleep", "eating"]


def test_none_that_cannot_lower_a_level_does_not_end_the_time():
    late = asked(7, recorded=12, sleep=0)
    older = asked(9, recorded=10, sleep=0)
    for fact in (late, older):
        assert proposed(14, asked(0, sleep=1), asked(10, sleep=1), fact) == ["sleep"]


def test_older_session_that_is_recorded_later_shows_that_the_time_began_earlier():
    facts = asked(10, sleep=1), asked(0, recorded=11, sleep=1)
    assert proposed(14, *facts) == ["sleep"]


@pytest.mark.parametrize("level", [1, 2])
def test_session_of_before_the_last_none_does_not_move_the_beginning_before_it(level):
    facts = asked(5, sleep=0), asked(6, sleep=level), asked(0, recorded=7, sleep=1)
    assert lasts_since(fold_facts(*facts).raised["sleep"]) == day(6)
    raised_late = asked(5, sleep=0), asked(0, recorded=7, sleep=1)
    assert lasts_since(fold_facts(*raised_late).raised["sleep"]) == day(5)


def test_reported_day_counts_where_it_is_earlier():
    reported = (day(0) - TWO_WEEKS).date()
    assert proposed(0, asked(0, sleep=1, since=reported)) == ["sleep"]
    assert proposed(0, asked(0, sleep=1, since=reported + timedelta(days=1))) == []
    assert proposed(14, asked(0, sleep=1, since=date(2026, 3, 2))) == ["sleep"]


def test_reported_day_does_not_outlive_a_none():
    long_ago = date(2025, 1, 1)
    facts = asked(0, sleep=1, since=long_ago), asked(1, sleep=0), asked(2, sleep=1)
    assert proposed(3, *facts) == []


def decline(on, item="sleep"):
    return day(on), ProposalDeclined(item, "Two nights before an exam, else well.")


def test_declined_proposal_is_made_again_after_a_week():
    facts = asked(0, sleep=1, eating=1), decline(14)
    state = fold_facts(*facts)
    assert [found.item for found in list_proposals(state, day(14))] == ["eating"]
    assert proposed(20.9, *facts) == ["eating"]
    assert {*proposed(21, *facts)} == {"sleep", "eating"}
    assert proposed(27, *facts, decline(21)) == ["eating"]


def test_declining_does_not_outlive_a_none():
    facts = asked(0, sleep=1), decline(14), asked(15, sleep=0), asked(16, sleep=1)
    assert fold_facts(*facts).raised["sleep"].declined_at is None
    assert proposed(30, *facts) == ["sleep"]


def test_item_with_an_open_hold_is_not_proposed_and_its_time_begins_again_at_the_release():
    facts = asked(0, sleep=2, eating=1), hold(0), asked(10, sleep=1), asked(17, sleep=1)
    assert proposed(20, *facts) == ["eating"]
    released = (*facts, (day(20), HoldReleased(HOLD, "Sleeps again, and goes to her doctor.")))
    assert proposed(33, *released) == ["eating"]
    assert {*proposed(34, *released)} == {"eating", "sleep"}
    late = asked(16, recorded=21, sleep=1)
    assert lasts_since(fold_facts(*released, late).raised["sleep"]) == day(20)


def test_answer_recorded_in_error_neither_begins_nor_ends_the_time_of_an_item():
    in_error = day(9), ScreeningInError(UUID(int=102), "Typed into the wrong case.")
    ended = asked(0, sleep=1), asked(8, sleep=0), in_error
    assert proposed(14, *ended) == ["sleep"]
    begun = asked(0, sleep=0), asked(1, sleep=1), in_error, asked(10, sleep=1)
    assert proposed(23, *begun) == []
    assert proposed(24, *begun) == ["sleep"]


def test_declining_an_item_that_is_not_raised_changes_nothing():
    assert fold_facts(asked(0, sleep=0), decline(1)).raised == {}


histories = st.lists(
    st.tuples(
        st.integers(0, 9),
        st.sampled_from(["none", "watch", "watch", "concern", "not asked", "decline"]),
        st.none() | st.integers(0, 30),
    ),
    min_size=1,
    max_size=12,
)
LEVELS = {"none": 0, "watch": 1, "concern": 2}


def expect(history, at):
    """Tell by the words of the content map whether sleep is proposed; no hold opens in these histories."""
    on, answers, declined = 0, [], None
    for gap, what, ago in history:
        on += gap
        if what in LEVELS:
            answers.append((on, LEVELS[what], ago))
            declined = None if what == "none" else declined
        elif what == "decline" and answers and answers[-1][1]:
            declined = on
    if not answers or answers[-1][1] != 1:
        return False
    last_none = max((n for n, answer in enumerate(answers) if answer[1] == 0), default=-1)
    time_of_it = answers[last_none + 1 :]
    since = time_of_it[0][0]
    reported = [START.date() + timedelta(days=n - ago) for n, _, ago in time_of_it if ago]
    lasted = day(at) - day(since) >= TWO_WEEKS or any(
        day(at) - datetime.combine(one, time.min, UTC) >= TWO_WEEKS for one in reported
    )
    return lasted and (declined is None or day(at) - day(declined) >= A_WEEK)


def facts_of(history):
    on = 0
    for gap, what, ago in history:
        on += gap
        if what in LEVELS:
            since = day(on - ago).date() if ago and what != "none" else None
            yield asked(on, sleep=LEVELS[what], since=since)
        elif what == "decline":
            yield decline(on)
        else:
            yield asked(on, eating=0)


@pytest.mark.slow
@given(histories, st.integers(0, 40))
def test_rule_agrees_with_the_content_map_over_any_history(history, later):
    at = sum(gap for gap, _, _ in history) + later
    assert (proposed(at, *facts_of(history)) == ["sleep"]) == expect(history, at)


@pytest.mark.slow
@given(histories)
def test_state_with_lasting_items_is_the_same_after_being_stored(history):
    state = fold_facts(*facts_of(history))
    assert state_from_json(state_to_json(state)) == state


TODAY = date(2026, 5, 14)


@pytest.mark.parametrize(
    ("reported", "is_right"),
    [
        (TODAY, True),
        (TODAY + timedelta(days=1), False),
        (date(1976, 5, 14), True),
        (date(1976, 5, 13), False),
        (date(1, 1, 1), False),
    ],
)
def test_reported_day_is_neither_in_the_future_nor_over_fifty_years_ago(reported, is_right):
    found = find_wrong_days({"sleep": reported}, TODAY)
    assert [*found] == ([] if is_right else ["lasting_since.sleep"])
