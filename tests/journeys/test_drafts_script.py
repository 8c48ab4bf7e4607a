"""Keeping the words of a form while somebody types, in the browser, with a server that answers as told."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.journeys.page_waits import stop_time, wait_until
from tests.journeys.script_site import SITE, in_turn, settle

FORM = """
<form method="post" action="/done" data-draft="/drafts"><input type="hidden" name="form_key" value="key">
  <textarea name="text" aria-label="Text"></textarea><input type="file" name="file" aria-label="File">
  <button name="do" value="save">Save</button>
  <p role="status" tabindex="-1" data-draft-state data-kept="Kept." data-failed="Not kept."
     data-signed-out="Signed out." data-expired="Expired."
     data-large="Too long." data-refused="Somebody else."></p></form>
<a href="/away">Away</a>
"""


def status(code):
    return lambda route: route.fulfill(status=code)


def no_connection(route):
    route.abort()


def state(page):
    return page.locator("[data-draft-state]")


def press_save(page):
    page.get_by_role("button", name="Save", exact=True).click()


def test_words_are_kept_after_typing(site, requests):
    page = site(FORM, {"/drafts": status(204)})
    page.fill("textarea", "words")
    expect(state(page)).to_have_text("Kept.")
    assert [request.post_data for request in requests] == ["form_key=key&text=words"]


def test_files_are_not_kept(site, requests):
    page = site(FORM, {"/drafts": status(204)})
    page.set_input_files("[type=file]", {"name": "a.txt", "mimeType": "text/plain", "buffer": b"a"})
    page.fill("textarea", "words")
    expect(state(page)).to_have_text("Kept.")
    assert "file" not in requests[0].post_data


def test_words_are_kept_before_the_form_is_sent(site, requests):
    page = site(FORM, {"/drafts": status(204)})
    page.fill("textarea", "words")
    with page.expect_request(f"{SITE}/done") as sent:
        press_save(page)
    page.wait_for_url("**/done")
    assert [request.post_data for request in requests] == ["form_key=key&text=words"]
    assert sent.value.post_data == "form_key=key&text=words&file=&do=save"


def test_form_is_sent_once_however_often_its_button_is_pressed(site, requests):
    waiting: list = []
    page = site(FORM, {"/drafts": waiting.append, "/done": status(204)})
    page.fill("textarea", "words")
    page.evaluate("for (let i = 0; i < 3; i++) document.querySelector('button').click()")
    wait_until(page, lambda: waiting)
    with page.expect_response(f"{SITE}/done"):
        waiting[0].fulfill(status=204)
    settle(page)
    assert [request.url.removeprefix(SITE) for request in requests] == ["/drafts", "/done"]


def test_form_without_a_change_is_sent_as_it_is(site, requests):
    page = site(FORM, {"/drafts": status(204)})
    press_save(page)
    page.wait_for_url("**/done")
    assert requests == []


@pytest.mark.parametrize(
    ("failure", "text"),
    [(no_connection, "Not kept."), (status(503), "Not kept."), (status(409), "Somebody else.")],
    ids=["no connection", "server error", "somebody else"],
)
def test_form_is_held_while_its_words_cannot_be_kept(site, failure, text):
    page = site(FORM, {"/drafts": failure})
    page.fill("textarea", "words")
    press_save(page)
    expect(state(page)).to_be_focused()
    expect(state(page)).to_have_text(text)
    assert page.url == f"{SITE}/"
    assert page.input_value("textarea") == "words"


@pytest.mark.parametrize("code", [400, 401, 413], ids=["expired", "signed out", "too long"])
def test_form_is_sent_when_the_server_takes_its_words_another_way(site, code):
    page = site(FORM, {"/drafts": status(code)})
    page.fill("textarea", "words")
    press_save(page)
    expect(page).to_have_url(f"{SITE}/done")


def test_words_are_tried_again_until_they_are_kept(site, requests):
    page = site(FORM, {"/drafts": in_turn(status(503), no_connection, status(204))})
    page.fill("textarea", "words")
    expect(state(page)).to_have_text("Not kept.")
    while len(requests) < 3:
        page.clock.fast_forward(30_000)
    expect(state(page)).to_have_text("Kept.")


def test_words_kept_too_often_are_kept_a_little_later(site, requests):
    page = site(FORM, {"/drafts": in_turn(status(429), status(204))})
    page.fill("textarea", "words")
    press_save(page)
    expect(page).to_have_url(f"{SITE}/done")
    assert [request.post_data for request in requests] == ["form_key=key&text=words"] * 2


def test_leaving_asks_until_the_words_are_kept(site, page):
    asked = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    site(FORM, {"/drafts": status(204)})
    stop_time(page)
    page.fill("textarea", "words")
    page.get_by_role("link", name="Away").click()
    wait_until(page, lambda: asked)
    page.clock.fast_forward(2000)
    expect(state(page)).to_have_text("Kept.")
    assert asked == ["beforeunload"]
    page.get_by_role("link", name="Away").click()
    page.wait_for_url("**/away")
    assert asked == ["beforeunload"]


def test_words_are_kept_when_the_page_is_hidden(site, page, requests):
    site(FORM, {"/drafts": status(204)})
    stop_time(page)
    page.fill("textarea", "words")
    page.evaluate(
        "Object.defineProperty(document, 'visibilityState', { value: 'hidden' });"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    expect(state(page)).to_have_text("Kept.")
