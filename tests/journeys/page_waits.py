"""Waiting for what a page does by itself, and letting its time stand still."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from tests.support.patience import PATIENCE

if TYPE_CHECKING:
    from playwright.sync_api import Page


def wait_until(page: Page, condition) -> None:
    """Wait until something is so that no page shows."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        # The page's requests are answered meanwhile.
        page.wait_for_timeout(20)


def saving(page: Page, *sent: str):
    """Wait at the end of the block for the answer to an autosave that sends all of these values, or `name=value`.

    What a page says about saving may still be about the words before.
    """

    def has_all(answer):
        pairs = parse_qsl(answer.request.post_data or "")
        found = {value for _, value in pairs} | {f"{name}={value}" for name, value in pairs}
        return answer.url.endswith("/draft") and found.issuperset(sent)

    return page.expect_response(has_all)


def stop_time(page: Page) -> None:
    """Let no timer of the page fire, however long the machine takes, until its clock is moved on or resumed."""
    page.clock.install()
    page.clock.pause_at(time.time() + PATIENCE)
