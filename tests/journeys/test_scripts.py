"""Each script of the pages by itself, in a real browser on a page made for it, with a server that answers as told."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.journeys.page_waits import stop_time, wait_until
from tests.journeys.script_site import (
    AUTOSAVE_FORM,
    LEAVE,
    SITE,
    in_turn,
    reply,
    save_text,
    settle,
)


@pytest.mark.parametrize("tag", ["<input>", "<textarea></textarea>", "<select></select>"])
def test_shortcut_slash_while_typing_leaves_focus(site, tag):
    page = site(f'<input data-hotkey="/" id="q">{tag.replace(">", " id=box>", 1)}')
    page.focus("#box")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "box"


def test_shortcut_slash_elsewhere_focuses_search(site):
    page = site('<input data-hotkey="/" id="q">')
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "q"
    assert page.input_value("#q") == ""


def test_shortcut_alt_number_focuses_that_section(site):
    page = site('<div class="note-field"><textarea id="a"></textarea></div>' * 2)
    page.keyboard.press("Alt+Digit2")
    assert (
        page.evaluate("[...document.querySelectorAll('textarea')].indexOf(document.activeElement)")
        == 1
    )


def test_error_summary_on_load_gets_focus(site):
    page = site('<div class="error-summary" tabindex="-1">Errors</div>')
    assert page.evaluate("document.activeElement.className") == "error-summary"


def press_shift(page, times):
    for _ in range(times):
        page.keyboard.press("Shift")


def test_quick_exit_click_replaces_page_in_history_and_ends_the_session(site, requests):
    page = site(LEAVE, {"/exit": reply(204)})
    length = page.evaluate("history.length")
    with page.expect_request("**/exit"):
        page.click("a")
    page.wait_for_url("**/weather")
    assert page.evaluate("history.length") == length
    assert page.evaluate("sessionStorage.getItem('left')") == "yes"
    assert [request.method for request in requests] == ["POST"]


def test_quick_exit_without_connection_leaves(site):
    page = site(LEAVE, {"/exit": lambda route: route.abort()})
    page.click("a")
    page.wait_for_url("**/weather")
    assert page.evaluate("sessionStorage.getItem('left')") == "yes"


def test_quick_exit_three_shifts_leaves_and_two_say_how_many_are_missing(site):
    page = site(LEAVE)
    stop_time(page)
    shown = page.get_by_role("status")
    press_shift(page, 1)
    expect(shown).to_have_text("Two more")
    press_shift(page, 1)
    expect(shown).to_have_text("One more")
    assert page.url == f"{SITE}/"
    press_shift(page, 1)
    page.wait_for_url("**/weather")


def test_quick_exit_three_shifts_while_typing_leaves(site):
    page = site(f"{LEAVE}<textarea></textarea>")
    stop_time(page)
    page.focus("textarea")
    page.keyboard.type("I Am Here")
    press_shift(page, 2)
    assert page.url == f"{SITE}/"
    press_shift(page, 1)
    page.wait_for_url("**/weather")
    assert page.get_by_role("textbox").count() == 0


def test_quick_exit_capital_letters_stay(site):
    page = site(f"{LEAVE}<textarea></textarea>")
    page.focus("textarea")
    for letter in "IAMHERE":
        page.keyboard.press(f"Shift+Key{letter}")
    press_shift(page, 2)
    page.keyboard.press("Shift+KeyA")
    expect(page.get_by_role("status")).to_have_text("")
    press_shift(page, 2)
    page.mouse.click(300, 300)
    press_shift(page, 2)
    assert page.input_value("textarea") == "IAMHEREA"
    assert page.url == f"{SITE}/"


def test_quick_exit_shifts_five_seconds_apart_stay(site):
    page = site(LEAVE)
    stop_time(page)
    press_shift(page, 2)
    page.clock.fast_forward(5000)
    expect(page.get_by_role("status")).to_have_text("")
    press_shift(page, 2)
    assert page.url == f"{SITE}/"


def test_quick_exit_saves_words_before_the_session_ends(site, requests):
    answers = {"/save": reply(200, version="2", saved="10:15"), "/exit": reply(204)}
    page = site(f"{LEAVE}{AUTOSAVE_FORM}", answers)
    page.fill("textarea", "words")
    with page.expect_request("**/exit"):
        page.click("a")
    page.wait_for_url("**/weather")
    sent = [(request.url, request.post_data) for request in requests]
    assert sent == [(f"{SITE}/save", "version=1&text=words"), (f"{SITE}/exit", None)]


def test_quick_exit_hides_the_page_and_leaves_although_words_cannot_be_saved(site):
    page = site(f"{LEAVE}{AUTOSAVE_FORM}", {"/save": lambda _route: None})
    page.fill("textarea", "words")
    page.click("a")
    assert page.locator("textarea").count() == 0
    page.wait_for_url("**/weather")


def test_autosave_after_typing_sends_the_form_and_takes_the_new_version(site, requests):
    page = site(AUTOSAVE_FORM, {"/save": reply(200, version="2", saved="10:15")})
    page.fill("textarea", "words")
    save_text(page).get_by_text("Saved at 10:15").wait_for()
    assert page.input_value("[name=version]") == "2"
    assert [request.post_data for request in requests] == ["version=1&text=words"]
    assert requests[0].headers["x-requested-with"] == "autosave"


def test_autosave_words_typed_during_a_save_are_saved_when_the_page_is_hidden(site, requests):
    first: list = []
    page = site(AUTOSAVE_FORM, {"/save": in_turn(first.append, reply(200, version="3", saved=""))})
    stop_time(page)
    page.fill("textarea", "words")
    page.clock.fast_forward(1000)
    wait_until(page, lambda: first)
    page.fill("textarea", "more words")
    page.evaluate(
        "Object.defineProperty(document, 'visibilityState', { value: 'hidden' });"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    reply(200, version="2", saved="")(first[0])
    expect(page.locator("[name=version]")).to_have_value("3")
    assert requests[-1].post_data == "version=2&text=more+words"


def test_autosave_server_error_tries_again_until_saved(site):
    answers = in_turn(reply(503), reply(200, version="2", saved="10:16"))
    page = site(AUTOSAVE_FORM, {"/save": answers})
    stop_time(page)
    page.fill("textarea", "words")
    page.clock.fast_forward(1000)
    save_text(page).get_by_text("Not saved. Trying again").wait_for()
    assert page.get_attribute("[data-save-state]", "aria-live") == "polite"
    page.clock.fast_forward(2000)
    save_text(page).get_by_text("Saved at 10:16").wait_for()


def test_autosave_signed_out_says_so_and_keeps_the_text(site):
    page = site(AUTOSAVE_FORM, {"/save": reply(401)})
    page.fill("textarea", "words")
    save_text(page).get_by_text("signed out").wait_for()
    assert page.input_value("textarea") == "words"


def test_autosave_invalid_field_shows_the_reason(site):
    page = site(
        AUTOSAVE_FORM, {"/save": reply(422, code="invalid", fields={"text": ["Too long."]})}
    )
    page.fill("textarea", "words")
    save_text(page).get_by_text("Not saved. Too long.").wait_for()
    assert page.input_value("textarea") == "words"


def test_autosave_stale_version_shows_both_texts_and_sends_nothing_until_chosen(site, requests):
    stale = reply(412, code="stale", version="7", saved="Theirs", sent="Ours")
    page = site(AUTOSAVE_FORM, {"/save": stale})
    page.fill("textarea", "Ours")
    page.get_by_role("button", name="Put together").wait_for()
    assert page.inner_text("[data-theirs]") == "Theirs"
    assert page.inner_text("[data-ours]") == "Ours"
    page.fill("textarea", "Ours, longer")
    page.clock.fast_forward(60_000)
    settle(page)
    assert len(requests) == 1
    with page.expect_request(f"{SITE}/done") as sent:
        page.get_by_role("button", name="Put together").click()
    # The version is that of the page, so that the server sees what has been saved since.
    assert sent.value.post_data == "version=1&text=Ours%2C+longer"


def test_autosave_record_closed_elsewhere_stops(site, requests):
    page = site(AUTOSAVE_FORM, {"/save": reply(409, message="The note is signed.")})
    page.fill("textarea", "words")
    save_text(page).get_by_text("Not saved. The note is signed.").wait_for()
    page.fill("textarea", "more words")
    page.clock.fast_forward(60_000)
    settle(page)
    assert len(requests) == 1


def press_save(page):
    page.get_by_role("button", name="Save", exact=True).click()


def test_autosave_form_submitted_at_once_is_saved_first(site, requests):
    page = site(AUTOSAVE_FORM, {"/save": reply(200, version="2", saved="10:15")})
    page.fill("textarea", "words")
    with page.expect_request(f"{SITE}/done") as sent:
        press_save(page)
    assert [request.post_data for request in requests] == ["version=1&text=words"]
    assert sent.value.post_data == "version=2&text=words"


def test_autosave_form_without_a_change_is_sent_as_it_is(site, requests):
    page = site(AUTOSAVE_FORM, {"/save": reply(200, version="2", saved="10:15")})
    press_save(page)
    page.wait_for_url("**/done")
    assert requests == []


@pytest.mark.parametrize(
    "failure",
    [
        lambda route: route.abort(),
        reply(401),
        reply(503),
        reply(422, code="invalid", fields={"text": ["Too long."]}),
        reply(409, message="The note is signed."),
        reply(412, code="stale", version="7", saved="Theirs", sent="Ours"),
    ],
    ids=["no connection", "signed out", "server error", "invalid", "closed", "stale"],
)
def test_autosave_form_is_held_while_it_cannot_be_saved(site, failure):
    page = site(AUTOSAVE_FORM, {"/save": failure})
    page.fill("textarea", "words")
    press_save(page)
    state = page.locator("[data-save-state]")
    expect(state).to_be_focused()
    expect(state).to_have_attribute("data-state", "error")
    assert page.url == f"{SITE}/"
    assert page.input_value("textarea") == "words"


def test_autosave_form_with_an_expired_token_is_sent(site):
    page = site(AUTOSAVE_FORM, {"/save": reply(400)})
    page.fill("textarea", "words")
    press_save(page)
    expect(page).to_have_url(f"{SITE}/done")


def test_autosave_goes_on_with_the_new_token_after_signing_in_in_another_tab(site, requests):
    token = '<input type="hidden" name="csrf_token" value="{}">'
    form = AUTOSAVE_FORM.replace("<textarea", token.format("old") + "<textarea")
    answers = (reply(400, csrf_token="new"), reply(200, version="2", saved="10:18"))
    page = site(form, {"/save": in_turn(*answers)})
    page.fill("textarea", "words")
    press_save(page)
    page.wait_for_url("**/done")
    sent = [request.post_data for request in requests if request.url == f"{SITE}/save"]
    assert sent == [f"version=1&csrf_token={value}&text=words" for value in ("old", "new")]


def test_autosave_form_offline_is_held_and_saved_when_back(site, page):
    site(AUTOSAVE_FORM, {"/save": reply(200, version="2", saved="10:18")})
    page.context.set_offline(True)
    page.route("**/save", lambda route: route.abort())
    page.fill("textarea", "words")
    press_save(page)
    state = page.locator("[data-save-state]")
    expect(state).to_have_attribute("data-state", "offline")
    expect(state).to_be_focused()
    page.unroute("**/save")
    page.context.set_offline(False)
    expect(state).to_have_attribute("data-state", "saved")
    press_save(page)
    page.wait_for_url("**/done")


def test_autosave_form_held_once_is_sent_when_saving_works_again(site, requests):
    answers = in_turn(reply(503), reply(200, version="2", saved="10:19"))
    page = site(AUTOSAVE_FORM, {"/save": answers})
    page.fill("textarea", "words")
    save_text(page).get_by_text("Not saved.").wait_for()
    press_save(page)
    page.wait_for_url("**/done")
    assert len(requests) == 2


def test_autosave_form_can_be_deleted_although_it_cannot_be_saved(site):
    form = AUTOSAVE_FORM.replace(
        "</form>", '<button formaction="/discard" data-deletes-draft>Discard</button></form>'
    )
    page = site(form, {"/save": reply(422, code="invalid", fields={"text": ["Too long."]})})
    page.fill("textarea", "words")
    save_text(page).get_by_text("Too long.").wait_for()
    page.get_by_role("button", name="Discard").click()
    expect(page).to_have_url(f"{SITE}/discard")


def test_preview_after_typing_shows_the_newest_answer(site, requests):
    page = site(
        '<form data-preview="/preview"><textarea name="body"></textarea>'
        "<div data-preview-pane></div><p data-preview-state></p></form>",
        {"/preview": lambda route: route.fulfill(body="<p>Rendered</p>", content_type="text/html")},
    )
    page.fill("textarea", "text")
    page.locator("[data-preview-pane] p").get_by_text("Rendered").wait_for()
    assert requests[0].post_data == "body=text"


def test_progress_running_updates_the_region_until_done(site, page):
    states = ["running", "done", "asked once more"]

    def answer(route):
        state = states.pop(0)
        route.fulfill(
            body=f'<title>{state}</title><section data-progress="{state}" data-progress-done="Finished.">'
            f"<p>{state}</p></section>",
            content_type="text/html",
        )

    site(
        '<p role="status" data-progress-status></p>'
        '<section data-progress="running"><p>0 of 2</p></section><input id="elsewhere">'
    )
    # The page asks for itself again; only what a script asks for is answered with progress.
    page.route(
        f"{SITE}/",
        lambda route: (
            answer(route) if route.request.headers.get("x-requested-with") else route.fallback()
        ),
    )
    page.focus("#elsewhere")
    page.clock.fast_forward(3000)
    expect(page).to_have_title("running")
    page.clock.fast_forward(3000)
    page.locator("[data-progress-status]").get_by_text("Finished.").wait_for()
    assert page.inner_text("[data-progress]") == "done"
    assert page.title() == "done"
    assert page.evaluate("document.activeElement.id") == "elsewhere"
    page.clock.fast_forward(60_000)
    settle(page)
    assert states == ["asked once more"]
