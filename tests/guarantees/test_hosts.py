"""A portal with a host name of its own: nothing there leads to the practice, and nothing of it answers elsewhere."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape

import pytest
import sqlalchemy as sa

from caseapp.core import outbox, settings, urls
from caseapp.core.sessions import begin_session
from caseapp.core.transaction import transaction
from caseapp.domain.practice.models import Practice
from caseapp.domain.practice.queries import get_practice_info
from caseapp.http.interfaces import Interface, interface_of
from caseapp.http.sessions import COOKIES
from tests.guarantees import sample_data as w
from tests.support import staff
from tests.support.portal_client import (
    ADDRESS,
    BANNED,
    EMAIL_AND_PORTAL,
    invited,
    mailbox_server,
    sign_in_client,
)
from tests.support.staff_pages import lasting

STAFF_HOST, PORTAL_HOST, OTHER_HOST = "desk.example.org", "localhost", "198.51.100.7"
CANARY = "Quetzalcoatl"
REVEALING = re.compile(
    rf"{CANARY}|desk\.example|caseapp|\b(?:case|client|practice|supervisor|screening|session note)s?\b",
    re.IGNORECASE,
)
# Paths that no route has, and some that browsers and scanners ask for.
STRAY = (
    "/favicon.ico",
    "/robots.txt",
    "/sitemap.xml",
    "/admin",
    "/apiary",
    "/portals",
    "/portal/",
    "/portal/nothing",
    "/portal/h/1/x",
    "//portal",
    "/exit/",
    "/.well-known/security.txt",
    "/%00",
    "/?next=/today",
    "/assets/x/none.js",
    "/fonts/none.woff2",
    "/" + "x" * 3000,
)
FILES = ("/assets/", "/fonts/")


@pytest.fixture(autouse=True)
def two_hosts(app):
    """Give the portal a host name of its own, the one that test clients use."""
    before = settings.active()
    settings.use(
        replace(before, base_url=f"https://{STAFF_HOST}", portal_url=f"https://{PORTAL_HOST}")
    )
    with transaction() as session:
        session.execute(sa.update(Practice).values(name=CANARY, tagline=f"{CANARY} coaching"))
    yield
    settings.use(before)


def path_of(route):
    """Build a path with a value for each argument."""
    values = {name: w.NOBODYS if name.endswith("_id") else "1" for name in route.rule.arguments}
    return route.rule.build(values, append_unknown=False)[1]


def list_requests(app):
    """List every method and path of the application, and what nobody should ask for."""
    return [
        *((route.method, path_of(route)) for route in w.routes(app)),
        *((method, path) for path in STRAY for method in ("GET", "POST", "PUT")),
    ]


def ask(app, host, method, path, **headers):
    answer = app.test_client().open(
        path, method=method, base_url=f"https://{host}", headers=headers
    )
    return answer, lasting(unescape(answer.get_data(as_text=True)))


def staff_cookie(coach):
    """Return the header of a valid session of staff."""
    with transaction():
        cookie = begin_session("staff", coach.id)
    return {"Cookie": f"{COOKIES[Interface.STAFF]}={cookie}"}


@pytest.mark.slow
def test_portal_host_answers_nothing_of_staff_pages_and_api(app):
    """Not even a redirect, a wrong method or a missing token tells that there is something."""
    cookie = staff_cookie(staff.add("coach"))
    unknown = {
        method: ask(app, PORTAL_HOST, method, "/nothing")[1] for method in ("GET", "POST", "HEAD")
    }
    asked, failures = 0, []
    visitors: tuple[dict, ...] = ({}, cookie)
    for method, path in list_requests(app):
        if interface_of(path.partition("?")[0]) not in {Interface.STAFF, Interface.API}:
            continue
        if path.partition("?")[0] in {"/", "//portal"}:
            continue
        for headers in visitors:
            answer, text = ask(app, PORTAL_HOST, method, path, **headers)
            asked += 1
            told = {"Location", "Allow", "WWW-Authenticate"} & {*answer.headers.keys()}
            if answer.status_code != 404 or told:
                failures.append(f"{method} {path}: {answer.status_code} {told}")
            elif method in unknown and text != unknown[method]:
                failures.append(f"{method} {path}: {text[:200]}")
    assert failures == []
    assert asked > 200


def test_portal_host_alone_leads_to_the_reading_list(app):
    answer, _ = ask(app, PORTAL_HOST, "GET", "/")
    assert (answer.status_code, answer.location) == (303, "/portal")


@pytest.mark.slow
def test_nothing_on_the_portal_host_is_revealing_before_sign_in(app):
    failures = []
    for method, path in list_requests(app):
        answer, text = ask(app, PORTAL_HOST, method, path)
        # The help lines are there for everybody; they say nothing about whose site it is.
        seen = f"{answer.headers}" if path == "/portal/safety" else f"{answer.headers}\n{text}"
        if path.startswith(FILES) and answer.status_code == 200:
            seen = str(answer.headers)
        found = {*REVEALING.findall(seen), *BANNED.findall(seen)}
        if found:
            failures.append((method, path, answer.status_code, found))
    assert failures == []


def test_files_of_the_portal_host_have_no_revealing_word(app):
    page = ask(app, PORTAL_HOST, "GET", "/portal/sign-in")[1]
    found = re.findall(r'(?:href|src)="(/assets/[^"]+)"', page)
    assert len(found) >= 4
    for path in found:
        answer, text = ask(app, PORTAL_HOST, "GET", path)
        assert answer.status_code == 200
        assert BANNED.findall(text) == [], path


@pytest.mark.slow
def test_staff_host_answers_nothing_of_the_portal(app):
    unknown = ask(app, STAFF_HOST, "GET", "/nothing")[1]
    asked = 0
    for method, path in list_requests(app):
        if interface_of(path) not in {Interface.PORTAL, Interface.EXIT}:
            continue
        answer, text = ask(app, STAFF_HOST, method, path)
        asked += 1
        assert (answer.status_code, answer.location) == (404, None), (method, path)
        assert method != "GET" or text == unknown, path
    assert asked > 30


def test_staff_host_answers_staff_pages(app):
    answer, text = ask(app, STAFF_HOST, "GET", "/sign-in")
    assert answer.status_code == 200
    assert CANARY in text
    assert ask(app, STAFF_HOST, "GET", "/api/v1/me")[0].status_code == 401


@pytest.mark.slow
def test_other_host_answers_files_and_health_only(app):
    for method, path in list_requests(app):
        answer, text = ask(app, OTHER_HOST, method, path)
        if interface_of(path.partition("?")[0]) is Interface.NONE:
            assert CANARY not in text
            continue
        assert answer.status_code == 404, (method, path)
        assert answer.mimetype == "text/plain"
    assert ask(app, OTHER_HOST, "GET", "/livez")[0].status_code == 200


@pytest.mark.parametrize(
    ("portal_url", "host"),
    [
        ("https://LOCALHOST", "localhost"),
        ("https://localhost:443", "localhost"),
        ("https://localhost:8443", "localhost:8443"),
    ],
)
def test_portal_host_is_compared_as_browsers_name_it(app, portal_url, host):
    """The whole host counts, as a browser writes it (VULN-30)."""
    settings.use(replace(settings.active(), portal_url=portal_url))
    assert ask(app, host, "GET", "/portal/sign-in")[0].status_code == 200
    assert ask(app, host, "GET", "/sign-in")[0].status_code == 404


@pytest.mark.parametrize("portal_url", [None, f"https://{STAFF_HOST}"])
def test_portal_without_a_host_of_its_own_is_on_that_of_the_staff(app, portal_url):
    settings.use(replace(settings.active(), portal_url=portal_url))
    for path in ("/portal/sign-in", "/sign-in"):
        assert ask(app, STAFF_HOST, "GET", path)[0].status_code == 200
    assert urls.portal_url() == f"https://{STAFF_HOST}/portal"


def test_client_signs_in_and_reads_on_the_portal_host(app):
    visitor, _found = sign_in_client(app, staff.add("coach"), "Ines Okafor")
    page = visitor.get("/portal")
    assert page.status_code == 200
    assert "Hello Ines" in page.get_data(as_text=True)
    cookies = {cookie.key: cookie for cookie in visitor._cookies.values()}  # noqa: SLF001
    assert {cookie.domain for cookie in cookies.values()} == {PORTAL_HOST}


def test_mail_card_and_qr_code_name_the_portal_host_only(app):
    """Nothing that is mailed or printed names another host than that of the settings (VULN-15)."""
    coach = staff.add("coach")
    with mailbox_server() as mailbox:
        found = invited(coach, safe=EMAIL_AND_PORTAL, address=ADDRESS)
        outbox.sweep()
        [message] = mailbox.messages()
    assert found.card_code is None
    assert f"https://{PORTAL_HOST}/portal/enter/" in message.get_content()
    assert STAFF_HOST not in message.as_string()
    assert message["Message-ID"].endswith(f"@{PORTAL_HOST}>")
    with transaction() as session:
        session.execute(sa.update(Practice).values(paper_code=True))
    assert get_practice_info().letterhead.portal == f"https://{PORTAL_HOST}/portal"
    assert urls.portal_url() == f"https://{PORTAL_HOST}/portal"
