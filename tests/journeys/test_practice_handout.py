"""A practice handout in a real browser: written, previewed, approved, assigned and read; typed markup never runs."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from caseapp.core.transaction import transaction
from caseapp.domain.authoring.operations import create_draft, save_draft
from caseapp.domain.authoring.schemas import DraftContentSchema, NewDraft
from caseapp.domain.cases.queries import get_case_context
from tests.journeys.test_writing_a_note import sign_in
from tests.support import builders, portal_client, staff
from tests.support.depth import sample
from tests.web.test_authoring import BODY, SCRIPT_PAYLOADS

pytestmark = pytest.mark.journey


def open_signed_in_page(browser, live, who):
    """Open a page in a new browser context and sign in there as a member of staff."""
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    sign_in(page, live, who)
    return page


def test_practice_handout_is_written_approved_assigned_and_read(app, live, page, browser, look):
    team = staff.team()
    phone, made = portal_client.sign_in_client(app, team["coach"])
    builders.screen(team["coach"], made.client_id)
    sign_in(page, live, "supervisor")
    page.goto(f"{live}/handouts")
    page.locator('a[href="/handouts/own"]').first.click()
    look.at("practice handouts, empty")
    page.get_by_label("Title").fill("An evening walk")
    page.get_by_role("button", name="Create draft").click()
    page.get_by_role("heading", name="Edit handout").wait_for()
    pane = page.locator("[data-preview-pane]")
    page.locator("#body").fill(BODY.replace("MARK", "Even in rain."))
    expect(pane).to_contain_text("Stage: choose one of the options.")
    page.get_by_label("Summary").fill("A short walk each evening.")
    page.get_by_label("Stage", exact=True).select_option("steady")
    page.get_by_label("Minutes").fill("10")
    for answer in page.locator("select[name^='involves.']").all():
        answer.select_option("no")
    page.get_by_label("Review due").fill("2027-05-01")
    expect(pane.get_by_role("heading", name="Out and back")).to_be_visible()
    expect(pane).to_contain_text("Even in rain.")
    expect(pane).not_to_contain_text("Fix these problems before you submit")
    look.at("the editor")
    with page.expect_download() as download:
        page.get_by_role("button", name="Preview as PDF").click()
    assert download.value.suggested_filename == "draft.pdf"
    page.get_by_role("button", name="Save and submit for approval").click()
    page.get_by_text("You edited this draft").wait_for()
    look.at("a draft in review")
    draft = page.url

    admin = open_signed_in_page(browser, live, "admin")
    admin.goto(f"{live}/handouts/own")
    admin.get_by_role("link", name="An evening walk").click()
    admin.get_by_role("button", name="Approve and publish").click()
    admin.get_by_text("Handout published.").wait_for()

    page.goto(f"{draft}/history")
    look.at("its history")
    page.goto(f"{live}/handouts/own-01")
    look.at("a practice handout")
    page.goto(f"{live}/handouts/own")
    look.at("practice handouts, one published")

    coach = open_signed_in_page(browser, live, "coach")
    number = get_case_context(team["coach"], made.case_id).case.number
    coach.goto(f"{live}/case/{number}/handouts/assign?stage=all")
    coach.get_by_role("checkbox", name="An evening walk").check()
    coach.get_by_role("button", name="Assign handouts").click()
    coach.get_by_text("Handouts assigned.").wait_for()
    reading_list = phone.get("/portal").get_data(as_text=True)
    assert "An evening walk" in reading_list
    [path] = re.findall(r'href="(/portal/h/\d+)"', reading_list)
    assert "Even in rain." in phone.get(path).get_data(as_text=True)


def test_pages_of_a_draft_fit_every_width(app, live, page, look):
    team = staff.team()
    with transaction():
        draft_id = create_draft(team["admin"], NewDraft("A walk", "en"))
    with transaction():
        save_draft(team["admin"], draft_id, DraftContentSchema().load({"title": "Two walks"}), 1)
    sign_in(page, live, "supervisor")
    for path in ("", "/edit", "/history"):
        page.goto(f"{live}/handouts/own/{draft_id}{path}")
        look.at(path)
    page.goto(f"{live}/handouts/own/{draft_id}/edit")
    page.get_by_role("button", name="Save and submit for approval").click()
    page.get_by_role("heading", name="Saved, but not ready to submit yet").wait_for()
    expect(page.locator(".error-summary")).to_be_focused()
    look.said.clear()
    look.at("problems")
    page.goto(f"{live}/handouts/first-days-pause")
    look.at("a library handout")


@pytest.mark.soak
def test_typed_scripts_never_run(app, live, page):
    """Each payload goes through the live preview, the saved page and the history; no dialog may open."""
    team = staff.team()
    opened = []
    page.on("dialog", lambda dialog: (opened.append(dialog.message), dialog.dismiss()))
    with transaction():
        draft_id = create_draft(team["supervisor"], NewDraft("A walk", "en"))
    sign_in(page, live, "supervisor")
    for payload in sample(SCRIPT_PAYLOADS, 6):
        page.goto(f"{live}/handouts/own/{draft_id}/edit")
        with page.expect_response("**/preview"):
            page.locator("#body").fill(BODY.replace("MARK", payload))
            page.locator("#title").fill(f"Walk {payload}"[:120])
            page.locator("#summary").fill(f"A walk. {payload}")
            page.locator("#stage").select_option("steady")
            page.locator("#minutes").fill("9")
            page.locator("#review_date").fill("2027-05-01")
            for question in page.locator("#involves select").all():
                question.select_option("no")
        expect(page.locator("[data-preview-pane]")).to_contain_text("A walk is a walk.")
        with page.expect_navigation():
            page.get_by_role("button", name="Save draft", exact=True).click()
        page.goto(f"{live}/handouts/own/{draft_id}")
        expect(page.locator(".handout-text").first).to_contain_text("A walk is a walk.")
        page.goto(f"{live}/handouts/own/{draft_id}/history")
        assert (
            page.evaluate("document.querySelectorAll('main img, main script, main iframe').length")
            == 0
        )
    assert opened == []
