"""How much to read in a week and what comes next: the tables, and the promise that nothing refused is proposed."""

from datetime import date
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caseapp.core.clock import get_week_start
from caseapp.domain.cases.stages import stages
from caseapp.domain.handouts.library import library
from caseapp.domain.screening.protocol import ITEMS
from caseapp.domain.suitability.recommendations import (
    HANDOUT_FOR_ITEM,
    MAX_SUGGESTIONS,
    REDUCED_WEEKLY_MINUTES,
    WEEKLY_MINUTES,
    counts_toward_reading_load,
    first_reading_week,
    plan_reading,
    recommend,
    schedule_by_week,
)
from caseapp.domain.suitability.rules import assess_for_situation
from caseapp.domain.suitability.schemas import BLOCKED, Situation
from tests.domain.suitability.test_rules import QUIET, situations

CALM = {item.key: 0 for item in ITEMS}
ENGLISH = [handout for (_, language), handout in library().items() if language == "en"]
HELP = ("help-right-now",)


def options(stage, situation=QUIET, had=HELP):
    return [
        SimpleNamespace(
            handout=handout,
            suitability=assess_for_situation(handout, situation, stage=stage),
            assigned=handout.id in had,
        )
        for handout in sorted(ENGLISH, key=lambda handout: handout.code)
    ]


def recommendation(stage="steady", *, had=HELP, unread=(), situation=QUIET, **levels):
    return recommend(
        options(stage, situation, had),
        stage=stage,
        levels=CALM | levels,
        unread=[library()[slug, "en"] for slug in unread],
    )


def slugs(found):
    return [suggestion.option.handout.id for suggestion in found.suggestions]


@pytest.mark.parametrize(
    ("levels", "budget", "explanation"),
    [
        (CALM, WEEKLY_MINUTES, ""),
        (CALM | {"sleep": 1}, REDUCED_WEEKLY_MINUTES, "Reduced from 60 because sleep is at watch."),
        (
            CALM | {"eating": 2},
            REDUCED_WEEKLY_MINUTES,
            "Reduced from 60 because eating is at concern.",
        ),
        (
            CALM | {"sleep": 1, "eating": 3},
            REDUCED_WEEKLY_MINUTES,
            "Reduced from 60 because sleep is at watch and eating is at urgent.",
        ),
        (
            CALM | {"sleep": None},
            REDUCED_WEEKLY_MINUTES,
            "Reduced from 60 because sleep is not known.",
        ),
        (CALM | {"work": 3, "self_harm": 3}, WEEKLY_MINUTES, ""),
        (
            {},
            REDUCED_WEEKLY_MINUTES,
            "Reduced from 60 because sleep is not known and eating is not known.",
        ),
    ],
)
def test_plan_reading_sleep_or_eating_raised_halves_the_budget(levels, budget, explanation):
    found = plan_reading(levels, [])
    assert (found.budget, found.explanation, found.left) == (budget, explanation, budget)


def test_plan_reading_unread_handouts_count_except_safety_sheets():
    unread = [library()[slug, "en"] for slug in ("first-days-pause", "my-safety-plan")]
    found = plan_reading(CALM, unread)
    assert (found.unread, found.left) == (20, 40)
    assert found.summary == "Up to about 60 minutes of reading a week. Still to read: 20 minutes."
    assert plan_reading(CALM | {"sleep": 1}, unread * 2).left == 0


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        ({"had": ()}, ["help-right-now", "first-days-pause", "hold-back-list"]),
        ({}, ["first-days-pause", "hold-back-list", "keep-the-day-running"]),
        ({"had": (*HELP, "first-days-pause")}, ["hold-back-list", "keep-the-day-running", "phones-and-social-media"]),
        # Sleep at watch halves the week: its own sheet takes none of it, and one short reading is left.
        ({"sleep": 1}, ["better-nights", "first-days-pause", "hold-back-list"]),
        ({"sleep": 1, "eating": 2}, ["enough-to-eat", "better-nights", "first-days-pause"]),
        ({"self_harm": 1, "sleep": 1, "substances": 1}, ["my-safety-plan", "drink-pills-drugs", "better-nights"]),
        ({"work": 1}, ["keep-the-day-running", "first-days-pause", "hold-back-list"]),
        ({"stage": "understand"}, ["my-reasons", "running-on-empty"]),
        # A week that is full proposes no reading, and safety sheets all the same.
        ({"unread": ("my-reasons", "running-on-empty", "hold-back-list")}, []),
        (
            {"unread": ("my-reasons", "running-on-empty", "hold-back-list"), "fear_at_home": 1},
            ["a-private-check"],
        ),
        # Ten minutes are left, and ten minutes are what is proposed.
        ({"unread": ("my-reasons", "running-on-empty")}, ["hold-back-list"]),
    ],
)  # fmt: skip
def test_recommend_levels_give_the_expected_order(told, wanted):
    assert slugs(recommendation(**told)) == wanted


def test_recommend_handout_longer_than_a_week_only_when_nothing_is_unread():
    everything = {handout.id for handout in ENGLISH} - {"my-year-ahead"}
    alone = recommendation("rebuild", had=everything, sleep=1)
    assert slugs(alone) == ["my-year-ahead"]
    assert "more than a week of reading" in alone.suggestions[0].why
    assert (
        slugs(recommendation("rebuild", had=everything, sleep=1, unread=("hold-back-list",))) == []
    )


