"""What is offered for a case, and which sheets are the next best."""

import pytest

from caseapp.core.errors import Forbidden
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.eligibility import advice_for, offers_for
from caseapp.domain.assignments.operations import mark_read, withdraw
from caseapp.domain.assignments.queries import assignments_of
from caseapp.domain.cases.queries import case_head
from tests.domain.assignments.steps import give, reader
from tests.support import builders
from tests.support.staff_pages import Statements


def test_offers_say_what_suits_and_what_is_there_already(team, made):
    coach = team["coach"]
    give(coach, made)
    offers = {o.handout.id: o for o in offers_for(coach, case_head(coach, made.case_id))}
    assert len(offers) == 28
    assert offers["better-nights"].given
    assert offers["better-nights"].verdict.outcome == "give"
    assert offers["light-time-together"].verdict.outcome == "refuse"
    assert offers["my-limits"].verdict.outcome == "careful"
    steady = offers_for(coach, case_head(coach, made.case_id), "steady")
    assert {o.handout.id for o in steady} > {"first-days-pause", "better-nights"}
    assert all(o.handout.fits("steady") for o in steady)


def test_the_next_best_follow_what_is_there_and_how_the_client_is(team, made):
    coach = team["coach"]

    def proposed():
        found = advice_for(coach, case_head(coach, made.case_id))
        return found.reading, [s.offer.handout.id for s in found.suggestions]

    reading, slugs = proposed()
    assert (reading.budget, reading.open) == (60, 0)
    assert slugs == ["help-right-now", "first-days-pause", "hold-back-list"]
    given = give(coach, made, "first-days-pause")
    give(coach, made, "help-right-now", language="es")
    give(coach, made, "keep-the-day-running", channel="in_person")
    reading, slugs = proposed()
    assert reading.open == 20
    assert slugs == ["hold-back-list", "running-on-empty"]
    with transaction():
        mark_read(reader(made), 1)
    builders.screen(coach, made.client_id, sleep="watch")
    reading, slugs = proposed()
    assert (reading.budget, reading.open) == (30, 0)
    assert slugs == ["better-nights", "hold-back-list", "running-on-empty"]
    with transaction():
        withdraw(coach, given, 2)
    assert "first-days-pause" in proposed()[1]
    give(coach, made, "hold-back-list")
    builders.screen(coach, made.client_id, fear_at_home="concern")
    held = advice_for(coach, case_head(coach, made.case_id))
    assert held.reading.open == 0, "what is stopped is not waiting to be read"
    assert "refuse" not in {s.offer.verdict.outcome for s in held.suggestions}
    assert held.suggestions[0].offer.handout.id == "a-private-check"
    with pytest.raises(Forbidden):
        advice_for(team["admin"], case_head(coach, made.case_id))


def test_offers_and_lists_take_a_fixed_number_of_statements(team, made):
    coach = team["coach"]
    head = case_head(coach, made.case_id)
    with Statements() as few:
        offers_for(coach, head)
        advice_for(coach, head)
        assignments_of(coach, head)
    for slug in ("better-nights", "help-right-now", "keep-the-day-running"):
        give(coach, made, slug)
    head = case_head(coach, made.case_id)
    with Statements() as many:
        offers_for(coach, head)
        advice_for(coach, head)
        assignments_of(coach, head)
    assert len(many.seen) == len(few.seen)
