"""Tests of hiding handouts, with the rule for safety handouts."""

from __future__ import annotations

import pytest

from caseapp.core.actor import Actor
from caseapp.core.errors import NotFound, RuleBroken
from caseapp.core.permissions import Role
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.operations import assign_handout
from caseapp.domain.assignments.reading import get_handout_choice, get_reading_list
from caseapp.domain.cases.queries import get_case_context, lock_case
from caseapp.domain.handouts.library import library
from caseapp.domain.handouts.operations import hide_handout, recall, show_handout
from caseapp.domain.handouts.queries import get_handout_version, list_handouts
from tests.domain.authoring.steps import list_published_slugs, publish_copy, reason_codes
from tests.support import builders

pytestmark = pytest.mark.usefixtures("on_release_day")


def test_hide_handout_removes_it_from_lists_and_keeps_assignments(team):
    case = builders.case(team["coach"])
    builders.screen(team["coach"], case.client_id, work="watch")
    context = get_case_context(team["coach"], case.case_id)
    with transaction():
        assignment_id = assign_handout(
            team["coach"],
            lock_case(team["coach"], case.case_id),
            "keep-the-day-running",
            message="",
            channel="portal",
            confirmed=True,
        )
    with transaction():
        hide_handout(team["supervisor"], "keep-the-day-running")
    assert assignment_id
    assert "keep-the-day-running" not in list_published_slugs()
    assert "keep-the-day-running" not in {
        option.handout.id for option in get_handout_choice(team["coach"], context).options
    }
    hidden = list_handouts(team["admin"], hidden=True)
    assert {item.handout.id for item in hidden} == {"keep-the-day-running"}
    other = builders.case(team["coach"])
    builders.screen(team["coach"], other.client_id)
    with pytest.raises(RuleBroken) as error, transaction():
        assign_handout(
            team["coach"],
            lock_case(team["coach"], other.case_id),
            "keep-the-day-running",
            message="",
            channel="print",
        )
    assert reason_codes(error) == ["hidden"]
    client = Actor(case.client_id, Role.CLIENT, "Ines", "portal")
    assert [record.slug for record in get_reading_list(client)] == ["keep-the-day-running"]
    with pytest.raises(RuleBroken), transaction():
        hide_handout(team["admin"], "keep-the-day-running")
    with transaction():
        show_handout(team["admin"], "keep-the-day-running")
    assert "keep-the-day-running" in list_published_slugs()
    with pytest.raises(RuleBroken), transaction():
        show_handout(team["admin"], "keep-the-day-running")
    with pytest.raises(NotFound), transaction():
        hide_handout(team["admin"], "no-such-handout")


def safety_handout_slugs():
    return sorted({handout.id for handout in library().values() if handout.kind == "safety-sheet"})


@pytest.mark.parametrize("slug", safety_handout_slugs())
def test_hide_safety_handout_without_practice_version_raises(team, slug):
    with pytest.raises(RuleBroken) as error, transaction():
        hide_handout(team["admin"], slug)
    assert reason_codes(error) == ["safety_handout"]
    assert slug in list_published_slugs()


def test_hidden_safety_handout_is_shown_when_practice_version_is_recalled(team):
    languages = ["en", "es"]
    slugs = [publish_copy(team, "help-right-now", language=language) for language in languages[:1]]
    with pytest.raises(RuleBroken) as error, transaction():
        hide_handout(team["admin"], "help-right-now")
    assert "Español" in error.value.reasons[0].message
    slugs += [publish_copy(team, "help-right-now", language=language) for language in languages[1:]]
    with transaction():
        hide_handout(team["admin"], "help-right-now")
    assert "help-right-now" not in list_published_slugs()
    with transaction():
        recall(
            team["admin"],
            get_handout_version(slugs[0]).handout_version_id,
            "It names a wrong address.",
        )
    assert "help-right-now" in list_published_slugs()
    assert not get_handout_version("help-right-now").hidden


def test_hide_safety_handout_with_other_hold_mark_raises(team):
    for language in ("en", "es"):
        publish_copy(
            team,
            "help-right-now",
            change={"hold_ok": "none", "title": "Practice version"},
            language=language,
        )
    with pytest.raises(RuleBroken) as error, transaction():
        hide_handout(team["admin"], "help-right-now")
    assert reason_codes(error) == ["safety_handout"]
