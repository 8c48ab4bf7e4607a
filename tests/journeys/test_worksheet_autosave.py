"""Worksheets in a real browser: autosave, sharing, and the coach reads what was shared."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from caseapp.core.database import db
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.operations import assign_handout
from caseapp.domain.cases.queries import lock_case
from caseapp.domain.clients.models import Client
from tests.domain.worksheets import sample_files
from tests.journeys.page_waits import saving
from tests.journeys.test_writing_a_note import sign_in
from tests.support import builders, portal_client, staff

pytestmark = pytest.mark.journey
WHAT = "What happened"


@pytest.fixture
def coach(app):
    return staff.team()["coach"]


@pytest.fixture
def invited(coach):
    return invite_with_worksheet(coach)


def invite_with_worksheet(coach):
    """Invite a client with one worksheet."""
    found = portal_client.invited(coach, "Ines Okafor")
    builders.screen(coach, found.client_id)
    with transaction():
        assign_handout(
            coach,
            lock_case(coach, found.case_id),
            sample_files.PAUSE,
            message="",
            channel="portal",
            confirmed=True,
        )
    return found


def open_worksheet(page, live, found):
    page.goto(f"{live}/portal/sign-in")
    page.get_by_label("The code on your card").fill(found.card_code)
    page.get_by_role("button", name="Use the card").click()
    page.get_by_label("Start code").fill(found.start_code)
    page.get_by_label("Choose a PIN").fill(portal_client.PIN)
    page.get_by_label("Repeat your PIN").fill(portal_client.PIN)
    page.get_by_role("button", name="Save PIN").click()
    page.get_by_role("button", name="Go to my reading list").click()
    page.wait_for_url("**/portal")
    page.goto(f"{live}/portal/h/1")


def box(page):
    return page.locator("#answer_what_happened")


def test_worksheet_typed_and_shared_is_read_by_the_coach(coach, invited, live, page, look, browser):
    open_worksheet(page, live, invited)
    with saving(page, sample_files.ABROAD):
        page.get_by_label("shaky").check()
        box(page).fill(sample_files.ABROAD)
    expect(page.locator("[data-save-text]")).to_contain_text("Saved at")
    expect(page.locator("#worksheet input[name=version]")).not_to_have_value("0")
    page.reload()
    expect(box(page)).to_have_value(sample_files.ABROAD)
    expect(page.get_by_label("shaky")).to_be_checked()
    assert page.evaluate("localStorage.length + sessionStorage.length") == 0
    look.at("the worksheet")
    page.get_by_role("button", name="Share with Marta").click()
    page.get_by_text("You shared this worksheet on").wait_for()
    with saving(page, "Written after that."):
        box(page).fill("Written after that.")
    expect(page.locator("[data-save-text]")).to_contain_text("Saved at")
    pdf = {"name": "scan.pdf", "mimeType": "application/pdf", "buffer": sample_files.scan()}
    page.locator("#file").set_input_files(pdf)
    page.get_by_role("button", name="Get my answers from this file").click()
    page.get_by_text("This file has no form fields").wait_for()
    look.at("shared, with a file")
    with page.expect_navigation():
        page.get_by_role("button", name="Send it to Marta").click()
    coach_page = browser.new_context().new_page()
    sign_in(coach_page, live)
    coach_page.goto(f"{live}/cases")
    coach_page.get_by_role("link", name="Ines Okafor").first.click()
    coach_page.get_by_role("navigation", name="Case").get_by_role("link", name="Handouts").click()
    coach_page.get_by_role("link", name="Read the answers").click()
    coach_page.get_by_text(sample_files.ABROAD).wait_for()
    assert coach_page.get_by_text("Written after that.").count() == 0
    check_shared_answers_page(coach_page)


def check_shared_answers_page(coach_page):
    from tests.support.page_checks import Look

    with coach_page.expect_download() as found:
        coach_page.get_by_role("link", name="Save file 1").click()
    assert found.value.suggested_filename == "returned-01.pdf"
    Look(coach_page).at("what was shared")


def test_autosave_from_a_second_window_does_not_overwrite(coach, invited, live, page):
    open_worksheet(page, live, invited)
    other = page.context.new_page()
    other.goto(f"{live}/portal/h/1")
    box(other).fill("From the other one.")
    expect(other.locator("#worksheet input[name=version]")).to_have_value("1")
    box(page).fill("From this one.")
    banner = page.locator("[data-conflict]")
    expect(banner).to_be_visible()
    expect(banner).to_contain_text("saved in another window or on another device")
    page.get_by_role("button", name="Combine both versions").click()
    page.get_by_text("From the other one.").wait_for()
    expect(box(page)).to_have_value("From this one.")
    page.get_by_role("button", name="Keep this version").click()
    expect(banner).to_be_hidden()
    expect(page.locator("#worksheet input[name=version]")).to_have_value("2")
    other.reload()
    expect(box(other)).to_have_value("From this one.")
    other.get_by_text("The text that you replaced here").click()
    expect(other.get_by_text("From the other one.")).to_be_visible()


def test_autosave_when_offline_says_so_in_the_language_of_the_client(coach, invited, live, page):
    with transaction():
        assign_handout(
            coach,
            lock_case(coach, invited.case_id),
            "better-nights",
            message="",
            channel="portal",
            confirmed=True,
            language="es",
        )
    open_worksheet(page, live, invited)
    with transaction():
        db.session.get_one(Client, invited.client_id).language = "es"
    page.goto(f"{live}/portal/h/2")
    page.route("**/draft", lambda route: route.abort())
    page.locator("#answer_one_change").fill("Apagar la luz.")
    state = page.locator("[data-save-text]")
    expect(state).to_have_text("No se ha guardado. Lo intentamos otra vez…")
    page.unroute("**/draft")
    expect(state).to_contain_text("Guardado a las")


def test_upload_with_other_answers_waits_for_the_client(coach, invited, live, page, look):
    open_worksheet(page, live, invited)
    box(page).fill("Typed here.")
    expect(page.locator("#worksheet input[name=version]")).to_have_value("1")
    data = sample_files.filled(
        sample_files.blank(sample_files.PAUSE), {"what_happened": "From paper."}
    )
    pdf = {"name": "reading-01.pdf", "mimeType": "application/pdf", "buffer": data}
    page.locator("#file").set_input_files(pdf)
    page.get_by_role("button", name="Get my answers from this file").click()
    expect(page.locator("[data-conflict]")).to_contain_text("These are the answers from your file.")
    expect(box(page)).to_have_value("From paper.")
    # The browser's console reports the 409 response.
    look.said.clear()
    look.at("a file that contradicts")
    with saving(page, "From paper."):
        page.get_by_role("button", name="Keep this version").click()
    expect(page.locator("[data-save-text]")).to_contain_text("Saved at")
    page.goto(f"{live}/portal/h/1")
    expect(box(page)).to_have_value("From paper.")


def test_quick_exit_with_unsaved_answers_does_not_ask(coach, invited, live, page):
    open_worksheet(page, live, invited)
    asked = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    box(page).fill("Half a sen")
    # A redirect can't be answered by the test, so the site itself is out of reach.
    with page.expect_request(lambda request: request.url.startswith("https://")):
        page.get_by_role("link", name="Leave now").click()
    assert asked == []
