"""Each script of the pages by itself, in a real browser on a page made for it, with a server that answers as told."""

from __future__ import annotations

import json

import pytest

from caseapp.http.assets import STATIC

SITE = "http://scripts.test"
AUTOSAVE_FORM = """
<p data-save-state data-state="idle"><span data-save-text></span></p>
<form data-autosave="/save" method="post" action="/done">
  <input type="hidden" name="version" value="1">
  <div data-conflict hidden><p data-theirs></p><p data-ours></p><p data-no-script></p>
    <button type="button" data-keep hidden>Keep mine</button></div>
  <textarea name="text" aria-label="Text"></textarea><button>Save</button>
</form>
"""


@pytest.fixture
def requests():
    """Return the list of the requests that the test answers itself."""
    return []


@pytest.fixture
def site(page, requests):
    """Return a function that opens a page with the scripts; `answers` maps a path to functions of the request."""

    def open_page(body, answers=()):
        answers = dict(answers)

        def answer(route):
            path = route.request.url.removeprefix(SITE).split("?")[0]
            if path.startswith("/js/"):
                route.fulfill(path=STATIC / path.lstrip("/"), content_type="text/javascript")
            elif path in answers:
                requests.append(route.request)
                answers[path](route)
            elif path == "/":
                html = f"<!doctype html><title>Page</title><script type=module src=/js/main.js></script>{body}"
                route.fulfill(body=html, content_type="text/html")
            else:
                route.fulfill(
                    body=f"<!doctype html><title>{path}</title><h1>{path}</h1>",
                    content_type="text/html",
                )

        page.route("**/*", answer)
        page.goto(f"{SITE}/")
        return page

    return open_page


def reply(status, **body):
    """Return an answer with a JSON body."""
    return lambda route: route.fulfill(
        status=status, body=json.dumps(body), content_type="application/json"
    )


def in_turn(*answers):
    """Return an answer that is another one each time."""
    waiting = list(answers)

    def answer(route):
        waiting.pop(0)(route)

    return answer


def save_text(page):
    return page.locator("[data-save-text]")


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


def test_quick_exit_click_replaces_page_in_history(site):
    page = site('<a data-quick-exit href="/weather">Leave</a>')
    length = page.evaluate("history.length")
    page.click("a")
    page.wait_for_url("**/weather")
    assert page.evaluate("history.length") == length


def test_quick_exit_three_shifts_leaves_and_two_do_not(site):
    page = site('<a data-quick-exit href="/weather">Leave</a>')
    page.keyboard.press("Shift")
    page.keyboard.press("Shift")
    assert page.url == f"{SITE}/"
    page.keyboard.press("Shift")
    page.wait_for_url("**/weather")


def test_quick_exit_shift_while_typing_stays(site):
    page = site('<a data-quick-exit href="/weather">Leave</a><textarea></textarea>')
    page.focus("textarea")
    for _ in range(4):
        page.keyboard.press("Shift")
    page.wait_for_timeout(200)
    assert page.url == f"{SITE}/"


def test_autosave_after_typing_sends_the_form_and_takes_the_new_version(site, requests):
    page = site(AUTOSAVE_FORM, {"/save": reply(200, version="2", saved="10:15")})
    page.fill("textarea", "words")
    save_text(page).get_by_text("Saved at 10:15").wait_for()
    assert page.input_value("[name=version]") == "2"
    assert [request.post_data for request in requests] == ["version=1&text=words"]
    assert requests[0].headers["x-requested-with"] == "autosave"


def test_autosave_server_error_tries_again_until_saved(site):
    answers = in_turn(reply(503), reply(200, version="2", saved="10:16"))
    page = site(AUTOSAVE_FORM, {"/save": answers})
    page.fill("textarea", "words")
    save_text(page).get_by_text("Not saved. Trying again").wait_for()
    assert page.get_attribute("[data-save-state]", "aria-live") == "polite"
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
    answers = in_turn(
        reply(412, code="stale", version="7", saved="Theirs", sent="Ours"),
        reply(200, version="8", saved="10:17"),
    )
    page = site(AUTOSAVE_FORM, {"/save": answers})
    page.fill("textarea", "Ours")
    page.get_by_role("button", name="Keep mine").wait_for()
    assert page.inner_text("[data-theirs]") == "Theirs"
    assert page.inner_text("[data-ours]") == "Ours"
    page.fill("textarea", "Ours, longer")
    page.wait_for_timeout(1500)
    assert len(requests) == 1
    page.get_by_role("button", name="Keep mine").click()
    save_text(page).get_by_text("Saved at 10:17").wait_for()
    assert requests[1].post_data == "version=7&text=Ours%2C+longer"


def test_autosave_record_closed_elsewhere_stops(site, requests):
    page = site(AUTOSAVE_FORM, {"/save": reply(409, message="The note is signed.")})
    page.fill("textarea", "words")
    save_text(page).get_by_text("Not saved. The note is signed.").wait_for()
    page.fill("textarea", "more words")
    page.wait_for_timeout(1500)
    assert len(requests) == 1


def test_autosave_form_submitted_at_once_sends_no_save(site, requests):
    page = site(AUTOSAVE_FORM, {"/save": reply(200, version="2", saved="10:15")})
    page.fill("textarea", "words")
    page.get_by_role("button", name="Save").click()
    page.wait_for_url("**/done")
    assert requests == []


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
    states = ["running", "done"]

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
    page.locator("[data-progress-status]").get_by_text("Finished.").wait_for(timeout=15_000)
    assert page.inner_text("[data-progress]") == "done"
    assert page.title() == "done"
    assert page.evaluate("document.activeElement.id") == "elsewhere"
    page.wait_for_timeout(3500)
    assert states == []
