"""A clock that was set wrong for a while makes nothing possible early, and keeps nothing from being done for long."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from caseapp.core.clock import at, now
from caseapp.core.errors import RuleBroken
from caseapp.domain.cases.queries import get_case_context, has_lost_contact
from caseapp.domain.dashboard.board import get_board
from caseapp.domain.followups.queries import list_client_followups
from caseapp.domain.followups.rules import DueState, get_due_state
from caseapp.domain.screening.events import FlagCleared, RecordedEvent
from caseapp.domain.screening.state import list_delays
from tests.domain.screening.hold_helpers import START, blockers, day, finish_tasks, only_hold
from tests.support import builders, followups

both = pytest.mark.both


def open_task(team, client_id, kind):
    [task] = [
        task
        for task in list_client_followups(team["coach"], client_id, open_only=True)
        if task.kind == kind
    ]
    return task


def recorded(*days):
    cleared = FlagCleared(UUID(int=0), "")
    return [
        RecordedEvent(
            UUID(int=seq),
            UUID(int=0),
            seq,
            START + timedelta(days=recorded_on),
            UUID(int=0),
            cleared,
        )
        for seq, recorded_on in enumerate(days, 1)
    ]


@pytest.mark.parametrize(
    ("days", "seen", "expected"),
    [
        ((0, 1, 2), 9, {}),
        ((5, 0, 6), 9, {2: 5}),
        ((5, 0, 1, 6), 9, {2: 5, 3: 4}),
        ((5, 0, 1), 1, {}),
        ((0, 5, 1), 1, {}),
        ((0, 5, 1), 5, {3: 4}),
    ],
)
def test_event_did_not_happen_before_those_before_it(days, seen, expected):
    found = list_delays(recorded(*days), START + timedelta(days=seen))
    assert found == {UUID(int=seq): timedelta(days=late) for seq, late in expected.items()}


@both
def test_check_waits_its_time_when_the_clock_was_behind(team, ines):
    with day(0):
        builders.screen(team["coach"], ines)
    with day(-5):
        builders.screen(team["coach"], ines, self_harm="urgent")
    check = open_task(team, ines, "safety_24h")
    assert check.not_before_at == START + timedelta(days=1)
    with day(0.1):
        assert check.due_at < START
        with pytest.raises(RuleBroken) as refused:
            followups.complete(team["coach"], check.id)
        assert [reason.code for reason in refused.value.reasons] == ["too_early"]
    with day(1):
        followups.complete(team["coach"], check.id)


@both
def test_event_of_a_clock_that_ran_ahead_keeps_no_check_from_being_done(team, ines):
    with day(5):
        builders.screen(team["coach"], ines)
    with day(0):
        builders.screen(team["coach"], ines, self_harm="urgent")
    check = open_task(team, ines, "safety_24h")
    with day(0.9), pytest.raises(RuleBroken):
        followups.complete(team["coach"], check.id)
    with day(1):
        followups.complete(team["coach"], check.id, "not_reached", "")
    with day(1.2):
        followups.complete(team["coach"], open_task(team, ines, "safety_24h").id)


@both
def test_board_and_hold_agree_which_check_is_overdue(team, ines):
    """Whatever a clock that was wrong says about the start of a check: no list leaves it out as long as it is open."""
    with day(5):
        builders.screen(team["coach"], ines)
    with day(0):
        builders.screen(team["coach"], ines, self_harm="urgent")
    check = open_task(team, ines, "safety_24h")
    for seen, is_late in ((0.5, False), (1.1, False), (1.5, True), (5.1, True)):
        with day(seen):
            group = get_board(team["supervisor"], show="actions", limit=50).groups["actions"]
            assert (check.id in {row.id for row in group.page.items}) == is_late
            assert (get_due_state(check, now()) is DueState.OVERDUE) == is_late


@both
def test_safety_hold_is_not_released_early_after_a_clock_that_was_behind(team, ines):
    with day(0):
        builders.screen(team["coach"], ines)
    with day(-5):
        builders.screen(team["coach"], ines, self_harm="urgent")
    hold = only_hold(ines)
    with day(0.5):
        builders.screen(team["coach"], ines)
        assert "screening_too_early" in blockers(hold, team["supervisor"])
    with day(3.1):
        builders.screen(team["coach"], ines)
        finish_tasks(team["coach"], ines)
        assert "screening_too_early" not in blockers(hold, team["supervisor"])


@both
def test_two_steady_screenings_are_a_week_apart_whatever_the_clock_said(team, ines):
    with day(0):
        builders.screen(team["coach"], ines, sleep="concern")
    with day(-8):
        builders.screen(team["coach"], ines)
    hold = only_hold(ines)
    with day(0.5):
        builders.screen(team["coach"], ines)
        assert "only_one_steady_screening" in blockers(hold, team["supervisor"])
    with day(7.1):
        builders.screen(team["coach"], ines)
        assert "only_one_steady_screening" not in blockers(hold, team["supervisor"])


@both
def test_screening_of_a_clock_that_ran_ahead_is_no_sign_of_life(team):
    coach = team["coach"]
    with day(0):
        made = builders.case(coach)
        builders.screen(coach, made.client_id, self_harm="urgent")
    with day(30):
        builders.screen(coach, made.client_id, self_harm="urgent")
    with at(followups.lose_contact(coach, team["supervisor"], made.client_id)):
        assert has_lost_contact(get_case_context(coach, made.case_id))
        builders.screen(coach, made.client_id, self_harm="urgent")
        assert not has_lost_contact(get_case_context(coach, made.case_id))
