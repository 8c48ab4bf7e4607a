"""Setting up a second factor, signing in with it, and being led to it where the practice requires it."""

from __future__ import annotations

import re

import pytest
import sqlalchemy as sa

from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.transaction import transaction
from caseapp.core.vault import open_token
from caseapp.domain.auth.queries import find_staff_session
from caseapp.domain.keys.queries import get_ring_key
from caseapp.domain.practice.models import Practice
from caseapp.web.second_factor import NEEDED
from tests.domain.auth.test_second_factor import HALF_A_MINUTE
from tests.support import staff
from tests.support.staff_pages import StaffBrowser, read_forms

PAGE = "/account/second-factor"


@pytest.fixture
def own(app):
    return StaffBrowser(app, staff.add("coach"))


def require_of(*roles):
    with transaction():
        db.session.execute(sa.update(Practice).values(second_factor_roles=[*roles]))


def set_up(own):
    """Give the person of a browser the sample app; return their recovery codes."""
    cookie = own.browser.get_cookie("__Host-desk")
    return staff.set_up_app(find_staff_session(cookie.value).actor)


def sign_in(visitor, address="/sign-in"):
    fields = {"email": "coach@practice.test", "password": staff.PASSWORD}
    return visitor.post(address, data={"csrf_token": staff.csrf(visitor.get(address)), **fields})


@pytest.mark.slow
def test_app_is_set_up_and_recovery_codes_are_shown_once(own, monkeypatch):
    monkeypatch.setattr("caseapp.domain.auth.second_factor.new_secret", lambda: staff.APP_SECRET)
    assert "<svg" in own.text(PAGE)
    wrong = own.send(PAGE, factor_code="000000")
    assert wrong.status_code == 422
    form = own.form(PAGE)
    sent = form.fields | {"factor_code": staff.code()}
    answer = own.post(form.action, sent)
    codes = re.findall(r'<li class="code num">([A-Z2-9-]+)</li>', answer.get_data(as_text=True))
    assert (answer.status_code, len(codes)) == (200, 10)
    text = own.text(PAGE)
    assert "10 of 10 recovery codes" in text
    assert not any(code in text for code in codes)
    # A double click: the answer to the second one is what the browser shows.
    again = own.post(form.action, sent)
    assert again.location == PAGE
    assert "The codes are shown only once" in own.text(PAGE)
    assert "codes from an app" in own.text("/account")


def test_refused_set_up_keeps_the_secret_of_the_page(own, app):
    first = own.form(PAGE)
    answer = own.post(PAGE, first.fields | {"factor_code": "000000"})
    again = re.search(r'name="factor_secret" value="([^"]+)"', answer.get_data(as_text=True))[1]
    key = get_ring_key("credentials").derive("offer")
    purpose = f"factor\x1f{own.actor.id.hex}"
    assert open_token(again, purpose, key) == open_token(
        first.fields["factor_secret"][0], purpose, key
    )


def test_sign_in_asks_for_a_code_and_goes_on_where_it_was_meant_to(own, app, visitor):
    set_up(own)
    with at(now() + HALF_A_MINUTE):
        answer = sign_in(visitor, "/sign-in?next=/handouts")
        assert answer.location == "/sign-in/code?next=/handouts"
        for page in ("/today", "/account", PAGE):
            assert visitor.get(page).location == "/sign-in"
        assert visitor.get("/sign-in").location == "/sign-in/code"
        token = staff.csrf(visitor.get(answer.location))
        wrong = visitor.post(answer.location, data={"csrf_token": token, "code": "000000"})
        assert wrong.status_code == 422
        assert "000000" not in wrong.get_data(as_text=True)
        done = visitor.post(answer.location, data={"csrf_token": token, "code": staff.code()})
        assert (done.status_code, done.location) == (303, "/handouts")
        assert visitor.get("/account").status_code == 200


def test_recovery_code_signs_in_once(own, app):
    codes = set_up(own)
    for status in (303, 422):
        visitor = app.test_client()
        sign_in(visitor)
        token = staff.csrf(visitor.get("/sign-in/code"))
        done = visitor.post("/sign-in/code", data={"csrf_token": token, "code": codes[0]})
        assert done.status_code == status


def test_codes_are_counted(own, visitor):
    set_up(own)
    sign_in(visitor)
    data = {"csrf_token": staff.csrf(visitor.get("/sign-in/code")), "code": "000000"}
    with at(now()):
        codes = [visitor.post("/sign-in/code", data=data).status_code for _ in range(12)]
    assert codes == [422] * 10 + [429] * 2


def test_somebody_else_can_sign_in_instead(own, visitor):
    set_up(own)
    sign_in(visitor)
    token = staff.csrf(visitor.get("/sign-in/code"))
    assert visitor.post("/sign-in/again", data={"csrf_token": token}).location == "/sign-in"
    assert visitor.get("/sign-in").status_code == 200
    assert visitor.get("/sign-in/code").location == "/sign-in"


def test_whoever_must_have_one_is_led_to_it_first(own):
    require_of("coach")
    for page in ("/today", "/account", "/cases"):
        assert own.get(page).location == PAGE
    assert "Required for your role" in own.text(PAGE)
    refused = own.post("/handouts/search", {"csrf_token": own.form(PAGE).fields["csrf_token"]})
    assert refused.status_code in {404, 405, 409}
    form = own.form(PAGE, "/sign-out")
    assert own.post("/sign-out", form.fields).location == "/sign-in"


@pytest.mark.slow
def test_page_on_which_the_first_one_is_set_up_reaches_all_that_it_uses(own):
    require_of("coach")
    form = own.form(PAGE, f"{PAGE}/passkeys")
    kept = own.post("/drafts", form.fields | {"passkey_name": "Work laptop"})
    assert kept.status_code == 204
    text = own.text(PAGE)
    used = {one.action for one in read_forms(text, PAGE) if one.method == "post"}
    used |= set(re.findall(r'data-(?:draft|session)="([^"]+)"', text))
    used.remove("/sign-out")
    assert {"/drafts", "/drafts/discard", "/session", f"{PAGE}/passkeys"} <= used
    for address in sorted(used):
        assert str(NEEDED.message) not in own.post(address, form.fields).get_data(as_text=True)


@pytest.mark.slow
def test_whoever_has_one_or_needs_none_goes_on(own):
    require_of("supervisor", "admin")
    assert own.get("/today").status_code == 200
    set_up(own)
    require_of("coach")
    assert own.get("/today").status_code == 200


def test_practice_says_who_must_have_one(app):
    admin = StaffBrowser(app, staff.add("admin"))
    answer = admin.send("/settings", second_factor_roles=["coach"])
    assert answer.status_code == 303
    assert db.session.scalar(sa.select(Practice.second_factor_roles)) == ["coach"]
    assert admin.get("/today").status_code == 200
