"""Passkeys in the browser: added, signing in, after the password, before a change, and removed."""

from __future__ import annotations

import html
import re
from datetime import timedelta

import pytest

from caseapp.core.clock import at, now
from caseapp.domain.auth.passkeys import list_passkeys
from caseapp.domain.auth.second_factor import has_second_factor
from tests.support import staff
from tests.support.authenticator import Authenticator
from tests.support.staff_pages import StaffBrowser

pytestmark = pytest.mark.both

PAGE = "/account/second-factor"
ADD = f"{PAGE}/passkeys"
SECOND = timedelta(seconds=1)


@pytest.fixture
def own(app, named_site):
    return StaffBrowser(app, staff.add("coach"))


def asked_in(answer):
    """Return what a page asks of a passkey."""
    found = re.search(r'data-passkey="([^"]+)"', answer.get_data(as_text=True))
    return html.unescape(found[1])


def add(own, device, name="Work laptop"):
    page = own.get(PAGE)
    fields = {"passkey_name": name, "passkey_answer": device.make(asked_in(page))}
    return own.post(ADD, own.form(PAGE, ADD).fields | fields)


@pytest.mark.slow
def test_passkey_is_added_named_listed_and_removed(own):
    device = Authenticator()
    answer = add(own, device)
    assert answer.get_data(as_text=True).count('<li class="code num">') == 10
    text = own.text(PAGE)
    assert "Work laptop" in text
    assert "You can set up an app instead." in text
    refused = add(own, device, "Again")
    assert refused.status_code == 422
    assert "already been added" in refused.get_data(as_text=True)
    assert "Again" in refused.get_data(as_text=True)
    (row,) = list_passkeys(own.actor.id)
    form = own.form(PAGE, f"{ADD}/remove")
    assert own.post(form.action, form.fields | {"passkey_id": str(row.id)}).location == PAGE
    assert not has_second_factor(own.actor.id)


def test_passkey_alone_signs_in_and_goes_on(own, visitor):
    device = Authenticator()
    add(own, device)
    address = "/sign-in/passkey?next=/handouts"
    with at(now() + SECOND):
        page = visitor.get("/sign-in?next=/handouts")
        assert f'action="{address}"' in page.get_data(as_text=True)
        fields = {"csrf_token": staff.csrf(page), "answer": device.show(asked_in(page))}
        done = visitor.post(address, data=fields)
        assert (done.status_code, done.location) == (303, "/handouts")
        assert visitor.get("/account").status_code == 200
        visitor.delete_cookie("__Host-desk")
        fields["csrf_token"] = staff.csrf(visitor.get("/sign-in"))
        again = visitor.post(address, data=fields)
        assert again.status_code == 401
        assert "wasn’t accepted" in again.get_data(as_text=True)


def test_passkey_completes_a_sign_in_with_the_password(own, visitor):
    device = Authenticator()
    add(own, device)
    with at(now() + SECOND):
        assert staff.sign_in(visitor, own.actor).location == "/sign-in/code"
        page = visitor.get("/sign-in/code")
        fields = {"csrf_token": staff.csrf(page), "code": Authenticator().show(asked_in(page))}
        assert visitor.post("/sign-in/code", data=fields).status_code == 422
        fields["code"] = device.show(asked_in(page))
        assert visitor.post("/sign-in/code", data=fields).location == "/today"


@pytest.mark.slow
def test_passkey_confirms_a_change(own):
    device = Authenticator()
    add(own, device)
    form = own.form(PAGE, f"{PAGE}/recovery-codes")
    with at(now() + timedelta(minutes=6)):
        page = own.post(form.action, form.fields)
        assert page.status_code == 403
        shown = device.show(asked_in(page))
        sent = own.post(form.action, form.fields | {"confirm_password": shown})
        assert sent.get_data(as_text=True).count('<li class="code num">') == 10


def test_address_that_is_a_number_says_so(app):
    own = StaffBrowser(app, staff.add("coach"))
    assert "Passkeys don’t work here" in own.text(PAGE)
    assert "data-passkey" not in own.text(PAGE)
