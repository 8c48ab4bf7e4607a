"""A no-show in ten seconds, in a real browser: two clicks from Today or as many keys, and none of them by mistake."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.journeys.test_writing_a_note import sign_in
from tests.support import builders, staff

pytestmark = pytest.mark.journey
MOST_KEYS = 16
"""As many times Tab is pressed at most: a date and a time have several parts."""


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
    # With the keyboard alone, every field on the way can be left as it is.
    page.goto(f"{live}/today")
    page.get_by_role("link", name="Record contact with Ines Okafor").first.focus()
    page.keyboard.press("Enter")
    page.get_by_label("When").focus()
    button = page.get_by_role("button", name="No-show", exact=True)
    for _ in range(MOST_KEYS):
        if button.evaluate("button => button === document.activeElement"):
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(entries).to_have_count(2)
