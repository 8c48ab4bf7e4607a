"""Safety in the portal: neutral pages, quick exit, help lines."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from html.parser import HTMLParser
from threading import enumerate as enumerate_threads

import pytest
import sqlalchemy as sa

from caseapp.core import clock
from caseapp.core.database import db
from caseapp.core.settings import ROOT
from caseapp.core.transaction import WRITES, transaction
from caseapp.domain.assignments.operations import assign_handout
from caseapp.domain.cases.queries import lock_case
from caseapp.domain.practice.models import NEUTRAL_SITE, Practice
from caseapp.http import unreachable
from tests.support import builders
from tests.support.portal_client import (
    BANNED,
    choose_pin,
    enter_pin,
    invited,
    open_link,
    sign_in_client,
    use_card,
)
from tests.support.staff import csrf
from tests.support.staff_pages import lasting

PORTAL_COOKIE = "__Host-reader"
UNTYPED = {"hidden", "checkbox", "radio", "file"}


@pytest.fixture
def reader(app, coach):
    visitor, found = sign_in_client(app, coach, "Ines Okafor", partner_name="Paul Okafor")
    builders.screen(coach, found.client_id)
    with transaction():
        assign_handout(
            coach,
            lock_case(coach, found.case_id),
            "help-right-now",
            message="",
            channel="portal",
            confirmed=True,
        )
        assign_handout(
            coach,
            lock_case(coach, found.case_id),
            "first-days-pause",
            message="",
            channel="portal",
            confirmed=True,
        )
    return visitor, found


class Links(HTMLParser):
    """The title of a page, its links and the fields that a browser might keep, in order."""

    def __init__(self, page):
        """Parse the page."""
        super().__init__()
        self.links, self.fields, self.title, self._in_title = [], [], "", False
        self._form = {}
        self.feed(page.get_data(as_text=True))

    def handle_starttag(self, tag, attrs):
        if tag == "a":
            self.links.append(dict(attrs))
        elif tag == "form":
            self._form = dict(attrs)
        elif tag == "input" and dict(attrs).get("type", "text") not in UNTYPED:
            # What a field says counts before what its form says.
            self.fields.append({"autocomplete": self._form.get("autocomplete")} | dict(attrs))
        self._in_title = tag == "title"

    def handle_endtag(self, tag):
        self._in_title = self._in_title and tag != "title"

    def handle_data(self, data):
        self.title += data if self._in_title else ""


def every_page(app, coach, reader):
    """Open every page of the portal in every state; yield its address and response."""
    visitor, found = reader
    stranger, arriving, chosen = app.test_client(), app.test_client(), app.test_client()
    yield "/portal/sign-in", stranger.get("/portal/sign-in")
    yield "/portal/card", use_card(stranger, "2222")
    yield "/portal/enter", open_link(stranger, "x")
    yield "/portal/safety", stranger.get("/portal/safety")
    yield "/portal/nothing", stranger.get("/portal/nothing")
    yield "/portal/sign-out", stranger.get("/portal/sign-out")
    yield "/portal/sign-in", stranger.post("/portal/sign-in")
    use_card(arriving, found.card_code)
    yield "/portal/pin", arriving.get("/portal/pin")
    yield "/portal/pin", enter_pin(arriving, "000000")
    yield "/portal/pin", choose_pin(arriving, "2222-2222")
    other = invited(coach)
    use_card(chosen, other.card_code)
    yield "/portal/pin", chosen.get("/portal/pin")
    choose_pin(chosen, other.start_code)
    yield "/portal/first", chosen.get("/portal/first")
    for path in ("/portal", "/portal/h/1", "/portal/h/2", "/portal/privacy", "/portal/h/99"):
        yield path, visitor.get(path)


@pytest.mark.slow
def test_every_page_is_neutral_and_starts_with_quick_exit(app, coach, reader):
    seen = 0
    for path, page in every_page(app, coach, reader):
        parsed = Links(page)
        seen += 1
        assert parsed.title == "Reading list", path
        # The dialogs about the session, which cover the page, have one each. The link leads straight to the other site,
        # and has our server end the session; without scripts another one leads to our server.
        leaving = [link for link in parsed.links if "data-quick-exit" in link]
        assert {link["href"] for link in leaving} == {NEUTRAL_SITE}
        assert {link["data-quick-exit"] for link in leaving} == {"/exit"}
        skip, leave, *_in_dialogs = leaving
        assert skip["class"] == "skip scripted"
        without_scripts = [link for link in parsed.links if link["href"] == "/exit"]
        assert len(without_scripts) == len(leaving)
        shown = [link for link in parsed.links if link not in without_scripts]
        assert shown.index(leave) <= 3, path
        assert page.headers["Cache-Control"] == "no-store", path
        assert page.headers["Referrer-Policy"] == "no-referrer", path
        outside = " ".join((path, str(page.headers), *(link["href"] for link in parsed.links)))
        assert BANNED.findall(outside) == [], path
        assert all(field.get("autocomplete") == "off" for field in parsed.fields), path
        body = lasting(unescape(page.get_data(as_text=True)))
        assert "Paul" not in body, path
        assert "Okafor" not in body, path
        assert not re.search(r"btn-danger|tag-alert|notice-alert", body), path
    assert seen == 17


@pytest.mark.pdf
def test_addresses_headers_and_file_names_are_neutral(app, reader):
    visitor, _ = reader
    mine = [rule.rule for rule in app.url_map.iter_rules() if rule.endpoint.startswith("portal_")]
    assert len(mine) > 10
    assert BANNED.findall(" ".join(mine)) == []
    answer = visitor.get("/portal/h/1/reading-01.pdf")
    assert BANNED.findall(str(answer.headers)) == []
    assert answer.headers["Cache-Control"] == "no-store"


def test_portal_alert_colour_is_not_red():
    css = (ROOT / "caseapp/static/css/portal-handouts.css").read_text()
    assert ".portal {\n  --alert: var(--watch);" in css


def test_reading_list_shows_the_alias_instead_of_title_and_summary(reader):
    visitor, _ = reader
    page = unescape(visitor.get("/portal").get_data(as_text=True))
    assert "Numbers to keep" in page
    assert "Help right now" not in page
    assert "a moment that cannot wait" not in page


# Quick exit


def test_quick_exit_ends_session_and_redirects(app, reader):
    visitor, _ = reader
    cookie = visitor.get_cookie(PORTAL_COOKIE).value
    answer = visitor.get("/exit")
    assert (answer.status_code, answer.location) == (303, NEUTRAL_SITE)
    assert answer.headers["Clear-Site-Data"] == '"cache"'
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert visitor.get_cookie(PORTAL_COOKIE) is None
    thief = app.test_client()
    thief.set_cookie(PORTAL_COOKIE, cookie)
    assert thief.get("/portal").location == "/portal/sign-in"
    assert visitor.get("/portal").location == "/portal/sign-in"


def test_quick_exit_with_own_site_leads_there(app, visitor):
    with transaction() as session:
        session.execute(sa.update(Practice).values(exit_url="https://weather.example/"))
    assert visitor.get("/exit").location == "https://weather.example/"
    for path in ("/portal/sign-in", "/portal/nothing"):
        links = Links(visitor.get(path)).links
        assert {link["href"] for link in links if "data-quick-exit" in link} == {
            "https://weather.example/"
        }


def test_quick_exit_by_a_script_ends_the_session_without_a_token(app, reader):
    """A script sends it while its page goes away; it must work whatever became of the page."""
    visitor, _ = reader
    cookie = visitor.get_cookie(PORTAL_COOKIE).value
    assert visitor.post("/exit", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 303
    thief = app.test_client()
    thief.set_cookie(PORTAL_COOKIE, cookie)
    assert thief.get("/portal").location == "/portal/sign-in"


@pytest.mark.parametrize("path", ["/portal/safety", "/portal/sign-in", "/portal/enter"])
def test_page_after_leaving_shows_only_to_who_comes_back_on_purpose(app, reader, path):
    visitor, _ = reader
    back, typed = (
        {"Sec-Fetch-Site": site, "Sec-Fetch-Dest": "document"} for site in ("same-origin", "none")
    )
    visitor.get("/exit")
    for _ in range(2):
        gone = visitor.get(path, headers=back)
        assert (gone.status_code, gone.location) == (303, NEUTRAL_SITE)
    assert visitor.get(path, headers=typed).status_code == 200
    assert visitor.get(path, headers=back).status_code == 200


def test_portal_after_leaving_opens_from_a_staff_page_of_the_same_host(reader):
    visitor, _ = reader
    visitor.get("/exit")
    assert visitor.get("/sign-in").status_code == 200
    clicked = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "document"}
    assert visitor.get("/portal/sign-in", headers=clicked).status_code == 200


def test_protected_page_after_leaving_leads_out(app, reader):
    visitor, _ = reader
    visitor.get("/exit")
    back = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "document"}
    assert visitor.get("/portal", headers=back).location == "/portal/sign-in"
    assert visitor.get("/portal/sign-in", headers=back).location == NEUTRAL_SITE


@pytest.mark.parametrize("asked", ["/exit?url=https://evil.test", "/exit?next=//evil.test"])
def test_quick_exit_with_forged_target_ignores_it(app, visitor, asked):
    answer = visitor.get(asked, headers={"Host": "evil.test", "Referer": "https://evil.test"})
    assert answer.location == NEUTRAL_SITE


@pytest.mark.parametrize("cookie", ["", "rubbish", "x" * 3000, "\u00e4", "' OR 1=1"])
def test_quick_exit_with_broken_cookie_redirects(app, visitor, cookie):
    answer = visitor.get(
        "/exit", headers={"Cookie": f"{PORTAL_COOKIE}={cookie}; __Host-form=broken"}
    )
    assert (answer.status_code, answer.location) == (303, NEUTRAL_SITE)


def test_quick_exit_before_the_pin_ends_sign_in(app, coach, visitor):
    found = invited(coach)
    use_card(visitor, found.card_code)
    assert visitor.get("/exit").status_code == 303
    assert visitor.get("/portal/pin").location == "/portal/sign-in"


def test_quick_exit_without_database_redirects(app, reader, monkeypatch):
    visitor, _ = reader
    unreachable = sa.create_engine("postgresql+psycopg://nobody@127.0.0.1:9/none")
    db.session.remove()
    monkeypatch.setitem(db.engines, None, unreachable)
    answer = visitor.get("/exit")
    assert (answer.status_code, answer.location) == (303, NEUTRAL_SITE)
    assert visitor.get_cookie(PORTAL_COOKIE) is None
    unreachable.dispose()


@pytest.mark.both
def test_quick_exit_with_busy_database_redirects_and_ends_session_later(app, reader, monkeypatch):
    visitor, _ = reader
    monkeypatch.setattr(unreachable, "MAX_WAIT_SECONDS", 0.2)
    cookie = visitor.get_cookie(PORTAL_COOKIE).value
    engine = db.engine
    db.session.remove()
    writes = WRITES[engine.dialect.name]
    with engine.connect().execution_options(**writes) as busy, busy.begin():
        busy.execute(sa.text("UPDATE session SET last_seen_at = last_seen_at"))
        answer = visitor.get("/exit")
        leaving = [found for found in enumerate_threads() if found.name == "leave-now"]
    assert (answer.status_code, answer.location) == (303, NEUTRAL_SITE)
    # The response came while the thread still waited for the database.
    assert leaving
    for thread in leaving:
        thread.join()
    thief = app.test_client()
    thief.set_cookie(PORTAL_COOKIE, cookie)
    assert thief.get("/portal").location == "/portal/sign-in"


def test_error_page_without_database_is_neutral_and_has_quick_exit(app, reader, monkeypatch):
    visitor, _ = reader
    unreachable = sa.create_engine("postgresql+psycopg://nobody@127.0.0.1:9/none")
    db.session.remove()
    monkeypatch.setitem(db.engines, None, unreachable)
    answer = visitor.get("/portal")
    assert answer.status_code == 503
    parsed = Links(answer)
    assert parsed.title == "Reading list"
    assert NEUTRAL_SITE in [link["href"] for link in parsed.links]
    assert "/exit" in [link["href"] for link in parsed.links]
    unreachable.dispose()


# Help


def test_safety_page_without_sign_in_shows_help_lines(app, visitor):
    page = unescape(visitor.get("/portal/safety").get_data(as_text=True))
    assert 'href="tel:999"' in page
    assert 'href="tel:116123"' in page
    assert "Leaving does not clear your history." in page
    assert page.count("tel:999") == 1


def test_safety_page_without_database_shows_the_numbers_of_each_country(reader, monkeypatch):
    visitor, _ = reader
    gone = sa.create_engine("postgresql+psycopg://nobody@127.0.0.1:9/none")
    db.session.remove()
    monkeypatch.setitem(db.engines, None, gone)
    # Somebody who has left before, too.
    for path in ("/portal/safety", "/exit", "/portal/safety"):
        answer = visitor.get(path, headers={"Sec-Fetch-Site": "none"})
        if path != "/exit":
            page = unescape(answer.get_data(as_text=True))
            assert answer.status_code == 200
            assert all(number in page for number in ("tel:999", "tel:911", "tel:000", "tel:112"))
            assert NEUTRAL_SITE in page
    back = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "document"}
    visitor.get("/exit")
    assert visitor.get("/portal/safety", headers=back).location == NEUTRAL_SITE
    gone.dispose()


@pytest.mark.both
def test_safety_page_of_a_locked_database_is_shown(reader, monkeypatch):
    visitor, _ = reader
    engine = db.engine
    lock, shown = "UPDATE session SET last_seen_at = last_seen_at", "tel:116123"
    if engine.dialect.name == "postgresql":
        lock, shown = "LOCK TABLE practice, session", "tel:911"
        monkeypatch.setattr(unreachable, "MAX_WAIT_SECONDS", 0.2)
    db.session.remove()
    with engine.connect().execution_options(**WRITES[engine.dialect.name]) as busy, busy.begin():
        busy.execute(sa.text(lock))
        with clock.at(clock.now() + timedelta(minutes=5)):
            answer = visitor.get("/portal/safety")
        looking = [found for found in enumerate_threads() if found.name == "look-now"]
    for thread in looking:
        thread.join()
    assert answer.status_code == 200
    assert shown in answer.get_data(as_text=True)


def test_strangers_cause_no_write_by_leaving_or_asking_for_health(app, visitor):
    statements: list[str] = []

    def note(_connection, _cursor, statement, *_others):
        statements.append(statement)

    engine = db.engine
    sa.event.listen(engine, "before_cursor_execute", note)
    visitor.set_cookie(PORTAL_COOKIE, "made up")
    assert visitor.get("/exit").status_code == 303
    visitor.get("/readyz")
    sa.event.remove(engine, "before_cursor_execute", note)
    assert statements
    assert {found.split()[0] for found in statements} <= {"SELECT", "BEGIN"}
    assert "BEGIN IMMEDIATE" not in statements


def test_every_portal_page_shows_the_emergency_number(app, coach, reader):
    visitor, _ = reader
    for path in ("/portal", "/portal/h/1", "/portal/h/2"):
        assert "tel:999" in visitor.get(path).get_data(as_text=True)


def test_sign_out_without_csrf_token_keeps_session(reader):
    visitor, _ = reader
    assert visitor.post("/portal/sign-out").status_code == 400
    assert visitor.get("/portal").status_code == 200
    assert csrf(visitor.get("/portal"))
