"""Quick exit in a real browser, every way: the session ends and no page comes back (SAFE-15)."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import sqlalchemy as sa
from playwright.sync_api import expect

from caseapp.core.transaction import transaction
from caseapp.domain.assignments.operations import assign_handout
from caseapp.domain.cases.queries import lock_case
from caseapp.domain.practice.models import Practice
from tests.journeys.page_waits import stop_time, wait_until
from tests.journeys.test_worksheet_autosave import open_worksheet
from tests.portal.test_safety import PORTAL_COOKIE
from tests.support import builders, portal_client, staff
from tests.support.loopback import served

pytestmark = [
    pytest.mark.journey,
    # The browser behaves the same with every database.
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]
TITLE = "Keeping the day running"


@pytest.fixture
def invited(app):
    coach = staff.team()["coach"]
    found = portal_client.invited(coach, "Ines Okafor")
    builders.screen(coach, found.client_id)
    with transaction():
        assign_handout(
            coach,
            lock_case(coach, found.case_id),
            "keep-the-day-running",
            message="",
            channel="portal",
            confirmed=True,
        )
    return found


class NeutralSite(BaseHTTPRequestHandler):
    """The ordinary website that quick exit opens."""

    def do_GET(self):
        """Respond with a plain page."""
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>Elsewhere</title><h1>Elsewhere</h1>")

    def log_message(self, *_args):
        """Log nothing."""


@pytest.fixture
def neutral_site(app):
    """Run another site on loopback and set it as the practice's exit site."""
    with served(ThreadingHTTPServer(("127.0.0.1", 0), NeutralSite)) as server:
        address = f"http://127.0.0.1:{server.server_port}/"
        with transaction() as session:
            session.execute(sa.update(Practice).values(exit_url=address))
        yield address


def wait_until_told(page):
    """Wait until our server has been told, which happens while the other site opens."""
    wait_until(page, lambda: PORTAL_COOKIE not in [one["name"] for one in page.context.cookies()])


def by_button(page):
    page.get_by_role("link", name="Leave now").click()


def by_hidden_link(page):
    """Press Tab twice: the first focuses “Skip to main content”, the second “Leave this site”."""
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Leave this site")).to_be_focused()
    page.keyboard.press("Enter")


def by_shift(page):
    stop_time(page)
    for _ in range(3):
        page.keyboard.press("Shift")


def by_shift_while_writing(page):
    page.get_by_role("textbox").first.click()
    page.keyboard.type("I Am")
    by_shift(page)


@pytest.mark.parametrize("way", [by_button, by_hidden_link, by_shift, by_shift_while_writing])
def test_quick_exit_by_button_link_or_shift_ends_session_and_hides_pages(
    app, invited, neutral_site, live, page, way
):
    open_worksheet(page, live, invited)
    expect(page.get_by_role("heading", level=1)).to_have_text(TITLE)
    [cookie] = [one["value"] for one in page.context.cookies() if one["name"] == PORTAL_COOKIE]
    page.reload()
    way(page)
    page.wait_for_url(neutral_site)
    wait_until_told(page)
    thief = app.test_client()
    thief.set_cookie(PORTAL_COOKIE, cookie)
    assert thief.get("/portal").location == "/portal/sign-in"
    page.goto(f"{live}/portal/h/1")
    expect(page).to_have_url(f"{live}/portal/sign-in")


class Shown:
    """What a browser shows of our pages while somebody goes back, seen at every change of a page."""

    def __init__(self, page):
        """Have every document report its text as soon as there is any."""
        self.texts = []
        page.expose_function("report", self.note)
        page.add_init_script(
            """new MutationObserver(() => {
                 if (document.body && !document.documentElement.hidden) report(document.body.innerText);
               }).observe(document, { childList: true, subtree: true });"""
        )

    def note(self, text):
        self.texts.append(text)

    def go_back_everywhere(self, page, neutral_site):
        """Go back to the first page of the tab; each page that was left leads out."""
        self.texts.clear()
        for _ in range(page.evaluate("history.length")):
            page.go_back()
            if page.url == "about:blank":
                break
            page.wait_for_url(neutral_site)
        assert page.url == "about:blank"
        assert {text.strip() for text in self.texts} <= {"Elsewhere", ""}


