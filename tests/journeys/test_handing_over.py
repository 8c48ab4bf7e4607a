"""A coach leaves while a client has an open hold: nobody's client falls off every list."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from caseapp.core.actor import operator
from caseapp.core.errors import RuleBroken
from caseapp.core.transaction import transaction
from caseapp.domain.staffing.operations import disable_member
from caseapp.domain.staffing.queries import lock_member
from tests.journeys.test_writing_a_note import sign_in
from tests.support import builders, staff

pytestmark = [
    pytest.mark.journey,
    # The pages are the same with every database.
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]


def disable(actor):
    with transaction():
        disable_member(operator(), lock_member(actor.id), None)


def test_coach_leaves_with_an_open_hold(app, live, page, look):
    team = staff.team()
    staff.add("heir", role="coach", supervisor="supervisor")
    coach = team["coach"]
    made = builders.case(coach, "Ines Okafor")
    builders.screen(coach, made.client_id, self_harm="urgent", days_ago=2)
    builders.draft(coach, made.case_id, days_ago=2)
    with pytest.raises(RuleBroken, match=made.number):
        disable(coach)
    sign_in(page, live, "supervisor")
    look.at("Today of a supervisor with an alert")
    page.get_by_role("link", name="Board").click()
    look.at("the board")
    expect(page.get_by_role("region", name="Alerts nobody has acknowledged")).to_contain_text(
        "Ines"
    )
    page.get_by_role("link", name="Hand over clients").click()
    look.at("the team")
    page.get_by_role("link", name="Marta Lindqvist").click()
    look.at("the clients to hand over")
    row = page.get_by_role("listitem").filter(has_text="Ines Okafor")
    row.get_by_label("Who takes over").select_option("Heir")
    row.get_by_role("button", name="Hand over").click()
    expect(page.get_by_text("Nothing is left to hand over.")).to_be_visible()
    look.at("nothing left")
    disable(coach)
    with page.expect_navigation():
        page.get_by_role("button", name="Sign out").click()
    sign_in(page, live, "heir")
    attention = page.get_by_role("region", name="Needs attention")
    expect(attention).to_contain_text("Ines Okafor")
    expect(attention).to_contain_text("Safety hold")
    page.goto(f"{live}/case/{made.number}/hold")
    expect(page.get_by_role("heading", name="Ines Okafor")).to_be_visible()
    assert look.said == []
