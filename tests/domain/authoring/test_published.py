"""Own handouts once they are published: beside the library, given, heeded, in the place of what is hidden."""

from __future__ import annotations

import pytest

from caseapp.core.actor import Actor
from caseapp.core.errors import RuleBroken
from caseapp.core.permissions import Role
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.operations import assign_handout
from caseapp.domain.assignments.queries import list_handout_options
from caseapp.domain.assignments.reading import get_reading_list, get_recommendation
from caseapp.domain.cases.queries import get_case_context
from caseapp.domain.handouts import checks
from caseapp.domain.handouts.library import Contraindication, library, parse
from caseapp.domain.handouts.operations import hide_handout, publish_library
from caseapp.domain.handouts.queries import get_handout_version
from caseapp.domain.practice.queries import today
from tests.domain.authoring.steps import codes, publish_copy, published, whole
from tests.support import builders

pytestmark = pytest.mark.usefixtures("on_release_day")


def test_publishing_the_library_leaves_our_own_alone(team):
    slug = published(team["supervisor"], team["admin"])
    with transaction():
        assert publish_library() == 0
    assert get_handout_version(slug).handout.own
    assert checks.list_problems(today()) == []
    assert not any(handout.own for handout in library().values())


def test_an_own_sheet_is_assigned_and_read_like_any_other(team):
    slug = published(team["supervisor"], team["admin"])
    made = builders.case(team["coach"])
    builders.screen(team["coach"], made.client_id)
    context = get_case_context(team["coach"], made.case_id)
    assert slug in {option.handout.id for option in list_handout_options(team["coach"], context)}
    with transaction():
        assign_handout(team["coach"], made.case_id, slug, message="", channel="portal")
    client = Actor(made.client_id, Role.CLIENT, "Ines", "portal")
    assert [record.slug for record in get_reading_list(client)] == [slug]


def test_our_own_edition_keeps_what_the_library_says_of_it(team):
    slug = publish_copy(team, "first-days-pause")
    ours, theirs = get_handout_version(slug).handout, library()["first-days-pause", "en"]
    assert ours.based_on == "first-days-pause"
    assert set(ours.claims) == set(theirs.claims)
    assert set(ours.sources) == set(theirs.sources)
    assert ours.contraindications == theirs.contraindications
    assert ours.body == theirs.body


def test_our_own_edition_answers_where_the_hidden_sheet_did(team):
    made = builders.case(team["coach"])
    builders.screen(team["coach"], made.client_id, household="concern")
    slug = publish_copy(team, "keep-the-day-running")
    context = get_case_context(team["coach"], made.case_id)

    def proposed():
        return [found.option.handout.id for found in get_recommendation(team["coach"], context).suggestions]

    assert "keep-the-day-running" in proposed()
    with transaction():
        hide_handout(team["admin"], "keep-the-day-running")
    assert proposed()[:2] == ["help-right-now", slug]


def test_a_warning_of_ours_is_heeded(team):
    warned = (
        Contraindication("violence_flag", "block", "Not with fear at home.", "a-private-check"),
    )
    slug = published(team["supervisor"], team["admin"], whole(warnings=warned))
    assert parse(get_handout_version(slug).handout.source).contraindications == warned
    made = builders.case(team["coach"])
    builders.screen(team["coach"], made.client_id, fear_at_home="concern")
    with pytest.raises(RuleBroken) as refused, transaction():
        assign_handout(team["coach"], made.case_id, slug, message="", channel="in_person")
    assert "violence_flag" in codes(refused) or "hold_open" in codes(refused)
