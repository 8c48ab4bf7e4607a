"""A portal with a host name of its own in a real browser: a client signs in there, and staff on theirs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from playwright.sync_api import expect

from caseapp.core import settings
from tests.domain.worksheets import sample_files
from tests.journeys.test_worksheet_autosave import box, invite_with_worksheet, open_worksheet
from tests.journeys.test_writing_a_note import sign_in
from tests.support import staff

pytestmark = [
    pytest.mark.journey,
    # The browser behaves the same with every database.
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]


@pytest.fixture
def portal(live):
    """Give the portal a host name of its own on the served application."""
    before = settings.active()
    address = live.replace("localhost", "reader.localhost")
    settings.use(replace(before, base_url=live, portal_url=address))
    yield address
    settings.use(before)


def test_client_and_coach_each_work_on_their_own_host(app, portal, live, page, look, browser):
    coach = staff.team()["coach"]
    open_worksheet(page, portal, invite_with_worksheet(coach))
    look.at("a worksheet on the portal's host")
    box(page).fill(sample_files.ABROAD)
    expect(page.locator("[data-save-text]")).to_contain_text("Saved at")
    page.goto(f"{portal}/")
    expect(page).to_have_url(f"{portal}/portal")
    page.goto(f"{portal}/today")
    expect(page.get_by_role("heading", level=1)).to_have_text("Page not found")
    expect(page).to_have_title("Reading list")
    page.goto(f"{live}/portal")
    expect(page.get_by_role("heading", level=1)).to_have_text("Page not found")
    desk = browser.new_context().new_page()
    sign_in(desk, live)
    desk.wait_for_url(f"{live}/today")
    desk.context.close()
