"""How a hold ends: a safety hold by a second person's reason, a care hold after two steady screenings."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from caseapp.core.errors import Forbidden, NotFound, RuleBroken, Stale
from caseapp.core.transaction import transaction
from caseapp.domain.followups.operations import complete_followup
from caseapp.domain.followups.queries import tasks_from
from caseapp.domain.screening.operations import clear_hold
from tests.domain.screening.steps import (
    KEYS,
    REASON,
    START,
    clear,
    day,
    finish_tasks,
    keeps,
    only_hold,
    open_holds,
)
from tests.support import builders

pytestmark = pytest.mark.both


def test_a_safety_hold_ends_by_a_second_persons_written_reason(team, held, ines):
    with day(8):
        assert keeps(held, team["supervisor"]) == []
        clear(team["supervisor"], held)
    hold = only_hold(ines)
    assert (hold.cleared_by, hold.cleared_at) == (team["supervisor"].id, START + timedelta(days=8))
    assert REASON.encode() not in hold.clear_reason
    assert open_holds(ines) == {}
    with pytest.raises(RuleBroken) as refused:
        clear(team["supervisor"], hold)
    assert refused.value.reasons[0].code == "already_cleared"


def test_without_a_fresh_screening_it_stays(team, ines):
    with day(-1):
        builders.screen(team["coach"], ines)
    with day(0):
        builders.screen(team["coach"], ines, self_harm="urgent")
        finish_tasks(team["coach"], ines)
    with day(8):
        assert keeps(only_hold(ines), team["supervisor"]) == ["screening_not_steady"]


@pytest.mark.parametrize(
    "levels",
    [{"sleep": "concern"}, {"sleep": None}, {"fear_at_home": None}, {"self_harm": "concern"}],
)
def test_a_screening_with_a_gap_or_a_concern_keeps_it(team, ines, levels):
    with day(0):
        builders.screen(team["coach"], ines, self_harm="urgent")
    with day(8):
        builders.screen(team["coach"], ines)
    with day(9):
        builders.screen(team["coach"], ines, **levels)
        finish_tasks(team["coach"], ines)
        assert keeps(open_holds(ines)["safety"], team["supervisor"]) == ["screening_not_steady"]


def test_watch_is_steady_enough(team, ines):
    with day(0):
        builders.screen(team["coach"], ines, self_harm="urgent")
    with day(8):
        finish_tasks(team["coach"], ines)
        builders.screen(team["coach"], ines, **dict.fromkeys(KEYS, "watch"))
        assert keeps(only_hold(ines), team["supervisor"]) == []


def test_every_task_of_the_hold_keeps_it(team, ines):
    with day(0):
        builders.screen(team["coach"], ines, self_harm="urgent")
    hold = only_hold(ines)
    with day(8):
        builders.screen(team["coach"], ines)
        count = len(tasks_from(hold.id))
        assert count == 10
        for left in range(count, 0, -1):
            assert keeps(hold, team["supervisor"]) == ["task_open"] * left
            task = next(task for task in tasks_from(hold.id) if task.done_at is None)
            with transaction():
                complete_followup(team["coach"], task.id, "Done.", task.version)
        assert keeps(hold, team["supervisor"]) == []


def test_whoever_opened_it_is_not_the_second_person(team):
    with day(-1):
        client_id = builders.client(team["supervisor"])
    with day(0):
        builders.screen(team["supervisor"], client_id, self_harm="urgent")
    hold = only_hold(client_id)
    with day(8):
        finish_tasks(team["supervisor"], client_id)
        builders.screen(team["supervisor"], client_id)
        assert keeps(hold, team["supervisor"]) == ["second_person_needed"]
        with pytest.raises(RuleBroken):
            clear(team["supervisor"], hold)
        assert keeps(hold, team["supervisor2"]) == []


def test_whoever_did_the_last_screening_is_not_the_second_person_either(team, ines):
    with day(0):
        builders.screen(team["coach"], ines, self_harm="urgent")
    with day(8):
        finish_tasks(team["coach"], ines)
        builders.screen(team["supervisor"], ines)
        assert keeps(only_hold(ines), team["supervisor"]) == ["second_person_needed"]


def test_a_coach_and_an_admin_clear_nothing_and_a_foreign_hold_is_not_there(team, held):
    with day(8):
        for who in ("coach", "coach2", "admin"):
            with pytest.raises(Forbidden):
                clear(team[who], held)
        with pytest.raises(NotFound):
            clear(team["supervisor2"], held)
        with pytest.raises(NotFound), transaction():
            clear_hold(team["supervisor"], UUID(int=1), REASON, 1)


def test_a_hold_that_changed_meanwhile_is_stale(team, held):
    with day(8), pytest.raises(Stale):
        clear(team["supervisor"], held, version=held.version + 1)


@pytest.mark.parametrize(
    ("days", "kept"),
    [
        ((1,), ["only_one_steady_screening"]),
        ((1, 7), ["only_one_steady_screening"]),
        ((1, 8), []),
        ((1, 4, 8), []),
        ((1, 30), []),
    ],
)
def test_a_care_hold_ends_after_two_steady_screenings_a_week_apart(team, ines, days, kept):
    with day(0):
        builders.screen(team["coach"], ines, sleep="concern")
    for number in days:
        with day(number):
            builders.screen(team["coach"], ines)
    with day(40):
        finish_tasks(team["coach"], ines)
        hold = only_hold(ines)
        assert keeps(hold, team["supervisor"]) == kept
        if not kept:
            clear(team["supervisor"], hold)
            assert open_holds(ines) == {}


def test_a_setback_starts_the_two_weeks_anew(team, ines):
    with day(0):
        builders.screen(team["coach"], ines, sleep="concern")
    for number, level in ((1, "none"), (5, "concern"), (9, "none")):
        with day(number):
            builders.screen(team["coach"], ines, sleep=level)
    with day(10):
        finish_tasks(team["coach"], ines)
        hold = open_holds(ines)["care"]
        assert keeps(hold, team["supervisor"]) == ["only_one_steady_screening"]


def test_steady_screenings_from_before_the_hold_do_not_count(team, ines):
    for number in (-20, -10):
        with day(number):
            builders.screen(team["coach"], ines)
    with day(0):
        builders.screen(team["coach"], ines, sleep="concern")
    with day(1):
        builders.screen(team["coach"], ines)
        finish_tasks(team["coach"], ines)
        assert keeps(only_hold(ines), team["supervisor"]) == ["only_one_steady_screening"]


def test_both_holds_end_each_by_itself(team, ines):
    with day(0):
        builders.screen(team["coach"], ines, sleep="concern", self_harm="concern")
    holds = open_holds(ines)
    with day(8):
        finish_tasks(team["coach"], ines)
        builders.screen(team["coach"], ines)
        clear(team["supervisor"], holds["safety"])
        assert set(open_holds(ines)) == {"care"}
        assert keeps(holds["care"], team["supervisor"]) == ["only_one_steady_screening"]
    with day(15):
        builders.screen(team["coach"], ines)
        clear(team["supervisor"], holds["care"])
    assert open_holds(ines) == {}
