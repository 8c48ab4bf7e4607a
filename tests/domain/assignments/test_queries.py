"""Handout options and recommendations for a case."""

import pytest

from caseapp.core.errors import Forbidden
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.operations import mark_own_read, withdraw
from caseapp.domain.assignments.queries import list_assignments, lock_assignment
from caseapp.domain.assignments.reading import get_handout_choice, lock_own_assignment
from caseapp.domain.cases.queries import get_case_context
from tests.domain.assignments.steps import assign, reader
from tests.support import builders
from tests.support.bars_table import TABLE
from tests.support.staff_pages import Statements


def test_handout_options_show_suitability_and_what_is_assigned(team, made):
    coach = team["coach"]
    assign(coach, made)
    options = {
        option.handout.id: option
        for option in get_handout_choice(coach, get_case_context(coach, made.case_id)).options
    }
    assert {*options} == {*TABLE}
    assert options["better-nights"].assigned
    assert options["better-nights"].suitability.outcome == "eligible"
    assert options["light-time-together"].suitability.outcome == "blocked"
    assert options["my-limits"].suitability.outcome == "caution"


def test_recommendation_follows_assignments_and_screenings(team, made):
    coach = team["coach"]

    def proposed():
        found = get_handout_choice(coach, get_case_context(coach, made.case_id)).recommendation
        return found.plan, [s.option.handout.id for s in found.suggestions]

    plan, slugs = proposed()
    assert (plan.budget, plan.unread) == (60, 0)
    assert slugs == ["help-right-now", "first-days-pause", "hold-back-list"]
    given = assign(coach, made, "first-days-pause")
    assign(coach, made, "help-right-now", language="es")
    assign(coach, made, "keep-the-day-running", channel="in_person")
    plan, slugs = proposed()
    assert plan.unread == 20
    assert slugs == ["hold-back-list", "phones-and-social-media"]
    with transaction():
        mark_own_read(reader(made), lock_own_assignment(reader(made), 1))
    builders.screen(coach, made.client_id, sleep="watch")
    plan, slugs = proposed()
    assert (plan.budget, plan.unread) == (30, 0)
    assert slugs == ["better-nights", "hold-back-list", "phones-and-social-media"]
    with transaction():
        withdraw(coach, lock_assignment(coach, given), 2)
    assert "first-days-pause" in proposed()[1]
    assign(coach, made, "hold-back-list")
    builders.screen(coach, made.client_id, fear_at_home="concern")
    held = get_handout_choice(coach, get_case_context(coach, made.case_id)).recommendation
    assert held.plan.unread == 0, "what is stopped is not waiting to be read"
    assert "blocked" not in {s.option.suitability.outcome for s in held.suggestions}
    assert held.suggestions[0].option.handout.id == "a-private-check"
    with pytest.raises(Forbidden):
        get_handout_choice(team["admin"], get_case_context(coach, made.case_id))


def test_options_and_lists_run_a_fixed_number_of_statements(team, made):
    coach = team["coach"]
    context = get_case_context(coach, made.case_id)
    with Statements() as few:
        get_handout_choice(coach, context)
        list_assignments(coach, context)
    for slug in ("better-nights", "help-right-now", "keep-the-day-running"):
        assign(coach, made, slug)
    context = get_case_context(coach, made.case_id)
    with Statements() as many:
        get_handout_choice(coach, context)
        list_assignments(coach, context)
    assert len(many.seen) == len(few.seen)
