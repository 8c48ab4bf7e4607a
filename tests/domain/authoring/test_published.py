"""Published practice handouts: listed beside the library, assigned, checked, and used instead of hidden handouts."""

from __future__ import annotations

import pytest

from caseapp.core.actor import Actor
from caseapp.core.errors import RuleBroken
from caseapp.core.permissions import Role
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.operations import assign_handout
from caseapp.domain.assignments.reading import get_handout_choice, get_reading_list
from caseapp.domain.cases.queries import get_case_context, lock_case
from caseapp.domain.handouts import checks
from caseapp.domain.handouts.library import Contraindication, library, parse_handout
from caseapp.domain.handouts.operations import hide_handout, publish_library
from caseapp.domain.handouts.queries import get_handout_version
from caseapp.domain.practice.queries import today
from tests.domain.authoring.steps import (
    build_content,
    publish_copy,
    publish_new_handout,
    reason_codes,
)
from tests.support import builders

pytestmark = pytest.mark.usefixtures("on_release_day")


def test_publish_library_leaves_practice_handouts_unchanged(team):
    slug = publish_new_handout(team["supervisor"], team["admin"])
    with transaction():
        assert publish_library() == 0
    assert get_handout_version(slug).handout.is_practice_handout
    assert checks.list_problems(today()) == []
    assert not any(handout.is_practice_handout for handout in library().values())


def test_practice_handout_can_be_assigned_and_read(team):
    slug = publish_new_handout(team["supervisor"], team["admin"])
    made = builders.case(team["coach"])
    builders.screen(team["coach"], made.client_id)
    context = get_case_context(team["coach"], made.case_id)
    assert slug in {
        option.handout.id for option in get_handout_choice(team["coach"], context).options
    }
    with transaction():
        assign_handout(
            team["coach"],
            lock_case(team["coach"], made.case_id),
            slug,
            message="",
            channel="portal",
        )
    client = Actor(made.client_id, Role.CLIENT, "Ines", "portal")
    assert [record.slug for record in get_reading_list(client)] == [slug]


def test_copy_of_library_handout_keeps_claims_sources_and_contraindications(team):
    slug = publish_copy(team, "first-days-pause")
    ours, theirs = get_handout_version(slug).handout, library()["first-days-pause", "en"]
    assert ours.based_on == "first-days-pause"
    assert set(ours.claims) == set(theirs.claims)
    assert set(ours.sources) == set(theirs.sources)
    assert ours.contraindications == theirs.contraindications
    assert ours.body == theirs.body


def test_copy_is_recommended_instead_of_its_hidden_original(team):
    made = builders.case(team["coach"])
    builders.screen(team["coach"], made.client_id, household="concern")
    slug = publish_copy(team, "keep-the-day-running")
    context = get_case_context(team["coach"], made.case_id)

    def suggested():
        return [
            found.option.handout.id
            for found in get_handout_choice(team["coach"], context).recommendation.suggestions
        ]

    assert "keep-the-day-running" in suggested()
    with transaction():
        hide_handout(team["admin"], "keep-the-day-running")
    assert suggested()[:2] == ["help-right-now", slug]


def test_contraindication_of_practice_handout_blocks_assignment(team):
    warnings = (
        Contraindication("violence_flag", "block", "Not with fear at home.", "a-private-check"),
    )
    slug = publish_new_handout(team["supervisor"], team["admin"], build_content(warnings=warnings))
    assert parse_handout(get_handout_version(slug).handout.source).contraindications == warnings
    made = builders.case(team["coach"])
    builders.screen(team["coach"], made.client_id, fear_at_home="concern")
    with pytest.raises(RuleBroken) as refused, transaction():
        assign_handout(
            team["coach"],
            lock_case(team["coach"], made.case_id),
            slug,
            message="",
            channel="in_person",
        )
    assert "violence_flag" in reason_codes(refused) or "hold_open" in reason_codes(refused)
