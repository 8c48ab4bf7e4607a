"""Giving a sheet to several clients in a real browser, from the choice to the end, with axe on every page."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from caseapp.core import outbox
from caseapp.core.transaction import transaction
from caseapp.domain.handouts.operations import recall
from caseapp.domain.handouts.queries import edition_of
from tests.journeys.test_writing_a_note import enter
from tests.support import builders, staff

pytestmark = pytest.mark.journey


def test_a_coach_gives_one_sheet_to_several(app, live, page, look, monkeypatch):
    monkeypatch.setattr(outbox, "_hand_over", [])
    team = staff.team()
    made = [builders.case(team["coach"], name) for name in ("Ana Brandt", "Bo Castell", "Cy Dorn")]
    for one in made:
        builders.screen(team["coach"], one.client_id)
    builders.screen(team["coach"], made[1].client_id, fear_at_home="concern")
    enter(page, live)
    page.goto(f"{live}/handouts/my-limits")
    page.get_by_role("link", name="Give to several").click()
    look.at("choose")
    page.get_by_label("All on this list (3)").check()
    page.get_by_label("Print: handed over on paper").check()
    page.get_by_role("button", name="Look at who can get it").click()
    page.get_by_role("heading", name="Give it to these clients?").wait_for()
    look.at("confirm")
    page.get_by_label("Ana Brandt").check()
    page.get_by_role("button", name="Give to those ticked").click()
    page.get_by_role("heading", name="Giving to several").wait_for()
    expect(page.get_by_text("0 given, 2 left out, 1 waiting.")).to_be_visible()
    outbox.sweep()
    # The page looks again by itself.
    page.get_by_role("heading", name="Given to several").wait_for(timeout=15000)
    expect(page.get_by_text("1 given, 2 left out, 0 waiting.")).to_be_visible()
    look.at("given")
    with transaction():
        recall(team["supervisor"], edition_of("my-limits").edition_id, "A line is wrong.")
    page.goto(f"{live}/handouts/suspended")
    expect(page.get_by_role("heading", name="Ana Brandt")).to_be_visible()
    look.at("resting")
    assert look.seen == {"choose", "confirm", "given", "resting"}
