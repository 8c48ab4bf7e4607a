"""A site made for the tests of scripts: its pages load the real scripts, and the tests answer their requests."""

from __future__ import annotations

import json

SITE = "http://scripts.test"
LEAVE = """
<a data-quick-exit="/exit" href="/weather">Leave</a>
<p role="status" data-exit-presses data-two="Two more" data-one="One more"></p>
"""
AUTOSAVE_FORM = """
<p data-save-state data-state="idle"><span data-save-text></span></p>
<form data-autosave="/save" method="post" action="/done">
  <input type="hidden" name="version" value="1">
  <div data-conflict hidden><p data-theirs></p><p data-ours></p><p data-no-script></p>
    <button type="button" data-keep data-merge="Put together" hidden>Keep mine</button></div>
  <textarea name="text" aria-label="Text"></textarea><button>Save</button>
</form>
"""


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


def settle(page):
    """Wait until what the page has asked for so far has reached the test."""
    page.evaluate("fetch('/settled').then(() => null)")


def save_text(page):
    return page.locator("[data-save-text]")
