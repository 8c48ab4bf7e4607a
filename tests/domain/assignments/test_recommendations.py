"""How much to read in a week and what comes next: the tables, and the promise that nothing refused is proposed."""

from datetime import date
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caseapp.core.clock import week_of
from caseapp.domain.assignments.recommendations import (
    ANSWERS,
    MINUTES_A_GENTLE_WEEK,
    MINUTES_A_WEEK,
    MOST_SUGGESTED,
    counts,
    first_week,
    reading_of,
    spread,
    suggest,
)
from caseapp.domain.assignments.suitability import REFUSE, Situation, judge
from caseapp.domain.cases.stages import stages
from caseapp.domain.handouts.library import library
from caseapp.domain.screening.protocol import ITEMS
from tests.domain.assignments.test_suitability import QUIET, situations

CALM = {item.key: 0 for item in ITEMS}
ENGLISH = [handout for (_, language), handout in library().items() if language == "en"]
HELP = ("help-right-now",)


def offers(stage, situation=QUIET, had=HELP):
    return [
        SimpleNamespace(
            handout=handout,
            verdict=judge(handout, situation, stage=stage),
            given=handout.id in had,
        )
        for handout in sorted(ENGLISH, key=lambda handout: handout.code)
    ]


def advice(stage="steady", *, had=HELP, unread=(), situation=QUIET, **levels):
    return suggest(
        offers(stage, situation, had),
        stage=stage,
        levels=CALM | levels,
        unread=[library()[slug, "en"] for slug in unread],
    )


def slugs(found):
    return [suggestion.offer.handout.id for suggestion in found.suggestions]


@pytest.mark.parametrize(
    ("levels", "budget", "because"),
    [
        (CALM, MINUTES_A_WEEK, ""),
        (CALM | {"sleep": 1}, MINUTES_A_GENTLE_WEEK, "Lowered from 60: sleep is at watch."),
        (CALM | {"eating": 2}, MINUTES_A_GENTLE_WEEK, "Lowered from 60: eating is at concern."),
        (
            CALM | {"sleep": 1, "eating": 3},
            MINUTES_A_GENTLE_WEEK,
            "Lowered from 60: sleep is at watch and eating is at urgent.",
        ),
        (CALM | {"sleep": None}, MINUTES_A_GENTLE_WEEK, "Lowered from 60: sleep is not known."),
        (CALM | {"work": 3, "self_harm": 3}, MINUTES_A_WEEK, ""),
        ({}, MINUTES_A_GENTLE_WEEK, "Lowered from 60: sleep is not known and eating is not known."),
    ],
)
def test_the_weeks_budget(levels, budget, because):
    found = reading_of(levels, [])
    assert (found.budget, found.because, found.left) == (budget, because, budget)


def test_what_is_unread_fills_the_week_and_safety_sheets_fill_none():
    unread = [library()[slug, "en"] for slug in ("first-days-pause", "my-safety-plan")]
    found = reading_of(CALM, unread)
    assert (found.open, found.left) == (20, 40)
    assert found.words == "20 of about 60 minutes a week are still unread."
    assert reading_of(CALM | {"sleep": 1}, unread * 2).left == 0


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        ({"had": ()}, ["help-right-now", "first-days-pause", "hold-back-list"]),
        ({}, ["first-days-pause", "hold-back-list", "keep-the-day-running"]),
        ({"had": (*HELP, "first-days-pause")}, ["hold-back-list", "keep-the-day-running", "running-on-empty"]),
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
def test_what_comes_next(told, wanted):
    assert slugs(advice(**told)) == wanted


def test_a_sheet_longer_than_the_week_waits_until_nothing_else_is_unread():
    everything = {handout.id for handout in ENGLISH} - {"my-year-ahead"}
    alone = advice("rebuild", had=everything, sleep=1)
    assert slugs(alone) == ["my-year-ahead"]
    assert "more than a week of reading" in alone.suggestions[0].why
    assert slugs(advice("rebuild", had=everything, sleep=1, unread=("hold-back-list",))) == []


def test_every_suggestion_says_why():
    found = advice(sleep=2)
    assert found.suggestions[0].why == "Sleep is at concern."
    assert found.suggestions[1].why == "Belongs to Steady. 20 minutes, and 30 are left this week."
    had = (*HELP, "my-reasons", "my-part-not-my-part", "running-on-empty")
    assert advice("understand", had=had).suggestions[0].why.startswith("Also fits Understand. ")
    told = Situation(flags=frozenset({"self_harm_flag"}), facts=QUIET.facts)
    plan = advice(self_harm=1, situation=told).suggestions[0]
    assert plan.why.startswith("Self-harm is at watch.")


def test_every_answer_is_in_the_library_and_every_question_has_one():
    assert set(ANSWERS) == {item.key for item in ITEMS}
    assert {(slug, "en") for slug in ANSWERS.values()} <= library().keys()


levels = st.fixed_dictionaries({item.key: st.sampled_from([None, 0, 1, 2, 3]) for item in ITEMS})
some = st.lists(st.sampled_from(ENGLISH), max_size=6, unique_by=lambda handout: handout.id)


@given(st.sampled_from([stage.id for stage in stages()]), situations, levels, some)
def test_nothing_refused_or_given_before_is_proposed_and_the_week_is_never_overfilled(
    stage, situation, levels, unread
):
    had = {handout.id for handout in unread}
    found = suggest(offers(stage, situation, had), stage=stage, levels=levels, unread=unread)
    assert len(found.suggestions) <= MOST_SUGGESTED
    assert len(set(slugs(found))) == len(found.suggestions)
    for suggestion in found.suggestions:
        assert suggestion.offer.verdict.outcome != REFUSE
        assert suggestion.offer.handout.id not in had
        assert suggestion.why
    reading = [s.offer.handout for s in found.suggestions if counts(s.offer.handout)]
    read_by_stage = [h for h in reading if h.id not in ANSWERS.values()]
    if len(read_by_stage) > 1:
        assert sum(handout.minutes for handout in read_by_stage) <= found.reading.left


W1, W2, W3, W4 = (date(2026, 11, day) for day in (2, 9, 16, 23))


@pytest.mark.parametrize(
    ("chosen", "budget", "taken", "weeks"),
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
def test_sheets_are_laid_into_weeks(chosen, budget, taken, weeks):
    sheets = [library()[slug, "en"] for slug in chosen]
    assert spread(sheets, budget=budget, taken=taken, start=date(2026, 11, 5)) == weeks


@pytest.mark.parametrize(
    ("today", "week"),
    [(date(2026, 11, 2), W1), (date(2026, 11, 4), W1), (date(2026, 11, 5), W2), (date(2026, 11, 8), W2)],
)  # fmt: skip
def test_the_first_week_is_one_that_can_still_be_read_in(today, week):
    assert first_week(today) == week
    assert week_of(today) == W1


budgets = st.sampled_from([MINUTES_A_WEEK, MINUTES_A_GENTLE_WEEK])


@pytest.mark.slow
@given(st.lists(st.sampled_from(ENGLISH), max_size=12), budgets)
def test_no_week_is_overfilled_and_the_order_is_kept(chosen, budget):
    weeks = spread(chosen, budget=budget, taken={}, start=W1)
    dated = [(week, sheet.minutes) for week, sheet in zip(weeks, chosen, strict=True) if week]
    assert [week for week, _ in dated] == sorted(week for week, _ in dated)
    for week in {week for week, _ in dated}:
        minutes = [length for found, length in dated if found == week]
        assert sum(minutes) <= budget or len(minutes) == 1
