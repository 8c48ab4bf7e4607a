"""A real browser against the real app on a fresh database."""

from __future__ import annotations

import shutil
import threading
import time
from contextlib import closing, suppress
from datetime import timedelta

import pytest
from playwright.sync_api import Error, expect
from werkzeug.serving import make_server
from werkzeug.wsgi import ClosingIterator

from caseapp.domain.auth import rules
from caseapp.http.assets import STATIC
from tests.journeys.script_site import SITE
from tests.support.loopback import served
from tests.support.page_checks import Look

# A busy machine may take its time; what never comes still fails.
LONGEST_WAIT_MS = 120_000
expect.set_options(timeout=LONGEST_WAIT_MS)


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args):
    """Start the browser without its own windows, which take a third of its processor time."""
    return {
        **browser_type_launch_args,
        "timeout": LONGEST_WAIT_MS,
        "executable_path": shutil.which("chromium-headless-shell") or shutil.which("chromium"),
        "args": [
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--font-render-hinting=none",
        ],
    }


@pytest.fixture(scope="session")
def browser(browser):
    """Have every window of the browser wait as long as `expect` does."""
    make = browser.new_context

    def new_context(**options):
        made = make(**options)
        made.set_default_timeout(LONGEST_WAIT_MS)
        return made

    browser.new_context = new_context
    return browser


@pytest.fixture
def moment():
    """Disable the frozen clock, because the server's threads use the real clock."""


@pytest.fixture
def live(app, monkeypatch):
    """Serve the app on loopback during a test."""
    # On a busy machine a day may last longer than nobody is asked for the password again.
    monkeypatch.setattr(rules, "CONFIRM_AFTER", timedelta(hours=1))
    under_way = set()

    def answer(environ, start_response):
        under_way.add(threading.get_ident())
        try:
            with closing(ClosingIterator(app(environ, start_response))) as parts:
                return [*parts]
        finally:
            under_way.remove(threading.get_ident())

    with served(make_server("127.0.0.1", 0, answer, threaded=True)) as server:
        yield f"http://localhost:{server.server_port}"
    # What a page asked for while it closed must not reach the next test's database.
    while under_way:
        time.sleep(0.01)


@pytest.fixture
def page(page):
    """Leave the page before it closes: Chromium may never close a page that is about to show another one."""
    yield page
    with suppress(Error):
        page.goto("about:blank", timeout=5_000)


@pytest.fixture
def look(page):
    return Look(page)


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
        # Time passes as it does, and a test may let it pass at once.
        page.clock.install()
        page.goto(f"{SITE}/")
        return page

    return open_page
