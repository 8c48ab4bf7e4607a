"""The protocol as a table, written from the content map, sections (d) and (e), not from its file (SAFE-03)."""

from __future__ import annotations

from itertools import combinations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caseapp.domain.screening.protocol import ACTIONS_TAKEN, IMMEDIATE_STEPS, ITEMS, SAFETY_ITEMS
from caseapp.domain.screening.rules import (
    derive_required_actions,
    highest_level,
    list_immediate_steps,
    opens_safety_hold,
)
from tests.domain.protocol.due_times import DUE, THURSDAY

NONE, WATCH, CONCERN, URGENT = range(4)
KEYS = [item.key for item in ITEMS]

RECHECK = {"recheck"}
CARE = {"referral", "recheck", "referral_outcome"}
SAFETY = CARE | {"tell_supervisor", "safety_plan", "safety_24h", "safety_72h", "safety_7d"}
EMERGENCY = SAFETY | {"emergency_steps", "duty_check"}

# question: (hold and tasks at concern); urgent is the same for all.
AT_CONCERN = {
    "sleep": ("care", CARE),
    "eating": ("care", CARE),
    "caring": ("care", CARE),
    "work": ("care", CARE),
    "household": ("care", CARE),
    "self_harm": ("safety", SAFETY),
    "harm_to_others": ("safety", SAFETY),
    "following": ("safety", SAFETY),
    "fear_at_home": ("safety", SAFETY),
    "substances": ("care", CARE),
}
FLAGS = {
    # Not in the content map: the review of safety asks for flags that the answer sets.
    ("eating", CONCERN): {"eating_disorder_flag"},
    ("eating", URGENT): {"eating_disorder_flag"},
    ("substances", URGENT): {"withdrawal_risk"},
    ("self_harm", WATCH): {"self_harm_flag"},
    ("self_harm", CONCERN): {"self_harm_flag"},
    ("self_harm", URGENT): {"self_harm_flag"},
    ("harm_to_others", CONCERN): {"contact_block", "client_harm_flag"},
    ("harm_to_others", URGENT): {"contact_block", "client_harm_flag"},
    ("following", CONCERN): {"contact_block", "client_harm_flag"},
    ("following", URGENT): {"contact_block", "client_harm_flag"},
    ("fear_at_home", CONCERN): {"contact_block", "violence_flag", "unsafe_delivery"},
    ("fear_at_home", URGENT): {"contact_block", "violence_flag", "unsafe_delivery"},
}


def expected(key, level):
    if level in {None, NONE}:
        return {}, set()
    if level == WATCH:
        return {}, RECHECK
    if level == CONCERN:
        hold, tasks = AT_CONCERN[key]
        return {hold: [key]}, tasks
    return {"safety": [key]}, EMERGENCY


def test_table_covers_every_item():
    assert set(AT_CONCERN) == set(KEYS)
    assert set(SAFETY_ITEMS) == {"self_harm", "harm_to_others", "following", "fear_at_home"}


@pytest.mark.parametrize("level", [None, NONE, WATCH, CONCERN, URGENT])
@pytest.mark.parametrize("key", KEYS)
def test_required_actions_of_single_answer(key, level):
    found = derive_required_actions({**dict.fromkeys(KEYS, NONE), key: level}, THURSDAY)
    holds, tasks = expected(key, level)
    assert found.holds == holds
    assert found.flags == FLAGS.get((key, level), set())
    assert found.tasks == {kind: THURSDAY + DUE[kind] for kind in tasks}


def expected_of_all(levels):
    """Unite what the table says of each answer; sets of kinds and flags, and the items of each hold in order."""
    holds: dict = {}
    flags, tasks = set(), set()
    for key, level in levels.items():
        alone = expected(key, level)
        for hold, keys in alone[0].items():
            holds.setdefault(hold, []).extend(keys)
        flags |= FLAGS.get((key, level), set())
        tasks |= alone[1]
    return holds, flags, {kind: THURSDAY + DUE[kind] for kind in tasks}


@pytest.mark.slow
def test_required_actions_of_all_combinations_are_those_of_the_table():
    """All 81,922 full screenings with up to five items above none."""
    for size in range(6):
        for keys, raised in product(
            combinations(KEYS, size), product((WATCH, CONCERN, URGENT), repeat=size)
        ):
            levels = dict.fromkeys(KEYS, NONE) | dict(zip(keys, raised, strict=True))
            found = derive_required_actions(levels, THURSDAY)
            assert (found.holds, found.flags, found.tasks) == expected_of_all(levels)


answers = st.dictionaries(st.sampled_from(KEYS), st.sampled_from([None, 0, 1, 2, 3]))


@pytest.mark.slow
@given(answers)
def test_required_actions_of_combined_answers_are_the_union(levels):
    found = derive_required_actions(levels, THURSDAY)
    assert (found.holds, found.flags, found.tasks) == expected_of_all(levels)


@pytest.mark.slow
@given(answers, st.sampled_from(KEYS))
def test_worse_answer_never_requires_less(levels, key):
    worse = {**levels, key: min((levels.get(key) or 0) + 1, URGENT)}
    before, after = (
        derive_required_actions(levels, THURSDAY),
        derive_required_actions(worse, THURSDAY),
    )
    assert before.flags <= after.flags
    assert set(before.tasks) <= set(after.tasks)
    assert ("safety" in before.holds) <= ("safety" in after.holds)
    assert bool(before.holds) <= bool(after.holds)


@given(answers)
def test_not_asked_is_never_counted_as_none(levels):
    if not any(levels.values()):
        assert not derive_required_actions(levels, THURSDAY).holds
    asked = {key: level for key, level in levels.items() if level is not None}
    assert highest_level(levels) == (max(asked.values()) if asked else None)


@pytest.mark.parametrize("key", KEYS)
def test_safety_answers_have_immediate_steps(key):
    for level in (None, NONE, WATCH, CONCERN, URGENT):
        steps = list_immediate_steps({key: level})
        assert bool(steps) == opens_safety_hold(key, level)
        if steps:
            assert steps == list(IMMEDIATE_STEPS[key])


def test_immediate_steps_list_safety_items_first_without_repeats():
    steps = list_immediate_steps({"sleep": URGENT, "eating": URGENT, "self_harm": CONCERN})
    assert steps[: len(IMMEDIATE_STEPS["self_harm"])] == list(IMMEDIATE_STEPS["self_harm"])
    assert len(steps) == len(set(steps))


def test_items_have_four_anchors_and_actions_have_labels():
    for item in ITEMS:
        assert len(item.anchors) == 4
        assert all(anchor.endswith(".") for anchor in item.anchors)
        assert item.question.endswith("?")
    assert all(ACTIONS_TAKEN.values())
