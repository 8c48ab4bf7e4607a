"""What a real browser keeps of the portal's forms: neither a PIN, nor an address, nor a code."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing

import pytest
from playwright.sync_api import expect

from caseapp.domain.practice.models import NEUTRAL_SITE
from tests.support import portal_client, staff

pytestmark = [
    pytest.mark.journey,
    # The browser behaves the same with every database.
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]
OFFERS = "Decision: ASK the user"
DECLINES = "Decision: DROP the password"


class OwnBrowser:
    """A browser with a profile on disk, and its own log of when it offers to keep a password."""

    def __init__(self, browser_type, launch_args, folder):
        """Start a whole browser, with its windows; under automation it would keep nothing."""
        self.folder = folder
        self.context = browser_type.launch_persistent_context(
            folder,
            ignore_default_args=["--enable-automation"],
            **{**launch_args, "executable_path": shutil.which("chromium")},
        )
        self.log = self.context.new_page()
        self.log.goto("chrome://password-manager-internals")
        self.page = self.context.new_page()

    def type(self, label, text):
        """Type into a field as a person would; a browser ignores what a script sets."""
        self.page.get_by_label(label, exact=True).click()
        self.page.keyboard.type(text)

    def press(self, button):
        self.page.get_by_role("button", name=button).click()

    def read_kept(self, name, statement):
        """Close the browser; return a column of one of its databases."""
        self.context.close()
        [file] = self.folder.rglob(name)
        with closing(sqlite3.connect(file)) as kept:
            return {value for (value,) in kept.execute(statement)}

    def read_typed(self):
        """Close the browser; return what it keeps of the fields that somebody typed in."""
        return self.read_kept("Web Data", "SELECT value FROM autofill")

    def read_history(self):
        """Close the browser; return the addresses that its history shows: a redirect shows only where it led to."""
        ends = "SELECT url FROM urls WHERE id IN (SELECT url FROM visits WHERE transition & 0x20000000)"
        return self.read_kept("History", ends)


@pytest.fixture
def own_browser(browser_type, browser_type_launch_args, tmp_path):
    found = OwnBrowser(browser_type, browser_type_launch_args, tmp_path / "profile")
    yield found
    found.context.close()


def test_browser_offers_to_keep_no_pin_and_keeps_no_address_or_code(app, live, own_browser):
    invited = portal_client.invited(staff.add("coach"), "Ines Okafor")
    page = own_browser.page
    page.goto(f"{live}/portal/sign-in")
    own_browser.type("Your email address", portal_client.ADDRESS)
    # The next page has the same fields.
    with page.expect_navigation():
        own_browser.press("Send me a link")
    own_browser.type("The code on your card", invited.card_code)
    own_browser.press("Use the card")
    own_browser.type("Start code", invited.start_code)
    own_browser.type("Choose a PIN", portal_client.PIN)
    own_browser.type("Repeat your PIN", portal_client.PIN)
    own_browser.press("Save PIN")
    own_browser.press("Go to my reading list")
    expect(page.get_by_role("heading", level=1)).to_have_text("Hello Ines")
    own_browser.press("Sign out")
    own_browser.type("The code on your card", invited.card_code)
    own_browser.press("Use the card")
    own_browser.type("Your six digits", portal_client.PIN)
    own_browser.press("Open my reading list")
    expect(page.get_by_role("heading", level=1)).to_have_text("Hello Ines")
    expect(own_browser.log.locator("body")).to_contain_text(DECLINES)
    expect(own_browser.log.locator("body")).not_to_contain_text(OFFERS)
    assert own_browser.read_typed() == set()


def test_browser_offers_to_keep_the_password_of_staff(app, live, own_browser):
    """The other test could not fail in a browser that keeps nothing at all."""
    staff.add("coach")
    own_browser.page.goto(f"{live}/sign-in")
    own_browser.type("Email", "coach@practice.test")
    own_browser.type("Password", staff.PASSWORD)
    own_browser.press("Sign in")
    own_browser.page.wait_for_url("**/today")
    expect(own_browser.log.locator("body")).to_contain_text(OFFERS)
    own_browser.page.goto(f"{live}/handouts")
    own_browser.page.get_by_role("searchbox").first.click()
    own_browser.page.keyboard.type("night")
    own_browser.page.keyboard.press("Enter")
    own_browser.page.wait_for_url("**q=night**")
    assert "night" in own_browser.read_typed()


def test_history_after_leaving_holds_no_link_token(app, live, own_browser):
    with portal_client.mailbox_server() as mailbox:
        portal_client.invited(
            staff.add("coach"),
            "Ines Okafor",
            safe=portal_client.EMAIL_AND_PORTAL,
            address=portal_client.ADDRESS,
        )
        [token] = mailbox.tokens()
    page = own_browser.page
    page.goto(f"{live}/portal/enter/{token}")
    own_browser.press("Open it now")
    expect(page.get_by_label("Start code")).to_be_visible()
    with page.expect_request(NEUTRAL_SITE):
        page.get_by_role("link", name="Leave now").click()
    ours = {address for address in own_browser.read_history() if address.startswith(live)}
    assert ours == {f"{live}/portal/enter", f"{live}/portal/pin"}
