"""A no-show in ten seconds, in a real browser: two clicks from Today, and Enter in a field records nothing."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.journeys.test_writing_a_note import sign_in
from tests.support import builders, staff

pytestmark = pytest.mark.journey


def test_no_show_takes_two_clicks_from_today(app, live, page):
    builders.case(staff.team()["coach"], "Ines Okafor")
    sign_in(page, live)
    page.get_by_role("link", name="Record contact with Ines Okafor").click()
    page.get_by_role("button", name="No-show").click()
    page.get_by_text("Recorded.", exact=True).wait_for()
    entries = page.locator("[id^=contact-]")
    expect(entries).to_have_count(1)
    expect(entries.first).to_contain_text("No-show")
    page.get_by_label("When").press("Enter")
    page.get_by_text("Choose what happened.").first.wait_for()
    expect(entries).to_have_count(1)