def test_recommend_every_suggestion_has_a_reason():
    found = recommendation(sleep=2)
    assert found.suggestions[0].why == "Sleep is at concern."
    assert found.suggestions[1].why == "Belongs to Steady. 20 minutes, of 30 left this week."
    had = (*HELP, *(handout.id for handout in ENGLISH if handout.stage == "understand"))
    assert (
        recommendation("understand", had=had)
        .suggestions[0]
        .why.startswith("Also fits Understand. ")
    )
    told = Situation(flags=frozenset({"self_harm_flag"}), facts=QUIET.facts)
    plan = recommendation(self_harm=1, situation=told).suggestions[0]
    assert plan.why.startswith("Self-harm is at watch.")


def test_handout_for_item_covers_every_item_and_exists_in_the_library():
    assert set(HANDOUT_FOR_ITEM) == {item.key for item in ITEMS}
    assert {(slug, "en") for slug in HANDOUT_FOR_ITEM.values()} <= library().keys()


levels = st.fixed_dictionaries({item.key: st.sampled_from([None, 0, 1, 2, 3]) for item in ITEMS})
some = st.lists(st.sampled_from(ENGLISH), max_size=6, unique_by=lambda handout: handout.id)


@pytest.mark.slow
@given(st.sampled_from([stage.id for stage in stages()]), situations, levels, some)
def test_recommend_never_suggests_blocked_or_assigned_or_overfills_the_week(
    stage, situation, levels, unread
):
    had = {handout.id for handout in unread}
    found = recommend(options(stage, situation, had), stage=stage, levels=levels, unread=unread)
    assert len(found.suggestions) <= MAX_SUGGESTIONS
    assert len(set(slugs(found))) == len(found.suggestions)
    for suggestion in found.suggestions:
        assert suggestion.option.suitability.outcome != BLOCKED
        assert suggestion.option.handout.id not in had
        assert suggestion.why
    reading = [
        s.option.handout for s in found.suggestions if counts_toward_reading_load(s.option.handout)
    ]
    read_by_stage = [h for h in reading if h.id not in HANDOUT_FOR_ITEM.values()]
    if len(read_by_stage) > 1:
        assert sum(handout.minutes for handout in read_by_stage) <= found.plan.left


W1, W2, W3, W4 = (date(2026, 11, day) for day in (2, 9, 16, 23))


@pytest.mark.parametrize(
    ("chosen", "budget", "planned", "weeks"),
    [
        ([], 60, {}, []),
        (["first-days-pause", "my-reasons", "hold-back-list"], 60, {}, [W1, W1, W1]),
        (["first-days-pause", "my-reasons", "hold-back-list"], 30, {}, [W1, W2, W3]),
        # The order stays: the short one waits for the long one before it.
        (["my-part-not-my-part", "my-reasons", "hold-back-list"], 60, {}, [W1, W2, W2]),
        # What is unread already takes its part of a week.
        (["first-days-pause", "hold-back-list"], 60, {W1: 45, W2: 55}, [W3, W3]),
        (["hold-back-list", "first-days-pause"], 60, {W1: 45, W2: 55}, [W1, W3]),
        # Longer than a week: it has one of its own, and what follows comes after.
        (["my-year-ahead", "hold-back-list"], 30, {}, [W1, W2]),
        (["hold-back-list", "my-year-ahead", "first-days-pause"], 30, {}, [W1, W2, W3]),
        (["my-safety-plan", "my-year-ahead", "better-nights", "closing-apart"], 30, {}, [None, W1, None, W2]),
    ],
)  # fmt: skip
def test_spread_over_weeks_places_each_handout(chosen, budget, planned, weeks):
    handouts = [library()[slug, "en"] for slug in chosen]
    assert (
        schedule_by_week(handouts, budget=budget, planned=planned, start=date(2026, 11, 5)) == weeks
    )


@pytest.mark.parametrize(
    ("today", "week"),
    [(date(2026, 11, 2), W1), (date(2026, 11, 4), W1), (date(2026, 11, 5), W2), (date(2026, 11, 8), W2)],
)  # fmt: skip
def test_first_reading_week_skips_a_week_that_is_nearly_over(today, week):
    assert first_reading_week(today) == week
    assert get_week_start(today) == W1


budgets = st.sampled_from([WEEKLY_MINUTES, REDUCED_WEEKLY_MINUTES])


@pytest.mark.slow
@given(st.lists(st.sampled_from(ENGLISH), max_size=12), budgets)
def test_spread_over_weeks_keeps_budget_and_order(chosen, budget):
    weeks = schedule_by_week(chosen, budget=budget, planned={}, start=W1)
    dated = [(week, handout.minutes) for week, handout in zip(weeks, chosen, strict=True) if week]
    assert [week for week, _ in dated] == sorted(week for week, _ in dated)
    for week in {week for week, _ in dated}:
        minutes = [length for found, length in dated if found == week]
        assert sum(minutes) <= budget or len(minutes) == 1
