"""The account page and the question for the password, in a real browser."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from playwright.sync_api import expect

from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.sessions import Session
from caseapp.core.transaction import transaction
from caseapp.domain.auth import rules
from tests.journeys.test_writing_a_note import sign_in
from tests.support import staff

pytestmark = [
    pytest.mark.journey,
    # The pages are the same with every database.
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]


def let_time_pass():
    """Let every session be one in which nobody has confirmed who they are for a while."""
    with transaction():
        db.session.execute(
            sa.update(Session).values(authenticated_at=now() - 2 * rules.CONFIRM_AFTER)
        )
    db.session.remove()


def test_settings_ask_for_the_password_and_keep_what_was_typed(app, live, page, look):
    staff.team()
    sign_in(page, live, "admin")
    page.get_by_role("link", name="Account").click()
    look.at("the account")
    let_time_pass()
    page.goto(f"{live}/settings")
    page.get_by_label("Name of the practice").fill("Quay Lane")
    page.get_by_role("button", name="Save").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Confirm that it’s you")
    # The browser reports the status 403 of that page.
    look.said.clear()
    look.at("the question for the password")
    page.get_by_label("Password").fill(staff.PASSWORD)
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_label("Name of the practice")).to_have_value("Quay Lane")
    assert look.said == []
