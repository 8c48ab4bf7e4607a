"""A client has their phone remembered in the portal, and comes back with their PIN alone."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
import sqlalchemy as sa

from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.domain.auth.queries import find_client_session
from caseapp.domain.cases.models import Case
from caseapp.domain.clients.remembered_devices import list_devices
from caseapp.http.devices import find_device_kind
from tests.portal.portal_handout import text
from tests.support import portal_client
from tests.support.staff import csrf
from tests.support.staff_pages import StaffBrowser, forms_in

DEVICES, SIGN_IN = "/portal/devices", "/portal/sign-in"
PORTAL_COOKIE = "__Host-reader"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15"


def press(visitor, action):
    """Press the first button of the devices page that sends to an address."""
    form = forms_in(text(visitor.get(DEVICES)), DEVICES, action)[0]
    return visitor.post(action, data=form.fields, headers={"User-Agent": IPHONE})


def enter(visitor, pin=portal_client.PIN):
    return visitor.post(
        f"{SIGN_IN}/pin", data={"csrf_token": csrf(visitor.get(SIGN_IN)), "pin": pin}
    )


def sign_out(visitor):
    visitor.post("/portal/sign-out", data={"csrf_token": csrf(visitor.get(DEVICES))})


@pytest.mark.slow
def test_client_comes_back_with_the_pin_alone_until_the_device_is_forgotten(reader, coach):
    visitor, found = reader
    assert "Last open on" not in text(visitor.get("/portal"))
    sign_out(visitor)
    before = text(visitor.get(SIGN_IN))
    assert "With your PIN" not in before
    portal_client.use_card(visitor, found.card_code)
    portal_client.enter_pin(visitor)
    answer = press(visitor, DEVICES)
    assert (answer.status_code, answer.location) == (303, DEVICES)
    [cookie] = [one for one in answer.headers.getlist("Set-Cookie") if "-device=" in one]
    assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=7776000"} <= set(
        cookie.split("; ")
    )
    shown = text(visitor.get(DEVICES))
    assert "iPhone (this one)" in shown
    assert "It is remembered until" in shown
    sign_out(visitor)
    page = text(visitor.get(SIGN_IN))
    assert "With your PIN" in page
    assert [name for name in ("Ines", "Okafor", "iPhone", coach.name) if name in page] == []
    assert not portal_client.BANNED.search(page)
    with at(now() + timedelta(minutes=1)):
        wrong = enter(visitor, "000001")
        assert wrong.status_code == 422
        assert "000001" not in text(wrong)
        answer = enter(visitor)
        assert (answer.status_code, answer.location) == (303, "/portal")
        shown = text(visitor.get("/portal"))
        assert "Last open on" in shown
        assert "A wrong PIN or start code was entered since then." in shown
        # The coach sees it and ends it: the client is out, and the page to sign in is as it was.
        number = db.session.scalar(sa.select(Case.number).where(Case.id == found.case_id))
        page, marta = f"/case/{number}/invite", StaffBrowser(visitor.application, coach)
        assert "iPhone: remembered" in marta.text(page)
        marta.send(page, f"{page}/forget-devices")
        assert "Remembered devices" not in marta.text(page)
        assert visitor.get("/portal").location == SIGN_IN
        assert text(visitor.get(SIGN_IN)).count("<form") == before.count("<form")
        refused = enter(visitor)
        assert refused.status_code == 401
        assert "Your PIN alone no longer works here." in text(refused)
        # Signing in with the card again doesn't remember the device again; the client forgets it themself.
        portal_client.use_card(visitor, found.card_code)
        again = portal_client.enter_pin(visitor)
        assert again.status_code == 303, text(again)
        assert not re.search("Max-Age=[1-9]", str(again.headers.getlist("Set-Cookie")))
        press(visitor, DEVICES)
        answer = press(visitor, f"{DEVICES}/forget")
        assert not re.search("Max-Age=[1-9]", str(answer.headers.getlist("Set-Cookie")))
        assert "Forgotten." in text(visitor.get(answer.location))
        assert "this one" not in text(visitor.get(DEVICES))


@pytest.mark.slow
def test_device_that_is_remembered_from_two_tabs_is_listed_once(reader):
    visitor, found = reader
    tabs = [forms_in(text(visitor.get(DEVICES)), DEVICES, DEVICES)[0].fields for _ in range(2)]
    for fields in tabs:
        assert visitor.post(DEVICES, data=fields).status_code == 303
    assert len(list_devices(found.client_id)) == 1
    db.session.rollback()


@pytest.mark.slow
def test_signing_in_over_an_open_session_ends_it(reader):
    visitor, found = reader
    press(visitor, DEVICES)
    sign_out(visitor)
    enter(visitor)
    # From a page to sign in that was left open in another tab.
    for path, words in (
        (f"{SIGN_IN}/pin", {"pin": portal_client.PIN}),
        ("/portal/card", {"code": found.card_code}),
    ):
        sent = {"path": path, "data": words | {"csrf_token": csrf(visitor.get(DEVICES))}}
        old = visitor.get_cookie(PORTAL_COOKIE).value
        assert visitor.post(**sent).status_code == 303
        assert visitor.get_cookie(PORTAL_COOKIE).value != old
        assert find_client_session(old) is None
        db.session.rollback()


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (IPHONE, "iphone"),
        ("Mozilla/5.0 (iPad; CPU OS 17_0 like Mac OS X)", "ipad"),
        ("Mozilla/5.0 (Linux; Android 14; K) Mobile", "android"),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64)", "windows"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)", "mac"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0)", "linux"),
        ("", None),
    ],
)
def test_kind_of_a_device_is_what_its_browser_says(words, kind):
    assert find_device_kind(words) == kind