def test_going_back_after_leaving_shows_nothing_at_all(invited, neutral_site, live, page):
    shown = Shown(page)
    open_worksheet(page, live, invited)
    page.get_by_role("link", name="Help and safety").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Help and safety")
    page.get_by_role("link", name="Go to the reading list").click()
    page.get_by_role("link", name="Help and safety").click()
    page.get_by_role("link", name="Go to the reading list").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Hello Ines")
    assert any("Help and safety" in text for text in shown.texts)
    by_button(page)
    page.wait_for_url(neutral_site)
    shown.go_back_everywhere(page, neutral_site)
    # Whoever comes back on purpose finds the sign-in page and the help lines, in the same tab too.
    page.goto(f"{live}/portal")
    page.get_by_role("link", name="Help and safety").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Help and safety")


def test_quick_exit_without_our_server_leads_out(invited, neutral_site, live, page):
    open_worksheet(page, live, invited)
    page.context.route(f"{live}/**", lambda route: route.abort())
    by_button(page)
    page.wait_for_url(neutral_site)
    assert page.locator("#worksheet").count() == 0
    assert not page.url.startswith(live)


def test_leave_now_with_large_text_on_a_phone_is_whole(live, page):
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{live}/portal/sign-in")
    page.evaluate("document.documentElement.style.fontSize = '200%'")
    box = page.get_by_role("link", name="Leave now").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390


def test_shift_says_how_often_it_is_still_to_be_pressed(invited, live, page, look):
    open_worksheet(page, live, invited)
    shown = page.locator("[data-exit-presses]")
    expect(shown).to_have_role("status")
    stop_time(page)
    page.keyboard.press("Shift")
    expect(shown).to_have_text("Press Shift two more times to leave.")
    expect(shown).to_be_in_viewport()
    page.keyboard.press("Shift")
    expect(shown).to_have_text("Press Shift once more to leave.")
    page.clock.resume()
    look.at("two presses of Shift")
    assert page.url == f"{live}/portal/h/1"


def test_quick_exit_without_scripts_ends_session(invited, neutral_site, live, browser):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    open_worksheet(page, live, invited)
    page.get_by_role("link", name="Help and safety").click()
    page.get_by_role("link", name="Go to the reading list").click()
    expect(page.get_by_role("link", name="Leave now")).to_have_count(1)
    bar = page.get_by_role("banner").get_by_role("link", name="Reading list")
    assert bar.bounding_box()["x"] < 30
    page.get_by_role("link", name="Leave now").click()
    page.wait_for_url(neutral_site)
    # The pages that our own links led to.
    for _ in range(2):
        page.go_back()
        expect(page.get_by_role("heading", level=1)).to_have_text("Elsewhere")
    page.goto(f"{live}/portal")
    expect(page.get_by_role("heading", level=1)).to_have_text("Open your reading list")
    page.get_by_role("link", name="Help and safety").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Help and safety")
    context.close()


def test_other_tab_is_left_too(invited, neutral_site, live, page):
    open_worksheet(page, live, invited)
    again = page.context.new_page()
    again.goto(f"{live}/portal")
    expect(again.get_by_role("heading", level=1)).to_have_text("Hello Ines")
    page.bring_to_front()
    by_button(page)
    page.wait_for_url(neutral_site)
    again.wait_for_url(neutral_site)
    wait_until_told(page)
    again.goto(f"{live}/portal")
    expect(again).to_have_url(f"{live}/portal/sign-in")
    expect(again.get_by_text("Ines")).to_have_count(0)
