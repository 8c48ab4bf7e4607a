"""What a plan needs, which one a hold asks for, and when one may be in the portal; without a database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from caseapp.core.ids import new_id
from caseapp.domain.safety_plans.codes import CHANGE_LABELS, EXIT, FORMS, SAFETY, WORKED_ON
from caseapp.domain.safety_plans.rules import (
    find_plan_faults,
    list_asked_kinds,
    list_changed_steps,
    list_plan_blockers,
    list_portal_blockers,
    review_due_at,
)
from caseapp.domain.safety_plans.schemas import PlanVersion, normalize_step
from caseapp.domain.screening.protocol import ITEMS, LEVEL_RULES, Level
from caseapp.domain.screening.records import Answer
from tests.support.contexts import NOW, client
from tests.support.safety_plans import answers

TODAY = NOW.date()
DAY = timedelta(days=1)


def version(kind=SAFETY, change="written", at=NOW, **given):
    return PlanVersion(
        id=new_id(),
        plan_id=new_id(),
        client_id=new_id(),
        seq=1,
        kind=kind,
        number=1,
        change=change,
        answers=given.get("answers", answers(kind)),
        note="",
        shown_on=None,
        review_on=TODAY,
        created_at=at,
        created_by=new_id(),
        worked_on_at=at,
    )


def codes(reasons):
    return [reason.code for reason in reasons]


@pytest.mark.parametrize("kind", FORMS)
def test_plan_with_every_step_has_no_faults(kind):
    assert find_plan_faults(kind, answers(kind), TODAY, TODAY) == {}


@pytest.mark.parametrize("kind", FORMS)
def test_plan_with_the_required_steps_only_has_no_faults(kind):
    required = {step.key: "Nothing yet" for step in FORMS[kind].steps if step.required}
    assert 3 <= len(required) < len(FORMS[kind].steps)
    assert find_plan_faults(kind, required, TODAY, TODAY) == {}
    for key in required:
        assert [*find_plan_faults(kind, required | {key: ""}, TODAY, TODAY)] == [key]


@pytest.mark.parametrize("text", [".", "…", "- -", "\u200b", "\u2800\n\u2800"])
@pytest.mark.parametrize("kind", FORMS)
def test_step_that_says_nothing_is_as_good_as_none(kind, text):
    required = {step.key for step in FORMS[kind].steps if step.required}
    assert {*find_plan_faults(kind, dict.fromkeys(required, text), TODAY, TODAY)} == required
    optional = {step.key: text for step in FORMS[kind].steps if not step.required}
    assert find_plan_faults(kind, answers(kind) | optional, TODAY, TODAY) == {}


def test_step_of_another_plan_is_a_fault():
    given = answers(SAFETY) | {"pets": "The cat."}
    assert [*find_plan_faults(SAFETY, given, TODAY, TODAY)] == ["pets"]


@pytest.mark.parametrize(("days", "right"), [(-1, False), (0, True), (365, True), (366, False)])
def test_next_review_is_within_a_year(days, right):
    faults = find_plan_faults(SAFETY, answers(), TODAY + days * DAY, TODAY)
    assert [*faults] == ([] if right else ["review_on"])


def test_review_is_due_at_noon_in_the_zone_of_the_practice():
    due = review_due_at(TODAY.replace(month=7), "Europe/London")
    assert due.astimezone(UTC).hour == 11


def reason(item, level):
    return {"item": item, "level": int(level), "screening": "x"}


@pytest.mark.parametrize(
    ("reasons", "kinds"),
    [
        ([reason("self_harm", 2)], {SAFETY}),
        ([reason("harm_to_others", 3)], {SAFETY}),
        ([reason("sleep", 3)], {SAFETY}),
        ([reason("fear_at_home", 2)], {EXIT}),
        ([reason("fear_at_home", 3), reason("sleep", 2)], {EXIT}),
        ([reason("fear_at_home", 3), reason("self_harm", 2)], {SAFETY, EXIT}),
        ([reason("fear_at_home", 1)], {SAFETY}),
        ([], {SAFETY}),
    ],
)
def test_hold_asks_for_the_plans_of_its_reasons(reasons, kinds):
    assert list_asked_kinds(reasons) == kinds


def test_every_answer_that_requires_a_plan_asks_for_one():
    for item in ITEMS:
        for level in Level:
            if "safety_plan" in LEVEL_RULES[item.key, level].actions:
                expected = {EXIT} if item.key == "fear_at_home" else {SAFETY}
                assert list_asked_kinds([reason(item.key, level)]) == expected


@pytest.mark.parametrize("change", CHANGE_LABELS)
@pytest.mark.parametrize("minutes", [-60, -6, -5, 0, 60])
def test_plan_counts_when_it_was_worked_on_since_it_was_required(change, minutes):
    found = version(change=change, at=NOW + timedelta(minutes=minutes))
    counts = change in WORKED_ON and minutes >= -5
    assert codes(list_plan_blockers({SAFETY}, [found], NOW)) == ([] if counts else ["no_plan"])


def test_plan_of_the_other_kind_does_not_count():
    assert codes(list_plan_blockers({EXIT}, [version(SAFETY)], NOW)) == ["no_plan"]
    assert codes(list_plan_blockers({SAFETY, EXIT}, [version(EXIT)], NOW)) == ["no_plan"]
    both = [version(SAFETY), version(EXIT)]
    assert list_plan_blockers({SAFETY, EXIT}, both, NOW) == []


def answer(level=0, *, alone=True):
    return Answer(level, NOW, alone, UUID(int=1))


def portal(kind=SAFETY, flags=(), fear=answer(), confirmed=None, channels=("call", "portal")):  # noqa: B008
    person = client(channels=channels, confirmed_at=confirmed)
    return codes(list_portal_blockers(kind, person, frozenset(flags), fear))


def test_safety_plan_may_be_in_the_portal_of_a_client_who_fears_nobody():
    assert portal() == []
    assert portal(flags=["self_harm_flag", "client_harm_flag", "contact_block"]) == []


@pytest.mark.parametrize("confirmed", [None, datetime(2026, 1, 1, tzinfo=UTC)])
@pytest.mark.parametrize("flag", ["violence_flag", "unsafe_delivery"])
def test_no_plan_is_in_the_portal_where_somebody_may_read_it(flag, confirmed):
    expected = ["unsafe"] if confirmed else ["contact_frozen", "unsafe"]
    assert portal(flags=[flag], confirmed=confirmed) == expected


@pytest.mark.parametrize(
    "fear", [None, answer(alone=False), answer(1), answer(2), answer(3), answer(1, alone=False)]
)
def test_no_plan_is_in_the_portal_while_fear_is_known_or_unknown(fear):
    assert portal(fear=fear) == ["fear_not_excluded"]


def test_no_plan_is_in_a_portal_that_is_not_safe():
    assert portal(channels=("call",)) == ["portal_not_safe"]


def test_exit_plan_is_never_in_the_portal():
    assert portal(EXIT) == ["exit_plan"]


def test_changed_steps_are_named_in_the_order_of_the_plan():
    before = version(answers=answers() | {"matters": ""})
    after = version(answers=answers() | {"warning_signs": "Sundays"})
    assert list_changed_steps(before, after) == [
        "How I notice that it is getting harder",
        "What matters most to me",
    ]
    assert list_changed_steps(after, after) == []


def test_step_keeps_its_lines_without_blanks():
    assert normalize_step("  Anne \t 01632 960123 \r\n\r\n  Ben ") == "Anne 01632 960123\nBen"
