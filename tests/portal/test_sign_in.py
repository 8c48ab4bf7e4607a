"""Portal sign-in: link or card, start code, PIN, first visit and sign-out."""

from __future__ import annotations

import re
from html import unescape

import pytest
import sqlalchemy as sa

from caseapp.core import outbox, urls
from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.sessions import Session
from caseapp.core.transaction import transaction
from caseapp.domain.auth import portal_codes
from caseapp.domain.auth.queries import find_portal_access
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.practice.queries import get_practice_info
from tests.support import builders, staff
from tests.support.portal_client import (
    ADDRESS,
    EMAIL_AND_PORTAL,
    PIN,
    choose_pin,
    enter_pin,
    invited,
    mailbox_server,
    open_link,
    sign_in_client,
    use_card,
    use_link,
)
from tests.support.staff import csrf

READ_PATHS = ["/portal", "/portal/privacy", "/portal/h/1", "/portal/h/1/reading-01.pdf"]


@pytest.fixture
def mailbox(app):
    with mailbox_server() as found:
        yield found


def text(page):
    return unescape(page.get_data(as_text=True))


def count_sessions(client_id):
    db.session.rollback()
    return db.session.scalar(
        sa.select(sa.func.count()).select_from(Session).where(Session.subject_id == client_id)
    )


def test_first_visit_by_mail_ends_at_the_reading_list(mailbox, coach, visitor):
    found = invited(coach, "Ines Okafor", safe=EMAIL_AND_PORTAL, address=ADDRESS)
    answer = use_link(visitor, mailbox.tokens()[0])
    assert (answer.status_code, answer.location) == (303, "/portal/pin")
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-reader=")
    assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))
    answer = choose_pin(visitor, found.start_code)
    assert (answer.status_code, answer.location) == (303, "/portal")
    answer = visitor.get("/portal")
    assert (answer.status_code, answer.location) == (303, "/portal/pin")
    assert visitor.get("/portal/pin").location == "/portal/first"
    first = visitor.get("/portal/first")
    assert "Leaving does not clear your history." in text(first)
    answer = visitor.post("/portal/first", data={"csrf_token": csrf(first)})
    assert (answer.status_code, answer.location) == (303, "/portal")
    page = visitor.get("/portal")
    assert page.status_code == 200
    assert "Hello Ines" in text(page)
    assert "Okafor" not in text(page)


def test_first_visit_page_is_shown_only_once(coach, app):
    visitor, found = sign_in_client(app, coach)
    assert visitor.get("/portal/first").location == "/portal"
    again = app.test_client()
    use_card(again, found.card_code)
    assert enter_pin(again).location == "/portal"
    assert again.get("/portal").status_code == 200


def test_link_opened_by_a_mail_scanner_still_works(mailbox, coach, app):
    found = invited(coach, safe=EMAIL_AND_PORTAL, address=ADDRESS)
    [token] = mailbox.tokens()
    scanner = app.test_client()
    for method in ("get", "head", "get", "get", "options"):
        answer = getattr(scanner, method)(f"/portal/enter/{token}")
        assert answer.status_code == (200 if method == "options" else 303)
        assert "__Host-reader" not in str(answer.headers.getlist("Set-Cookie"))
    assert count_sessions(found.client_id) == 0
    assert use_link(app.test_client(), token).location == "/portal/pin"


def test_link_page_is_the_same_for_unknown_links(mailbox, coach, visitor):
    invited(coach, safe=EMAIL_AND_PORTAL, address=ADDRESS)
    strange, known = (
        open_link(visitor, token) for token in ("nothing-at-all", mailbox.tokens()[0])
    )
    hidden = re.compile(r'value="[^"]+"')
    assert strange.status_code == known.status_code == 200
    assert hidden.sub("", text(strange)) == hidden.sub("", text(known))


