"""A coach makes a safety plan with a client on the phone, and the client reads it in the portal."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from caseapp.domain.safety_plans.codes import FORMS, SAFETY
from tests.support import builders, portal_client, staff

pytestmark = pytest.mark.journey


def sign_in(page, live, actor):
    page.goto(f"{live}/sign-in")
    page.get_by_label("Email").fill(staff.email_of(actor))
    page.get_by_label("Password").fill(staff.PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url("**/today")


def test_plan_is_made_from_the_hold_page_and_read_in_the_portal(app, live, page, look):
    coach = staff.team()["coach"]
    _, found = portal_client.sign_in_client(app, coach, "Ines Okafor")
    builders.screen(coach, found.client_id, self_harm="concern")
    sign_in(page, live, coach)
    page.goto(f"{live}/today")
    page.get_by_role("link", name="Ines Okafor").first.click()
    page.get_by_role("link", name="How to release the safety hold").click()
    page.get_by_role("link", name="Open the safety plan").click()
    look.at("both plans")
    page.get_by_role("link", name="Write the safety plan").click()
    for step in FORMS[SAFETY].steps:
        if step.required:
            page.locator(f"#{step.key}").fill(f"We wrote this: {step.key}")
    page.get_by_role("button", name="Save the plan").click()
    expect(page.get_by_text("Plan saved.")).to_be_visible()
    look.at("a plan")
    page.get_by_label("The client has said today").check()
    page.get_by_role("button", name="Show it in the portal").click()
    expect(page.get_by_text("The plan is in the portal now.")).to_be_visible()
    page.get_by_text("Read this version").click()
    look.at("an older version")
    page.context.clear_cookies()
    page.goto(f"{live}/portal/sign-in")
    page.get_by_label("The code on your card").fill(found.card_code)
    page.get_by_role("button", name="Use the card").click()
    page.get_by_label("Your six digits").fill(portal_client.PIN)
    page.get_by_role("button", name="Open my reading list").click()
    page.get_by_role("link", name="Open My plan").click()
    expect(page.get_by_text("We wrote this: people")).to_be_visible()
    look.at("the plan in the portal")
    with page.expect_download() as saved:
        page.get_by_role("link", name="Save PDF").click()
    assert saved.value.suggested_filename == "reading-plan.pdf"
