"""What a screening requires and what a hold's release needs, without a database."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import product
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caseapp.core.actor import Actor
from caseapp.core.errors import RuleBroken
from caseapp.core.permissions import Role
from caseapp.domain.clients.queries import LockedClient
from caseapp.domain.followups.codes import TASK_LABELS
from caseapp.domain.screening.protocol import FLAG_LABELS, ITEMS, STEADY_INTERVAL, Level
from caseapp.domain.screening.queries import LockedHold
from caseapp.domain.screening.records import Answer, Flag
from caseapp.domain.screening.rules import (
    HoldScreenings,
    check_clear_flag,
    check_release,
    derive_flags,
    derive_required_actions,
    has_two_steady_screenings,
    release_blockers,
)
from caseapp.domain.screening.state import DerivedState
from tests.support.contexts import (
    ALL_NONE,
    CLIENT,
    COACH,
    KEY,
    NOW,
    SUPERVISOR,
    answers,
    client,
    complete,
    histories,
    open_hold,
    screening,
)

ITEM_KEYS = [item.key for item in ITEMS]
# Every level of every pair of items, while the others are at none.
PAIRS = [
    ALL_NONE | {one: first, other: second}
    for one, other in product(ITEM_KEYS, repeat=2)
    if one != other
    for first, second in product([None, *map(int, Level)], repeat=2)
]


def test_every_pair_of_levels_opens_the_holds_of_the_protocol():
    for levels in PAIRS:
        found = derive_required_actions(levels, NOW)
        opening = {item.key: levels[item.key] or 0 for item in ITEMS}
        safety = {
            item.key
            for item in ITEMS
            if opening[item.key] == Level.URGENT
            or (item.safety and opening[item.key] >= Level.CONCERN)
        }
        care = {key for key, level in opening.items() if level == Level.CONCERN} - safety
        assert {kind: {*keys} for kind, keys in found.holds.items()} == {
            kind: keys for kind, keys in (("care", care), ("safety", safety)) if keys
        }
        assert found.flags <= FLAG_LABELS.keys()
        assert found.tasks.keys() <= TASK_LABELS.keys()
        assert bool(found.tasks) == any(opening.values())
        assert all(due >= NOW for due in found.tasks.values())
        if safety:
            assert {"safety_plan", "safety_24h", "tell_supervisor"} <= found.tasks.keys()


@given(answers(), st.sampled_from(ITEM_KEYS))
def test_higher_level_never_sets_fewer_flags_or_asks_less(levels, key):
    if levels[key] == Level.URGENT:
        return
    higher = levels | {key: (levels[key] or 0) + 1}
    before, after = (derive_required_actions(one, NOW) for one in (levels, higher))
    assert derive_flags(levels) <= derive_flags(higher)
    assert before.tasks.keys() <= after.tasks.keys()
    assert ("safety" in before.holds) <= ("safety" in after.holds)
    assert bool(before.holds) <= bool(after.holds)


@pytest.mark.slow
@given(histories())
def test_two_steady_screenings_are_a_week_apart_with_nothing_above_watch_between(found):
    bad = [max(level or 0 for level in one.levels.values()) > Level.WATCH for one in found]
    since_bad = found[: bad.index(True)] if any(bad) else found
    steady = [one.recorded_at for one in since_bad if one.steady]
    apart = bool(steady) and max(steady) - min(steady) >= STEADY_INTERVAL
    assert has_two_steady_screenings(found, NOW) == apart


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([(7, 7), (0, 0)], True),
        ([(6, 6), (0, 0)], False),
        ([(0, 0), (2, 0)], False),
        ([(5, 5), (7, 4), (0, 0)], True),
        ([(0, 0), (30, 0)], False),
        ([(0, 0), (-9, -9)], False),
    ],
    ids=[
        "a week",
        "six days",
        "older session",
        "order of recording",
        "late session",
        "jumped clock",
    ],
)
def test_two_steady_screenings_are_a_week_apart_by_their_sessions(found, expected):
    """In the order of recording, each screening is so many days before NOW by its session and by its recording."""
    recorded = [
        replace(screening(days_ago=held), seq=seq, recorded_at=NOW - timedelta(days=typed))
        for seq, (held, typed) in enumerate(found)
    ]
    assert has_two_steady_screenings(recorded[::-1], NOW) == expected


def test_steady_screening_counts_only_after_every_level_above_watch():
    steady, week_ago = screening(), screening(days_ago=8)
    concern = screening(days_ago=4, sleep=2)
    assert has_two_steady_screenings([steady, week_ago], NOW)
    assert not has_two_steady_screenings([steady, concern, week_ago], NOW)
    recorded_later = replace(concern, session_at=NOW - timedelta(days=9), seq=steady.seq + 1)
    assert not has_two_steady_screenings([recorded_later, steady, week_ago], NOW)
    of_before = replace(week_ago, session_at=NOW - timedelta(days=11), seq=concern.seq + 1)
    later = replace(concern, session_at=NOW - timedelta(days=10))
    assert not has_two_steady_screenings([steady, of_before, later], NOW)


LEVELS: dict[str, dict[str, int | None]] = {
    "steady": {},
    "watch": {"sleep": 1},
    "concern": {"sleep": 2},
    "partial": {"sleep": None},
}


def release_states():
    """Yield every combination of what a release depends on: hold, screenings, tasks and who releases it."""
    for kind, opener, recorder, last, earlier, tasks, actor in product(
        ("care", "safety"),
        (COACH, SUPERVISOR),
        (COACH, SUPERVISOR),
        ("none", *LEVELS),
        (True, False),
        ((), ("referral",), ("safety_plan", "recheck")),
        (COACH, SUPERVISOR),
    ):
        since = [] if last == "none" else [screening(by=recorder, **LEVELS[last])]
        if since and earlier:
            since.append(screening(days_ago=7, by=recorder))
        raising = (screening(days_ago=20, by=opener, sleep=3),)
        yield open_hold(kind, by=opener), HoldScreenings(raising, tuple(since), {}), tasks, actor


def test_release_needs_every_condition():
    released = set()
    for hold, screenings, tasks, actor in release_states():
        reasons = release_blockers(hold, screenings, tasks, actor, NOW)
        since = screenings.since
        assert complete(reasons)
        full = [one for one in since if one.levels["sleep"] is not None]
        steady = bool(full) and full[0].levels["sleep"] <= Level.WATCH
        twice = hold.kind == "safety" or has_two_steady_screenings(since, NOW)
        authors = {one.recorded_by for one in (*screenings.raising, *full[:1])}
        second = hold.kind == "care" or actor not in authors
        assert (not reasons) == (steady and twice and not tasks and second)
        if not reasons:
            released.add(hold.kind)
    assert released == {"care", "safety"}


def test_every_reason_against_a_release_stands_alone_in_some_state():
    alone = set()
    for hold, screenings, tasks, actor in release_states():
        found = release_blockers(hold, screenings, tasks, actor, NOW)
        codes = {reason.code for reason in found}
        if len(codes) == 1:
            alone |= codes
    assert alone == {
        "screening_not_steady",
        "only_one_steady_screening",
        "task_open",
        "second_person_needed",
    }


@pytest.mark.parametrize(
    ("item", "raised", "asked", "alone", "levels", "codes"),
    [
        ("self_harm", 3, 0, True, {}, []),
        ("self_harm", 2, 0, True, {}, ["screening_too_early"]),
        ("fear_at_home", 7, 0, True, {}, []),
        ("fear_at_home", 6, 0, True, {}, ["screening_too_early"]),
        ("self_harm", 20, 14, True, {}, []),
        ("self_harm", 20, 15, True, {}, ["screening_not_current"]),
        ("self_harm", 20, -1, True, {}, ["screening_not_current"]),
        ("self_harm", 20, 0, False, {}, ["screening_not_alone"]),
        ("self_harm", 20, 0, True, {"fear_at_home": 1}, []),
        ("self_harm", 20, 0, True, {"fear_at_home": 2}, ["level_above_watch"]),
    ],
)
def test_full_screening_that_releases_a_safety_hold_is_asked_alone_and_in_time(
    item, raised, asked, alone, levels, codes
):
    hold = replace(open_hold(), reasons=[{"item": item, "level": 3, "screening": ""}])
    full = screening(days_ago=asked, asked_alone=alone)
    brief = screening(asked_alone=False, by=SUPERVISOR, **dict.fromkeys(ALL_NONE) | {"sleep": 1})
    for since in ((full,), (brief, full)):
        screenings = HoldScreenings(
            (screening(days_ago=raised), screening(days_ago=30)), since, levels
        )
        reasons = release_blockers(hold, screenings, (), SUPERVISOR, NOW)
        assert [reason.code for reason in reasons] == codes
        assert complete(reasons)


@pytest.mark.parametrize(
    ("asked", "levels", "codes"),
    [
        (14, {}, []),
        (15, {}, ["screening_not_current"]),
        (0, {"self_harm": 2}, ["level_above_watch"]),
    ],
)
def test_screenings_that_release_a_care_hold_are_current(asked, levels, codes):
    brief = screening(**dict.fromkeys(ALL_NONE) | {"sleep": 1})
    since = (brief, screening(days_ago=asked), screening(days_ago=asked + 7))
    screenings = HoldScreenings((screening(days_ago=30, sleep=2),), since, levels)
    reasons = release_blockers(open_hold("care"), screenings, (), SUPERVISOR, NOW)
    assert [reason.code for reason in reasons] == codes
    assert complete(reasons)


def test_released_hold_is_not_released_again():
    hold = replace(open_hold("care"), released_at=NOW)
    supervisor = Actor(SUPERVISOR, Role.SUPERVISOR, "", "web")
    raising = (screening(days_ago=20, sleep=2),)
    once = HoldScreenings(raising, (screening(),), {})
    with pytest.raises(RuleBroken) as refused:
        check_release(supervisor, LockedHold(hold, KEY, once, ()), NOW)
    assert [reason.code for reason in refused.value.reasons] == ["already_released"]
    week = HoldScreenings(raising, (screening(), screening(days_ago=7)), {})
    check_release(supervisor, LockedHold(open_hold("care"), KEY, week, ()), NOW)


CALM = DerivedState()


def make_flag(kind):
    return Flag(UUID(int=5), CLIENT, kind, "screening", NOW, COACH)


def test_flag_is_cleared_once():
    locked = LockedClient(client(), KEY)
    flag = make_flag("contact_block")
    check_clear_flag(locked, flag, CALM)
    with pytest.raises(RuleBroken) as refused:
        check_clear_flag(locked, replace(flag, cleared_at=NOW - timedelta(days=1)), CALM)
    assert complete(refused.value.reasons)


@pytest.mark.parametrize("kind", sorted(FLAG_LABELS))
def test_flag_that_makes_sending_unsafe_is_cleared_after_a_confirmation(kind):
    flag = make_flag(kind)
    check_clear_flag(LockedClient(client(confirmed_at=NOW), KEY), flag, CALM)
    if kind not in {"violence_flag", "unsafe_delivery"}:
        check_clear_flag(LockedClient(client(), KEY), flag, CALM)
        return
    with pytest.raises(RuleBroken) as refused:
        check_clear_flag(LockedClient(client(), KEY), flag, CALM)
    assert [reason.code for reason in refused.value.reasons] == ["contact_not_confirmed"]
    assert complete(refused.value.reasons)


@pytest.mark.parametrize(
    ("levels", "hold", "source", "codes"),
    [
        ({"self_harm": 1}, None, "person", ["set_by_answers"]),
        ({"self_harm": 3}, "safety", "screening", ["set_by_answers"]),
        ({"self_harm": 0}, "safety", "screening", ["safety_hold_open"]),
        ({"self_harm": 0}, "safety", "person", []),
        ({"self_harm": 0}, "care", "screening", []),
        ({}, None, "screening", []),
    ],
)
def test_flag_that_answers_have_set_stays_while_they_count_or_a_safety_hold_is_open(
    levels, hold, source, codes
):
    answers = {
        item: Answer(level, NOW, asked_alone=True, screening_id=UUID(int=9))
        for item, level in levels.items()
    }
    state = DerivedState(holds=(open_hold(hold),) if hold else (), answers=answers)
    flag = replace(make_flag("self_harm_flag"), source=source)
    locked = LockedClient(client(confirmed_at=NOW), KEY)
    if not codes:
        check_clear_flag(locked, flag, state)
        return
    with pytest.raises(RuleBroken) as refused:
        check_clear_flag(locked, flag, state)
    assert [reason.code for reason in refused.value.reasons] == codes
    assert complete(refused.value.reasons)