def test_address_of_the_link_page_is_without_the_token(mailbox, coach, visitor):
    """A browser's history keeps the address that a redirect leads to, not the one that it comes from."""
    invited(coach, safe=EMAIL_AND_PORTAL, address=ADDRESS)
    [token] = mailbox.tokens()
    answer = visitor.get(f"/portal/enter/{token}")
    assert (answer.status_code, answer.location) == (303, "/portal/enter")
    page = visitor.get("/portal/enter")
    assert token not in text(page)
    assert "Open it now" in text(page)


def test_link_used_twice_starts_one_session(mailbox, coach, app):
    found = invited(coach, safe=EMAIL_AND_PORTAL, address=ADDRESS)
    [token] = mailbox.tokens()
    assert use_link(app.test_client(), token).status_code == 303
    second = use_link(app.test_client(), token)
    assert second.status_code == 401
    assert "no longer works" in text(second)
    assert count_sessions(found.client_id) == 1


def test_link_without_csrf_token_or_from_another_site_is_rejected(mailbox, coach, visitor):
    found = invited(coach, safe=EMAIL_AND_PORTAL, address=ADDRESS)
    [token] = mailbox.tokens()
    page = open_link(visitor, token)
    assert visitor.post("/portal/enter").status_code == 400
    assert count_sessions(found.client_id) == 0
    cross = {"Origin": "https://elsewhere.test", "Sec-Fetch-Site": "cross-site"}
    answer = visitor.post("/portal/enter", data={"csrf_token": csrf(page)}, headers=cross)
    assert answer.status_code == 400
    assert count_sessions(found.client_id) == 0


@pytest.mark.parametrize("address", [ADDRESS, "card@example.test", "nobody@example.test"])
def test_request_link_responds_the_same_for_every_address(mailbox, coach, visitor, address):
    invited(coach, safe=EMAIL_AND_PORTAL, address=ADDRESS)
    invited(coach, address="card@example.test")
    mailbox.taken.clear()
    page = visitor.get("/portal/sign-in")
    answer = visitor.post("/portal/sign-in", data={"csrf_token": csrf(page), "email": address})
    assert (answer.status_code, answer.location) == (303, "/portal/sign-in")
    assert "If we know that address" in text(visitor.get("/portal/sign-in"))
    outbox.sweep()
    assert [message["To"] for message in mailbox.messages()] == [ADDRESS] * (address == ADDRESS)


@pytest.mark.parametrize("address", ["", "ines", "ines@", "a b@example.test", "x" * 300])
def test_request_link_with_invalid_address_shows_error(coach, visitor, address):
    page = visitor.get("/portal/sign-in")
    answer = visitor.post("/portal/sign-in", data={"csrf_token": csrf(page), "email": address})
    assert answer.status_code == 422
    assert "email-e" in text(answer)


def test_request_link_too_often_returns_429_with_retry_after(coach, visitor):
    page = visitor.get("/portal/sign-in")
    form = {"csrf_token": csrf(page), "email": ADDRESS}
    statuses = [visitor.post("/portal/sign-in", data=form).status_code for _ in range(5)]
    assert statuses == [303] * 4 + [429]
    assert int(visitor.post("/portal/sign-in", data=form).headers["Retry-After"]) > 0


def test_card_typed_in_any_form_works_repeatedly(coach, app):
    found = invited(coach)
    for code in (found.card_code, found.card_code.lower(), found.card_code.replace("-", " ")):
        assert use_card(app.test_client(), code).location == "/portal/pin"
    wrong = use_card(app.test_client(), "2222-2222-2222-2222")
    assert wrong.status_code == 401


@pytest.mark.parametrize("path", READ_PATHS)
def test_portal_pages_without_session_redirect_to_sign_in(app, visitor, path):
    answer = visitor.get(path)
    assert (answer.status_code, answer.location) == (303, "/portal/sign-in")
    assert visitor.head(path).status_code == 303


