"""Sheets that the practice hides: out of every list, unless they are for safety and nothing stands in for them."""

from __future__ import annotations

import pytest

from caseapp.core.actor import Actor
from caseapp.core.errors import NotFound, RuleBroken
from caseapp.core.permissions import Role
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.operations import assign_handout
from caseapp.domain.assignments.queries import list_handout_options
from caseapp.domain.assignments.reading import get_reading_list
from caseapp.domain.cases.queries import get_case_context
from caseapp.domain.handouts.library import library
from caseapp.domain.handouts.operations import hide_handout, recall, show_handout
from caseapp.domain.handouts.queries import get_handout_version, list_handouts
from tests.domain.authoring.steps import reason_codes, list_published_slugs, publish_copy
from tests.support import builders

pytestmark = pytest.mark.usefixtures("on_release_day")


def test_a_hidden_sheet_leaves_every_list_and_what_was_given_stays(team):
    made = builders.case(team["coach"])
    builders.screen(team["coach"], made.client_id, work="watch")
    context = get_case_context(team["coach"], made.case_id)
    with transaction():
        given_id = assign_handout(
            team["coach"],
            made.case_id,
            "keep-the-day-running",
            message="",
            channel="portal",
            confirmed=True,
        )
    with transaction():
        hide_handout(team["supervisor"], "keep-the-day-running")
    assert given_id
    assert "keep-the-day-running" not in list_published_slugs()
    assert "keep-the-day-running" not in {o.handout.id for o in list_handout_options(team["coach"], context)}
    hidden = list_handouts(team["admin"], hidden=True)
    assert {item.handout.id for item in hidden} == {"keep-the-day-running"}
    other = builders.case(team["coach"])
    builders.screen(team["coach"], other.client_id)
    with pytest.raises(RuleBroken) as refused, transaction():
        assign_handout(team["coach"], other.case_id, "keep-the-day-running", message="", channel="print")
    assert reason_codes(refused) == ["hidden"]
    client = Actor(made.client_id, Role.CLIENT, "Ines", "portal")
    assert [record.slug for record in get_reading_list(client)] == ["keep-the-day-running"]
    with pytest.raises(RuleBroken), transaction():
        hide_handout(team["admin"], "keep-the-day-running")
    with transaction():
        show_handout(team["admin"], "keep-the-day-running")
    assert "keep-the-day-running" in list_published_slugs()
    with pytest.raises(RuleBroken), transaction():
        show_handout(team["admin"], "keep-the-day-running")
    with pytest.raises(NotFound), transaction():
        hide_handout(team["admin"], "no-such-sheet")


def safety_sheets():
    return sorted({h.id for h in library().values() if h.kind == "safety-sheet"})


@pytest.mark.parametrize("slug", safety_sheets())
def test_a_safety_sheet_stays_unless_ours_stands_in_for_it(team, slug):
    with pytest.raises(RuleBroken) as refused, transaction():
        hide_handout(team["admin"], slug)
    assert reason_codes(refused) == ["safety_sheet"]
    assert slug in list_published_slugs()


def test_a_safety_sheet_comes_back_when_ours_is_gone(team):
    languages = ["en", "es"]
    ours = [publish_copy(team, "help-right-now", language=language) for language in languages[:1]]
    with pytest.raises(RuleBroken) as refused, transaction():
        hide_handout(team["admin"], "help-right-now")
    assert "Español" in refused.value.reasons[0].message
    ours += [publish_copy(team, "help-right-now", language=language) for language in languages[1:]]
    with transaction():
        hide_handout(team["admin"], "help-right-now")
    assert "help-right-now" not in list_published_slugs()
    with transaction():
        recall(team["admin"], get_handout_version(ours[0]).handout_version_id, "It names a wrong door.")
    assert "help-right-now" in list_published_slugs()
    assert not get_handout_version("help-right-now").hidden


def test_a_stand_in_has_to_serve_the_same_holds(team):
    for language in ("en", "es"):
        publish_copy(
            team, "help-right-now", change={"hold_ok": "none", "title": "Ours"}, language=language
        )
    with pytest.raises(RuleBroken) as refused, transaction():
        hide_handout(team["admin"], "help-right-now")
    assert reason_codes(refused) == ["safety_sheet"]
