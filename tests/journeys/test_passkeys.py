"""A passkey in a real browser, with Chromium's own device in software."""

from dataclasses import replace

import sqlalchemy as sa
from playwright.sync_api import expect

from caseapp.core.database import db
from caseapp.core.sessions import Assurance, Session
from caseapp.core.settings import active as active_settings
from caseapp.core.settings import use as use_settings
from tests.support import staff

DEVICE = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


def test_passkey_is_added_and_signs_in(app, live, page, named_site):
    use_settings(replace(active_settings(), base_url=live))
    staff.add("coach")
    devices = page.context.new_cdp_session(page)
    devices.send("WebAuthn.enable")
    devices.send("WebAuthn.addVirtualAuthenticator", {"options": DEVICE})
    page.goto(f"{live}/sign-in?next=/account/second-factor")
    page.get_by_label("Email").fill("coach@practice.test")
    page.get_by_label("Password").fill(staff.PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.get_by_label("Name of the passkey").fill("Work laptop")
    page.get_by_role("button", name="Add a passkey").click()
    page.get_by_role("heading", name="Recovery codes", level=1).wait_for()
    page.get_by_role("link", name="Done, hide the codes").click()
    expect(page.get_by_text("Passkey, added")).to_be_visible()
    page.context.clear_cookies()
    page.goto(f"{live}/sign-in")
    page.get_by_role("button", name="Sign in with a passkey").click()
    page.wait_for_url("**/today")
    db.session.rollback()
    newest = sa.select(Session.method, Session.assurance_level).order_by(Session.created_at.desc())
    assert db.session.execute(newest).first() == ("passkey", Assurance.TWO_FACTORS)