@pytest.mark.parametrize("path", READ_PATHS)
def test_portal_pages_before_the_pin_redirect_to_it(coach, app, visitor, path):
    found = invited(coach)
    use_card(visitor, found.card_code)
    assert visitor.get(path).location == "/portal/pin"
    choose_pin(visitor, found.start_code)
    assert visitor.get(path).location == "/portal/pin"
    again = app.test_client()
    use_card(again, found.card_code)
    assert again.get(path).location == "/portal/pin"


def test_every_portal_view_requires_a_complete_session(app):
    open_to_all = {
        "portal_sign_in.sign_in_page",
        "portal_sign_in.request_link",
        "portal_sign_in.enter_pin",
        "portal_sign_in.use_card",
        "portal_sign_in.follow_link",
        "portal_sign_in.link_page",
        "portal_sign_in.use_link",
        "portal_safety.safety_page",
        "portal_safety.quick_exit",
    }
    during_sign_in = {
        "portal_sign_in.pin_page",
        "portal_sign_in.submit_pin",
        "portal_sign_in.first_visit_page",
        "portal_sign_in.finish_first_visit",
        "portal_sign_in.sign_out",
        "portal_session_time.look",
        "portal_session_time.stay",
    }
    complete = {
        *("portal.read", "portal.mark", "portal.write", "device.manage"),
        *("pin.change", "form.draft"),
    }
    for endpoint, view in app.view_functions.items():
        if endpoint.startswith("portal_") and endpoint not in open_to_all | during_sign_in:
            assert view.action in complete, endpoint


def test_mark_read_before_the_pin_is_forbidden(coach, visitor):
    found = invited(coach)
    use_card(visitor, found.card_code)
    page = visitor.get("/portal/pin")
    answer = visitor.post("/portal/h/1/read", data={"csrf_token": csrf(page)})
    assert answer.status_code == 403


@pytest.mark.slow
def test_wrong_pin_says_when_the_next_try_is_due_but_no_digits(coach, app):
    _, found = sign_in_client(app, coach)
    visitor = app.test_client()
    use_card(visitor, found.card_code)
    for _ in range(5):
        answer = enter_pin(visitor, "777777")
        assert answer.status_code == 422
        assert "777777" not in text(answer)
    assert "You can try again in 60 seconds." in text(answer)
    waiting = enter_pin(visitor)
    assert waiting.status_code == 429
    assert 0 < int(waiting.headers["Retry-After"]) <= 60
    assert "You can try again in" in text(waiting)
    assert "Everything you’ve written is still saved" in text(waiting)
    assert f"tel:{get_practice_info().help_lines.emergency.phone}" in text(waiting)


@pytest.mark.slow
def test_browser_that_was_in_before_is_not_held_up_and_keeps_no_trace(coach, app):
    visitor, found = sign_in_client(app, coach)
    cookie = visitor.get_cookie("__Host-device")
    assert (cookie.max_age, cookie.expires) == (None, None)
    assert cookie.http_only
    assert cookie.secure
    stranger = app.test_client()
    use_card(stranger, found.card_code)
    with at(now()):
        assert [enter_pin(stranger, "777777").status_code for _ in range(6)] == [422] * 5 + [429]
        visitor.delete_cookie("__Host-reader")
        use_card(visitor, found.card_code)
        assert enter_pin(visitor).status_code == 303
    page = text(visitor.get("/portal/privacy"))
    assert "In the last 30 days 5 wrong PINs or start codes were entered" in page
    assert "Before now, this list was last open on" in page


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"pin": "123456", "again": "123456"}, "pin"),
        ({"again": "482914"}, "again"),
        ({"start_code": ""}, "start_code"),
        ({"start_code": "2222-2222"}, "start_code"),
        ({"extra": "1"}, "extra"),
    ],
)
def test_first_pin_with_invalid_field_shows_the_error_there(coach, visitor, change, field):
    found = invited(coach)
    use_card(visitor, found.card_code)
    page = visitor.get("/portal/pin")
    data = {"csrf_token": csrf(page), "start_code": found.start_code, "pin": PIN, "again": PIN}
    answer = visitor.post("/portal/pin", data=data | change)
    assert answer.status_code == 422
    assert f"#{field}" in text(answer)
    assert PIN not in text(answer)
    assert find_portal_access(found.client_id).pin_hash is None


