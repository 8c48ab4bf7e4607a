"""A session that is about to end, in a real browser against the real server."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from playwright.sync_api import expect

from caseapp.core.clock import now
from caseapp.core.sessions import IDLE_TIMEOUT, Session
from caseapp.core.transaction import transaction
from caseapp.domain.practice.models import NEUTRAL_SITE
from tests.domain.worksheets import sample_files
from tests.journeys.test_worksheet_autosave import box, invite_with_worksheet, open_worksheet
from tests.journeys.test_writing_a_note import sign_in
from tests.support import staff

pytestmark = pytest.mark.journey


@pytest.fixture
def coach(app):
    return staff.team()["coach"]


def leave_idle(page, minutes_left, kind="staff"):
    """Make the session as old as if nothing had been sent for long, and let the page look."""
    last_seen_at = now() - IDLE_TIMEOUT[kind] + timedelta(minutes=minutes_left)
    with transaction() as session:
        session.execute(sa.update(Session).values(last_seen_at=last_seen_at))
    with page.expect_response("**/session"):
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def test_staff_are_warned_and_can_stay_by_keyboard(coach, live, page, look):
    sign_in(page, live)
    leave_idle(page, 5)
    warning = page.get_by_role("alertdialog", name="You will be signed out soon")
    expect(warning).to_be_hidden()
    leave_idle(page, 1.9)
    expect(warning).to_be_visible()
    look.at("the warning")
    expect(page.get_by_role("button", name="Stay signed in")).to_be_focused()
    page.keyboard.press("Enter")
    expect(warning).to_be_hidden()
    page.reload()
    expect(page).to_have_url(f"{live}/today")


def test_staff_whose_session_has_ended_go_on_with_what_they_typed(coach, live, page, look):
    sign_in(page, live)
    page.route("**/drafts", lambda route: route.fulfill(status=204))
    page.goto(f"{live}/cases/new")
    page.locator("#name").fill("Ines Okafor")
    leave_idle(page, 0)
    over = page.get_by_role("alertdialog", name="You are signed out")
    expect(over).to_be_visible()
    # The browser's console reports the 401 response.
    look.said.clear()
    look.at("signed out")
    with page.context.expect_page() as opened:
        over.get_by_role("link", name="Sign in").click()
    sign_in(opened.value, live)
    page.get_by_role("button", name="Continue").click()
    expect(over).to_be_hidden()
    expect(page.locator("#name")).to_have_value("Ines Okafor")


@pytest.fixture
def worksheet(coach, live, page):
    """Open a worksheet as its client, on a phone's width."""
    open_worksheet(page, live, invite_with_worksheet(coach))
    return page


def test_client_is_warned_and_can_leave_at_once(worksheet, look):
    page = worksheet
    leave_idle(page, 1.9, "client")
    warning = page.get_by_role("alertdialog", name="You will be signed out soon")
    expect(warning).to_be_visible()
    look.at("the warning in the portal")
    with page.expect_request("**/exit"), page.expect_request(NEUTRAL_SITE):
        warning.get_by_role("link", name="Leave now").click()


def test_portal_page_with_saved_words_closes_when_the_session_has_ended(worksheet, live):
    page = worksheet
    box(page).fill(sample_files.ABROAD)
    expect(page.locator("[data-save-text]")).to_contain_text("Saved at")
    leave_idle(page, 0, "client")
    page.wait_for_url(f"{live}/portal/sign-in")
    assert page.get_by_text(sample_files.ABROAD).count() == 0


def test_portal_page_with_unsaved_words_hides_them_when_the_session_has_ended(worksheet, look):
    page = worksheet
    page.route("**/draft", lambda route: route.abort())
    box(page).fill(sample_files.ABROAD)
    expect(page.locator("[data-save-text]")).to_contain_text("Not saved")
    leave_idle(page, 0, "client")
    expect(page.get_by_role("alertdialog", name="You are signed out")).to_be_visible()
    expect(box(page)).to_be_hidden()
    assert sample_files.ABROAD not in page.locator("body").inner_text()
    assert page.title() == "\u00a0"


def test_portal_page_closes_when_the_client_signs_out_in_another_tab(worksheet, live):
    page = worksheet
    other = page.context.new_page()
    other.goto(f"{live}/portal")
    other.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(f"{live}/portal/sign-in")
