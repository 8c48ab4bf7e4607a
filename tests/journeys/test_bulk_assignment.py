"""A bulk assignment in a real browser, from the selection to the end, with axe on every page."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from caseapp.core import outbox, runtime
from caseapp.core.transaction import transaction
from caseapp.domain.handouts.operations import recall
from caseapp.domain.handouts.queries import get_handout_version
from tests.journeys.test_writing_a_note import sign_in
from tests.support import builders, staff

pytestmark = pytest.mark.journey


def test_bulk_assignment_coach_assigns_one_handout_to_several_clients(
    app, live, page, look, monkeypatch
):
    monkeypatch.setattr(runtime.current(), "dispatch", None)
    team = staff.team()
    made = [builders.case(team["coach"], name) for name in ("Ana Brandt", "Bo Castell", "Cy Dorn")]
    for one in made:
        builders.screen(team["coach"], one.client_id)
    builders.screen(team["coach"], made[1].client_id, fear_at_home="concern")
    sign_in(page, live)
    page.goto(f"{live}/handouts/my-limits")
    page.get_by_role("link", name="Assign to several").click()
    look.at("choose")
    page.get_by_label("All on this list (3)").check()
    page.get_by_label("Print: you hand it over on paper").check()
    page.get_by_role("button", name="Check who can receive it").click()
    page.get_by_role("heading", name="Assign this handout to these clients?").wait_for()
    look.at("confirm")
    page.get_by_label("Ana Brandt").check()
    page.get_by_role("button", name="Assign to those selected").click()
    page.get_by_role("heading", name="Assigning to several clients").wait_for()
    expect(page.get_by_text("0 assigned, 2 skipped, 1 waiting.")).to_be_visible()
    outbox.sweep()
    # A script updates the progress without reloading the page.
    page.get_by_role("heading", name="Assigned to several clients").wait_for()
    expect(page.get_by_text("1 assigned, 2 skipped, 0 waiting.", exact=True)).to_be_visible()
    look.at("assigned")
    with transaction():
        recall(
            team["supervisor"],
            get_handout_version("my-limits").handout_version_id,
            "A line is wrong.",
        )
    page.goto(f"{live}/handouts/suspended")
    expect(page.get_by_role("heading", name="Ana Brandt")).to_be_visible()
    look.at("suspended")
    assert look.seen == {"choose", "confirm", "assigned", "suspended"}