def test_session_reference_changes_after_the_pin(coach, visitor):
    found = invited(coach)
    before = use_card(visitor, found.card_code).headers["Set-Cookie"].split(";")[0]
    after = choose_pin(visitor, found.start_code).headers["Set-Cookie"].split(";")[0]
    assert before != after
    visitor.delete_cookie("__Host-reader")
    visitor.set_cookie("__Host-reader", before.partition("=")[2])
    assert visitor.get("/portal/pin").location == "/portal/sign-in"


def test_sign_out_ends_the_session(coach, app):
    visitor, _ = sign_in_client(app, coach)
    cookie = visitor.get_cookie("__Host-reader").value
    answer = visitor.post("/portal/sign-out", data={"csrf_token": csrf(visitor.get("/portal"))})
    assert (answer.status_code, answer.location) == (303, "/portal/sign-in")
    assert visitor.get_cookie("__Host-reader") is None
    visitor.set_cookie("__Host-reader", cookie)
    assert visitor.get("/portal").location == "/portal/sign-in"


def test_post_only_addresses_reject_get(app, visitor):
    for path in ("/portal/sign-out", "/portal/card", "/portal/h/1/read"):
        answer = visitor.get(path)
        assert answer.status_code == 405
        assert "POST" in answer.headers["Allow"]


def test_new_invitation_ends_open_sessions(coach, app):
    visitor, found = sign_in_client(app, coach)
    with transaction():
        portal_codes.invite_client(coach, lock_client(coach, found.client_id), "known")
    assert visitor.get("/portal").location == "/portal/sign-in"


def test_staff_and_client_sessions_are_not_interchangeable(coach, app):
    visitor, _ = sign_in_client(app, coach)
    reader = visitor.get_cookie("__Host-reader").value
    staff_client = app.test_client()
    staff.sign_in(staff_client, coach)
    key = staff_client.get_cookie("__Host-desk").value
    staff_client.set_cookie("__Host-reader", key)
    assert staff_client.get("/portal").location == "/portal/sign-in"
    visitor.set_cookie("__Host-desk", reader)
    assert visitor.get("/today").location == "/sign-in"
    assert visitor.get("/api/v1/me", headers={"Authorization": f"Bearer {reader}"}).status_code in {
        401,
        404,
    }


def test_addresses_in_mail_and_on_cards_are_routes(app):
    routes = app.url_map.bind("localhost")
    for address in (urls.portal_url(), urls.portal_link_url("token")):
        assert routes.match(address.removeprefix("http://127.0.0.1:8000"))


def test_request_link_with_forged_host_mails_the_real_one(mailbox, coach, visitor):
    invited(coach, safe=EMAIL_AND_PORTAL, address=ADDRESS)
    page = visitor.get("/portal/sign-in")
    visitor.post(
        "/portal/sign-in",
        data={"csrf_token": csrf(page), "email": ADDRESS},
        headers={"Host": "evil.test", "X-Forwarded-Host": "evil.test"},
    )
    outbox.sweep()
    assert all("evil.test" not in message.as_string() for message in mailbox.messages())


def test_client_without_a_case_can_sign_in(coach, app):
    client_id = builders.client(coach)
    with transaction():
        found = portal_codes.invite_client(coach, lock_client(coach, client_id))
    visitor = app.test_client()
    use_card(visitor, found.card_code)
    choose_pin(visitor, found.start_code)
    visitor.post("/portal/first", data={"csrf_token": csrf(visitor.get("/portal/first"))})
    page = visitor.get("/portal")
    assert page.status_code == 200
    assert "Nothing to read right now" in text(page)
