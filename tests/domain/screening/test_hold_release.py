"""How a hold ends: a safety hold by a second person's reason, a care hold after two steady screenings."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from caseapp.core.clock import now
from caseapp.core.errors import Forbidden, NotFound, RuleBroken, Stale
from caseapp.core.transaction import transaction
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.followups.queries import list_client_followups
from caseapp.domain.screening.operations import record_screening
from caseapp.domain.screening.protocol import LATE_AFTER
from caseapp.domain.screening.queries import lock_hold
from caseapp.domain.screening.schemas import NewScreening
from tests.domain.screening.hold_helpers import (
    KEYS,
    REASON,
    START,
    blockers,
    clear,
    day,
    finish_tasks,
    only_hold,
    open_holds,
)
from tests.support import builders, followups

BRIEF = dict.fromkeys(KEYS)


@pytest.mark.slow
def test_safety_hold_is_released_by_second_person_with_reason(team, held, ines):
    with day(8):
        assert blockers(held, team["supervisor"]) == []
        clear(team["supervisor"], held)
    hold = only_hold(ines)
    assert (hold.released_by, hold.released_at) == (
        team["supervisor"].id,
        START + timedelta(days=8),
    )
    assert hold.release_reason == REASON
    assert REASON not in repr(hold)
    assert open_holds(ines) == {}
    with pytest.raises(RuleBroken) as refused:
        clear(team["supervisor"], hold)
    assert refused.value.reasons[0].code == "already_released"


def test_release_without_new_screening_is_blocked(team, ines):
    with day(-1):
        builders.screen(team["coach"], ines)
    with day(0):
        builders.screen(team["coach"], ines, self_harm="urgent")
    with day(8):
        finish_tasks(team["coach"], ines)
        assert blockers(only_hold(ines), team["supervisor"]) == ["screening_not_steady"]


@pytest.mark.parametrize(
    ("levels", "kept"),
    [
        ({"sleep": "concern"}, ["screening_not_steady"]),
        ({"self_harm": "concern"}, ["screening_not_steady"]),
        (BRIEF | {"sleep": "concern"}, ["level_above_watch"]),
        (BRIEF | {"self_harm": "concern"}, ["screening_not_steady"]),
        (BRIEF | {"sleep": "watch"}, []),
        ({"fear_at_home": None}, []),
    ],
)
def test_later_screening_blocks_a_release_only_with_a_level_above_watch(team, ines, levels, kept):
    with day(0):
        builders.screen(team["coach"], ines, self_harm="urgent")
    with day(8):
        builders.screen(team["coach"], ines)
    with day(9):
        builders.screen(team["coach"], ines, **levels)
        finish_tasks(team["coach"], ines)
        assert blockers(open_holds(ines)["safety"], team["supervisor"]) == kept


def test_brief_check_after_the_full_screening_changes_nothing_about_a_release(team, ines, held):
    with day(9):
        builders.screen(team["supervisor"], ines, asked_alone=False, **BRIEF | {"sleep": "none"})
        assert blockers(held, team["supervisor"]) == []
        clear(team["supervisor"], held)
    assert open_holds(ines) == {}


def test_full_screening_of_an_older_session_does_not_replace_the_newest(team, ines, held):
    with day(9), transaction():
        client, new = lock_client(team["coach"], ines), NewScreening(dict.fromkeys(KEYS, 0))
        record_screening(team["coach"], client, new, session_at=now() - timedelta(days=2))
    with day(9):
        assert blockers(held, team["supervisor"]) == []


def test_release_with_a_partial_screening_only_is_blocked(team, ines):
    with day(0):
        builders.screen(team["coach"], ines, self_harm="urgent")
    with day(8):
        builders.screen(team["coach"], ines, sleep=None)
        finish_tasks(team["coach"], ines)
        assert blockers(only_hold(ines), team["supervisor"]) == ["screening_not_steady"]


def test_release_with_watch_screening_is_possible(team, ines):
    with day(0):
        builders.screen(team["coach"], ines, self_harm="urgent")
    with day(8):
        finish_tasks(team["coach"], ines)
        builders.screen(team["coach"], ines, **dict.fromkeys(KEYS, "watch"))
        assert blockers(only_hold(ines), team["supervisor"]) == []


def test_release_with_open_task_is_blocked(team, ines):
    with day(0):
        builders.screen(team["coach"], ines, self_harm="urgent")
    hold = only_hold(ines)
    with day(8):
        builders.screen(team["coach"], ines)
        count = len(list_client_followups(team["coach"], ines))
        assert count == 10
        for left in range(count, 0, -1):
            assert blockers(hold, team["supervisor"]) == ["task_open"] * left
            task = list_client_followups(team["coach"], ines, open_only=True)[0]
            followups.complete(team["coach"], task.id)
        assert blockers(hold, team["supervisor"]) == []


def test_release_by_opener_is_blocked(team):
    with day(-1):
        client_id = builders.client(team["supervisor"])
    with day(0):
        builders.screen(team["supervisor"], client_id, self_harm="urgent")
    hold = only_hold(client_id)
    with day(8):
        finish_tasks(team["supervisor"], client_id)
        builders.screen(team["supervisor"], client_id)
        assert blockers(hold, team["supervisor"]) == ["second_person_needed"]
        with pytest.raises(RuleBroken):
            clear(team["supervisor"], hold)
        assert blockers(hold, team["supervisor2"]) == []


def test_release_by_last_screener_is_blocked(team, ines):
    with day(0):
        builders.screen(team["coach"], ines, self_harm="urgent")
    with day(8):
        finish_tasks(team["coach"], ines)
        builders.screen(team["supervisor"], ines)
        assert blockers(only_hold(ines), team["supervisor"]) == ["second_person_needed"]


@pytest.mark.slow
def test_release_by_somebody_who_renewed_the_hold_is_blocked(team, ines):
    with day(0):
        builders.screen(team["coach"], ines, self_harm="concern")
        builders.screen(team["supervisor"], ines, self_harm="urgent")
    with day(8):
        finish_tasks(team["coach"], ines)
        builders.screen(team["coach"], ines)
        assert blockers(only_hold(ines), team["supervisor"]) == ["second_person_needed"]


@pytest.mark.slow
def test_release_is_measured_from_the_last_renewal(team, ines):
    with day(0):
        builders.screen(team["coach"], ines, self_harm="concern")
    with day(5):
        builders.screen(team["coach"], ines)
        record_late(team["coach"], ines, self_harm=3)
    with day(13):
        finish_tasks(team["coach"], ines)
        assert blockers(only_hold(ines), team["supervisor"]) == ["screening_not_steady"]
        builders.screen(team["coach"], ines)
        assert blockers(only_hold(ines), team["supervisor"]) == []


def test_answers_that_were_not_given_alone_release_no_safety_hold(team, ines):
    with day(0):
        builders.screen(team["coach"], ines, fear_at_home="urgent")
    with day(8):
        finish_tasks(team["coach"], ines)
        builders.screen(team["coach"], ines, asked_alone=False)
        assert blockers(only_hold(ines), team["supervisor"]) == [
            "screening_not_alone",
            "level_above_watch",
        ]
        builders.screen(team["coach"], ines)
        assert blockers(only_hold(ines), team["supervisor"]) == []


def record_late(actor, client_id, **levels):
    """Record answers of a session so long ago that it says nothing about now."""
    with transaction():
        client = lock_client(actor, client_id)
        new = NewScreening(dict.fromkeys(KEYS, 0) | levels, asked_alone=True)
        record_screening(actor, client, new, session_at=now() - LATE_AFTER * 2)


def test_release_by_other_roles_is_refused(team, held):
    with day(8):
        for who in ("coach", "admin"):
            with pytest.raises(Forbidden):
                clear(team[who], held)
        for who in ("coach2", "supervisor2"):
            with pytest.raises(NotFound):
                clear(team[who], held)
        with pytest.raises(NotFound), transaction():
            lock_hold(team["supervisor"], UUID(int=1))


def test_release_with_old_version_is_stale(team, held):
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
def test_care_hold_needs_two_steady_screenings_a_week_apart(team, ines, days, kept):
    with day(0):
        builders.screen(team["coach"], ines, sleep="concern")
    for number in days:
        with day(number):
            builders.screen(team["coach"], ines)
    with day(days[-1] + 14):
        finish_tasks(team["coach"], ines)
        hold = only_hold(ines)
        assert blockers(hold, team["supervisor"]) == kept
        if not kept:
            clear(team["supervisor"], hold)
            assert open_holds(ines) == {}


def test_care_hold_is_not_released_on_screenings_that_are_old(team, ines):
    with day(0):
        builders.screen(team["coach"], ines, sleep="concern")
    for number in (1, 8):
        with day(number):
            builders.screen(team["coach"], ines)
    with day(23):
        finish_tasks(team["coach"], ines)
        builders.screen(team["coach"], ines, **BRIEF | {"sleep": "none"})
        hold = only_hold(ines)
        assert blockers(hold, team["supervisor"]) == ["screening_not_current"]
        builders.screen(team["coach"], ines)
        assert blockers(hold, team["supervisor"]) == []


def test_concern_between_steady_screenings_restarts_interval(team, ines):
    with day(0):
        builders.screen(team["coach"], ines, sleep="concern")
    for number, level in ((1, "none"), (5, "concern"), (9, "none")):
        with day(number):
            builders.screen(team["coach"], ines, sleep=level)
    with day(10):
        finish_tasks(team["coach"], ines)
        hold = open_holds(ines)["care"]
        assert blockers(hold, team["supervisor"]) == ["only_one_steady_screening"]


def test_screenings_before_the_hold_do_not_count(team, ines):
    for number in (-20, -10):
        with day(number):
            builders.screen(team["coach"], ines)
    with day(0):
        builders.screen(team["coach"], ines, sleep="concern")
    with day(1):
        builders.screen(team["coach"], ines)
        finish_tasks(team["coach"], ines)
        assert blockers(only_hold(ines), team["supervisor"]) == ["only_one_steady_screening"]


def test_care_and_safety_hold_are_released_separately(team, ines):
    with day(0):
        builders.screen(team["coach"], ines, sleep="concern", self_harm="concern")
    holds = open_holds(ines)
    with day(8):
        finish_tasks(team["coach"], ines)
        builders.screen(team["coach"], ines)
        clear(team["supervisor"], holds["safety"])
        assert set(open_holds(ines)) == {"care"}
        assert blockers(holds["care"], team["supervisor"]) == ["only_one_steady_screening"]
    with day(15):
        builders.screen(team["coach"], ines)
        clear(team["supervisor"], holds["care"])
    assert open_holds(ines) == {}
