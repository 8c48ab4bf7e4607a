"""Words of forms that were not sent, in a real browser against the real server."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from playwright.sync_api import expect

from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.sessions import Session
from caseapp.core.transaction import transaction
from caseapp.domain.clients.models import Client
from caseapp.domain.form_drafts.models import FormDraft
from tests.journeys.test_writing_a_note import sign_in
from tests.support import staff

pytestmark = pytest.mark.journey
BACK = "It is not saved yet."


@pytest.fixture
def intake(app, live, page):
    """Open the form for a new client as the coach."""
    staff.team()
    sign_in(page, live)
    page.goto(f"{live}/cases/new")
    return page


def count(model):
    db.session.rollback()
    return db.session.scalar(sa.select(sa.func.count()).select_from(model))


def type_name(page, name="Ines Okafor"):
    page.locator("#name").fill(name)
    expect(page.locator("[data-draft-state]")).to_have_text(
        "What you typed is kept, but not saved yet."
    )


def test_words_left_behind_are_back_and_can_be_discarded(intake, live, look):
    page = intake
    type_name(page)
    look.at("kept")
    page.goto(f"{live}/today")
    page.goto(f"{live}/cases/new")
    expect(page.get_by_text(BACK)).to_be_visible()
    expect(page.locator("#name")).to_have_value("Ines Okafor")
    look.at("words that are back")
    page.get_by_role("button", name="Discard what I typed").click()
    expect(page.get_by_text(BACK)).to_have_count(0)
    expect(page.locator("#name")).to_have_value("")
    assert count(FormDraft) == 0


def test_enter_in_a_field_sends_the_form_and_not_the_discard_button(intake):
    page = intake
    type_name(page)
    page.reload()
    page.locator("#name").press("Enter")
    expect(page.locator(".error-summary")).to_be_visible()
    expect(page.locator("#name")).to_have_value("Ines Okafor")


def test_sent_form_leaves_no_words_behind(intake, live):
    page = intake
    type_name(page)
    page.locator("input[name=safe_channels]").first.check()
    page.get_by_role("button", name="Add client").click()
    page.wait_for_url("**/case/**")
    assert (count(Client), count(FormDraft)) == (1, 0)
    page.goto(f"{live}/cases/new")
    expect(page.locator("#name")).to_have_value("")


def test_words_of_an_ended_session_are_back_after_signing_in(intake, live):
    page = intake
    type_name(page)
    with transaction() as session:
        session.execute(sa.update(Session).values(ended_at=now()))
    page.locator("#name").fill("Ines Okafor, typed after the session had ended")
    page.get_by_role("button", name="Add client").click()
    page.wait_for_url("**/sign-in**")
    page.get_by_label("Email").fill("coach@practice.test")
    page.get_by_label("Password").fill(staff.PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url("**/cases/new")
    expect(page.locator("#name")).to_have_value("Ines Okafor, typed after the session had ended")
    assert count(Client) == 0


def test_form_without_a_connection_is_held_and_sent_later(intake):
    page = intake
    page.locator("input[name=safe_channels]").first.check()
    page.context.set_offline(True)
    page.locator("#name").fill("Ines Okafor")
    page.get_by_role("button", name="Add client").click()
    expect(page.locator("[data-draft-state]")).to_contain_text("can’t be kept right now")
    page.context.set_offline(False)
    expect(page.locator("[data-draft-state]")).to_contain_text("is kept")
    page.get_by_role("button", name="Add client").click()
    page.wait_for_url("**/case/**")
    assert (count(Client), count(FormDraft)) == (1, 0)
