"""Leaving a page with words that are not saved: the browser asks, and only then."""

from __future__ import annotations

import pytest

from tests.journeys.script_site import AUTOSAVE_FORM, LEAVE, SITE, reply, save_text

WORDS_FORM = """
<form method="post" action="/done"><textarea name="text" aria-label="Text"></textarea>
  <button>Save</button><button formaction="/file" data-download>File</button></form>
<form method="post" action="/other"><input name="name" aria-label="Name"><button>Other</button></form>
<form method="post" action="/sign-in"><input name="email" aria-label="Email"><input type="password"></form>
<form method="post" action="/pin"><input name="pin" aria-label="PIN" data-secret></form>
<form action="/search"><input name="q" aria-label="Search"></form><a href="/away">Away</a>
"""


@pytest.fixture
def leave(page):
    """Return a function that leaves the page and returns whether the browser asked; the answer is to leave."""
    asked = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))

    def leave_by(name="Away", role="link"):
        page.get_by_role(role, name=name).click()
        page.wait_for_url(lambda url: url != f"{SITE}/")
        return asked == ["beforeunload"]

    return leave_by


def test_leaving_with_typed_words_asks(site, leave):
    page = site(WORDS_FORM)
    page.fill("textarea", "words")
    assert leave()


@pytest.mark.parametrize("label", [None, "Email", "PIN", "Search"])
def test_leaving_without_words_to_lose_does_not_ask(site, leave, label):
    page = site(WORDS_FORM)
    if label:
        page.get_by_label(label).fill("words")
    assert not leave()


def test_sending_the_typed_words_does_not_ask(site, leave):
    page = site(WORDS_FORM)
    page.fill("textarea", "words")
    assert not leave("Save", "button")


def test_sending_one_form_asks_about_the_words_in_another(site, leave):
    page = site(WORDS_FORM)
    page.fill("textarea", "words")
    assert leave("Other", "button")


def test_leaving_after_a_download_still_asks(site, leave):
    page = site(
        WORDS_FORM,
        {
            "/file": lambda route: route.fulfill(
                body="%PDF-", headers={"Content-Disposition": "attachment; filename=a.pdf"}
            )
        },
    )
    page.fill("textarea", "words")
    with page.expect_download():
        page.get_by_role("button", name="File").click()
    assert leave()


def test_leaving_with_words_that_are_saved_does_not_ask(site, leave):
    page = site(
        f'{AUTOSAVE_FORM}<a href="/away">Away</a>',
        {"/save": reply(200, version="2", saved="10:15")},
    )
    page.fill("textarea", "words")
    save_text(page).get_by_text("Saved at").wait_for()
    assert not leave()


def test_leaving_with_words_that_cannot_be_saved_asks(site, leave):
    page = site(f'{AUTOSAVE_FORM}<a href="/away">Away</a>', {"/save": reply(503)})
    page.fill("textarea", "words")
    save_text(page).get_by_text("Not saved.").wait_for()
    assert leave()


def test_page_with_a_quick_exit_never_asks(site, leave):
    page = site(f"{WORDS_FORM}{LEAVE}")
    page.fill("textarea", "words")
    assert not leave()
