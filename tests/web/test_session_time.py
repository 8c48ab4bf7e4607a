"""How long a session lasts: looking at it doesn't use it, staying does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from caseapp.core.clock import at, now
from tests.support import portal_client, staff

pytestmark = pytest.mark.both

SCRIPT = {"X-Requested-With": "session"}
MINUTE = timedelta(minutes=1)


@pytest.fixture(params=["staff", "client"])
def signed_in(request, app):
    """Give a signed-in browser, the address of its session, its idle time in minutes, and whose it is."""
    coach = staff.team()["coach"]
    if request.param == "staff":
        browser = app.test_client()
        staff.sign_in(browser, coach)
        return browser, "/session", 15, coach.id
    browser, found = portal_client.sign_in_client(app, coach)
    return browser, "/portal/session", 20, found.client_id


def stay(browser, address):
    page = browser.get("/portal" if address.startswith("/portal") else "/help/keys")
    return lambda: browser.post(
        address, data={"csrf_token": staff.csrf(page)}, headers=SCRIPT
    ).get_json()["seconds"]


def test_looking_does_not_use_the_session(signed_in):
    """No parameter keeps it from ending (VULN-09)."""
    browser, address, idle, person = signed_in
    start = now()
    for minutes in (0, 5, idle - 1):
        with at(start + minutes * MINUTE):
            answer = browser.get(f"{address}?skip_timeout_reset=1", headers=SCRIPT)
            assert answer.get_json() == {
                "seconds": (idle - minutes) * 60,
                "person": str(person),
            }
    with at(start + idle * MINUTE):
        for asked in ("", "?skip_timeout_reset=1", "?seconds=9000&keep=yes"):
            assert browser.get(address + asked, headers=SCRIPT).status_code == 401


def test_staying_uses_the_session(signed_in):
    browser, address, idle, _person = signed_in
    start = now()
    use = stay(browser, address)
    with at(start + (idle - 1) * MINUTE):
        assert use() == idle * 60
    with at(start + (2 * idle - 2) * MINUTE):
        assert browser.get(address, headers=SCRIPT).get_json()["seconds"] == 60


@pytest.mark.slow
def test_no_session_lasts_longer_than_twelve_hours(signed_in):
    browser, address, idle, _person = signed_in
    start = now()
    use = stay(browser, address)
    for minutes in range(idle // 2, 12 * 60, idle // 2):
        with at(start + minutes * MINUTE):
            assert use() == min(idle, 12 * 60 - minutes) * 60
    with at(start + timedelta(hours=12)):
        assert browser.get(address, headers=SCRIPT).status_code == 401


def test_page_says_how_long_its_session_lasts(app):
    browser = app.test_client()
    with at(datetime(2026, 5, 14, 12, 3, tzinfo=UTC)):
        staff.sign_in(browser, staff.team()["coach"])
        page = browser.get("/help/keys").get_data(as_text=True)
    assert 'data-seconds="900"' in page
    # Without scripts nothing warns, so the page says it: in the practice's time.
    said = page.partition("<noscript>")[2].partition("</noscript>")[0]
    assert "You stay signed in until 13:18. Opening or sending something extends this." in said
