"""Each urgent answer or new concern has actions and a clock of its own, and the hold waits for those of all of them."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from itertools import product

import pytest
import sqlalchemy as sa

from caseapp.core.transaction import transaction
from caseapp.domain.followups.models import FollowUp
from caseapp.domain.followups.queries import list_client_followups
from caseapp.domain.screening.rules import derive_required_actions, starts_episode
from tests.domain.screening.hold_helpers import (
    KEYS,
    START,
    blockers,
    day,
    finish_tasks,
    only_hold,
    open_holds,
)
from tests.support import builders, followups

both = pytest.mark.both


def open_tasks(team, client_id):
    return list_client_followups(team["coach"], client_id, open_only=True)


def due(tasks, kind):
    return sorted(task.due_at - START for task in tasks if task.kind == kind)


@both
def test_second_urgent_answer_has_its_own_clock(team, ines):
    with day(0):
        first = builders.screen(team["coach"], ines, self_harm="urgent")
    with day(6):
        second = builders.screen(team["coach"], ines, self_harm="urgent")
    tasks = open_tasks(team, ines)
    counts = Counter(task.episode_id for task in tasks)
    assert counts == {first: 10, second: 10}
    assert due(tasks, "safety_24h") == [timedelta(days=1), timedelta(days=7)]
    assert {task.not_before_at for task in tasks if task.kind == "safety_24h"} == {
        START + timedelta(days=1),
        START + timedelta(days=7),
    }


@both
def test_safety_hold_does_not_inherit_the_actions_of_an_open_care_hold(team, ines):
    with day(0):
        builders.screen(team["coach"], ines, sleep="concern")
    with day(1):
        urgent = builders.screen(team["coach"], ines, self_harm="urgent")
    own = {task.kind for task in open_tasks(team, ines) if task.episode_id == urgent}
    assert {"referral", "referral_outcome", "recheck", "safety_24h"} <= own
    with day(9):
        builders.screen(team["coach"], ines)
        assert blockers(open_holds(ines)["safety"], team["supervisor"]).count("task_open") == 10
        assert blockers(open_holds(ines)["care"], team["supervisor"]).count("task_open") == 3


@pytest.mark.slow
@both
def test_hold_waits_for_the_actions_of_every_episode(team, ines):
    with day(0):
        first = builders.screen(team["coach"], ines, self_harm="urgent")
    with day(8):
        finish_tasks(team["coach"], ines)
        builders.screen(team["coach"], ines, fear_at_home="urgent")
    with day(20):
        builders.screen(team["coach"], ines)
        hold = only_hold(ines)
        assert blockers(hold, team["supervisor"]) == ["task_open"] * 10
        assert first not in {task.episode_id for task in open_tasks(team, ines)}
        for task in open_tasks(team, ines):
            followups.complete(team["coach"], task.id)
        assert blockers(hold, team["supervisor"]) == []


@both
def test_care_hold_waits_for_actions_that_a_safety_hold_shares_with_it(team, ines):
    """One screening opens both; its tasks belong to the safety hold, and the care hold waits for them too."""
    with day(0):
        builders.screen(team["coach"], ines, sleep="concern", self_harm="concern")
    with day(8):
        builders.screen(team["coach"], ines)
    with day(16):
        builders.screen(team["coach"], ines)
        assert set(blockers(open_holds(ines)["care"], team["supervisor"])) == {"task_open"}
        finish_tasks(team["coach"], ines)
        assert blockers(open_holds(ines)["care"], team["supervisor"]) == []


@both
def test_known_concern_goes_on_in_its_episode(team, ines):
    with day(0):
        first = builders.screen(team["coach"], ines, sleep="concern")
    [recheck] = [task for task in open_tasks(team, ines) if task.kind == "recheck"]
    with day(7):
        followups.complete(team["coach"], recheck.id)
        builders.screen(team["coach"], ines, sleep="concern")
    tasks = open_tasks(team, ines)
    assert sorted(task.kind for task in tasks) == ["recheck", "referral", "referral_outcome"]
    assert {task.episode_id for task in tasks} == {first}
    assert due(tasks, "recheck") == [timedelta(days=14)]


@both
def test_watch_belongs_to_no_episode_and_asks_once(team, ines):
    with day(0):
        builders.screen(team["coach"], ines, sleep="watch")
        builders.screen(team["coach"], ines, sleep="watch")
    [recheck] = open_tasks(team, ines)
    assert (recheck.kind, recheck.episode_id) == ("recheck", None)


@both
def test_next_attempt_stays_in_its_episode(team, ines):
    with day(0):
        urgent = builders.screen(team["coach"], ines, self_harm="urgent")
    with day(2):
        [check] = [task for task in open_tasks(team, ines) if task.kind == "safety_24h"]
        followups.complete(team["coach"], check.id, "not_reached", "")
    [again] = [task for task in open_tasks(team, ines) if task.kind == "safety_24h"]
    assert (again.attempt, again.episode_id) == (2, urgent)
    with day(20):
        builders.screen(team["coach"], ines)
        assert "task_open" in blockers(only_hold(ines), team["supervisor"])


@both
def test_hold_of_before_there_were_episodes_keeps_its_actions(team, ines):
    with day(0):
        builders.screen(team["coach"], ines, self_harm="concern")
    with transaction() as session:
        session.execute(sa.update(FollowUp).values(episode_id=None))
    with day(1):
        builders.screen(team["coach"], ines, self_harm="concern")
    assert len(open_tasks(team, ines)) == 8
    with day(9):
        builders.screen(team["coach"], ines)
        assert blockers(only_hold(ines), team["supervisor"]) == ["task_open"] * 8


def test_urgent_answer_and_new_concern_start_an_episode():
    for key, level, known in product(KEYS, range(4), [True, False]):
        levels = dict.fromkeys(KEYS, 0) | {key: level}
        holds = derive_required_actions(levels, START).holds
        held = {kind: {key} for kind in holds} if known else {}
        starts = level == 3 or (level == 2 and not known)
        assert starts_episode(levels, holds, held) == starts, (key, level, known)
