"""The end of a session in the browser: the warning before it, the way to stay, and what closes."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from caseapp.http.assets import STATIC
from tests.journeys.script_site import LEAVE, SITE, in_turn, reply, settle

DIALOGS = """
<form method="post" action="/save"><textarea aria-label="Text"></textarea></form>
<div data-session="/session" data-seconds="3600" data-person="ines" data-start="/sign-in">
  <dialog aria-label="Ending" data-session-warning><p role="status" data-session-failed></p>
    <form method="post" action="/session"><input type="hidden" name="csrf_token" value="token">
      <button data-failed="Try again." data-limit="No longer.">Stay</button></form></dialog>
  <dialog aria-label="Over" data-session-over><p role="status" data-session-failed></p>
    <button type="button" data-session-resume data-failed="Not yet.">Continue</button></dialog>
</div>
"""
PORTAL = f"{DIALOGS}{LEAVE}"
ENDED = reply(401)


def left(seconds, person="ines"):
    return reply(200, seconds=seconds, person=person)


@pytest.fixture
def open_after(site, page):
    """Return a function that opens a page whose session has an hour, and lets minutes pass."""

    def open_page(minutes, *answers, body=DIALOGS, typed=""):
        site(body, {"/session": in_turn(*answers)})
        if typed:
            page.fill("textarea", typed)
        page.clock.fast_forward(minutes * 60_000)
        return page

    return open_page


def dialog(page, name):
    return page.locator(f'dialog[aria-label="{name}"]')


def test_nothing_is_said_before_the_last_two_minutes(open_after, requests):
    page = open_after(57)
    expect(dialog(page, "Ending")).to_be_hidden()
    assert requests == []


def test_two_minutes_before_the_end_a_dialog_offers_to_stay(open_after, requests):
    page = open_after(58.1, left(110), left(3600))
    button = page.get_by_role("button", name="Stay")
    expect(button).to_be_focused()
    page.keyboard.press("Enter")
    expect(dialog(page, "Ending")).to_be_hidden()
    assert [(request.method, request.post_data) for request in requests] == [
        ("GET", None),
        ("POST", "csrf_token=token"),
    ]
    assert page.url == f"{SITE}/"


def test_dialog_gives_the_focus_back(open_after, page):
    page = open_after(50, left(110), left(3600))
    page.focus("textarea")
    page.clock.fast_forward(10 * 60_000)
    page.get_by_role("button", name="Stay").press("Enter")
    expect(page.locator("textarea")).to_be_focused()


def test_session_used_in_another_window_is_not_warned_about(open_after, page):
    with page.expect_response("**/session"):
        open_after(58.1, left(1800), left(110))
    settle(page)
    expect(dialog(page, "Ending")).to_be_hidden()
    with page.expect_response("**/session"):
        page.clock.fast_forward(28 * 60_000)
    expect(dialog(page, "Ending")).to_be_visible()


def test_stay_without_a_connection_says_so_and_can_be_repeated(open_after):
    page = open_after(58.1, left(110), lambda route: route.abort(), left(3600))
    page.get_by_role("button", name="Stay").click()
    expect(page.get_by_text("Try again.")).to_be_visible()
    page.get_by_role("button", name="Stay").click()
    expect(dialog(page, "Ending")).to_be_hidden()


def test_stay_at_the_longest_time_of_a_session_says_so(open_after):
    page = open_after(58.1, left(110), left(100))
    page.get_by_role("button", name="Stay").click()
    expect(page.get_by_text("No longer.")).to_be_visible()


def test_staff_page_keeps_its_words_when_the_session_ends(open_after):
    page = open_after(58.1, left(110), ENDED, ENDED, left(3600), typed="words")
    expect(dialog(page, "Ending")).to_be_visible()
    page.clock.fast_forward(3 * 60_000)
    over = dialog(page, "Over")
    expect(over).to_be_visible()
    expect(dialog(page, "Ending")).to_be_hidden()
    assert page.input_value("textarea") == "words"
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text("Not yet.")).to_be_visible()
    page.get_by_role("button", name="Continue").click()
    expect(over).to_be_hidden()


def test_portal_page_without_unsaved_words_closes_when_the_session_ends(open_after):
    page = open_after(61, ENDED, body=PORTAL)
    expect(page).to_have_url(f"{SITE}/sign-in")


def test_portal_page_closes_without_a_connection_too(open_after):
    page = open_after(61, lambda route: route.abort(), body=PORTAL)
    expect(page).to_have_url(f"{SITE}/sign-in")


def test_portal_page_with_unsaved_words_hides_them_until_the_same_person_is_back(open_after):
    page = open_after(
        61, ENDED, left(1200, person="somebody else"), left(1200), body=PORTAL, typed="words"
    )
    expect(dialog(page, "Over")).to_be_visible()
    expect(page.locator("textarea")).to_be_hidden()
    assert page.title() == "\u00a0"
    page.keyboard.press("Escape")
    expect(dialog(page, "Over")).to_be_visible()
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text("Not yet.")).to_be_visible()
    expect(page.locator("textarea")).to_be_hidden()
    page.get_by_role("button", name="Continue").click()
    expect(page.locator("textarea")).to_be_visible()
    assert page.input_value("textarea") == "words"
    assert page.title() == "Page"


def test_portal_page_closes_when_another_page_finds_nobody_signed_in(open_after, page):
    open_after(1, ENDED, body=PORTAL)
    other = page.context.new_page()
    other.route("**/*", answer_without_a_session)
    other.goto(f"{SITE}/sign-in")
    expect(page).to_have_url(f"{SITE}/sign-in")


def answer_without_a_session(route):
    path = route.request.url.removeprefix(SITE)
    if path.startswith("/js/"):
        route.fulfill(path=STATIC / path.lstrip("/"), content_type="text/javascript")
    else:
        html = "<!doctype html><script type=module src=/js/main.js></script>"
        route.fulfill(body=html, content_type="text/html")
