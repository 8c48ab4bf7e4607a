"""A real browser against the real app on a fresh database."""

from __future__ import annotations

import shutil
import threading
from contextlib import suppress

import pytest
from playwright.sync_api import Error, expect
from werkzeug.serving import make_server

from caseapp.http.assets import STATIC
from tests.journeys.script_site import SITE
from tests.support.page_checks import Look

# A busy machine may take its time; what never comes still fails.
expect.set_options(timeout=20_000)


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args):
    return {
        **browser_type_launch_args,
        "executable_path": shutil.which("chromium"),
        "args": [
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--font-render-hinting=none",
        ],
    }


@pytest.fixture
def moment():
    """Disable the frozen clock, because the server's threads use the real clock."""


@pytest.fixture
def live(app):
    """Serve the app on loopback during a test."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://localhost:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


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
        page.goto(f"{SITE}/")
        return page

    return open_page
