"""One's own account: the page, its forms, and that no secret is kept or shown again."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from caseapp.core.actor import operator
from caseapp.core.clock import at, now
from caseapp.core.errors import Unauthenticated
from caseapp.core.sessions import end_all_sessions
from caseapp.core.transaction import transaction
from caseapp.domain.auth.operations import make_own_token, reset_password
from caseapp.domain.auth.queries import find_staff_session, find_token, list_tokens
from caseapp.domain.auth.schemas import NewToken
from caseapp.domain.form_drafts.queries import list_form_drafts
from tests.support import staff
from tests.support.staff_pages import StaffBrowser

PASSWORD_FORM, SESSION_FORM = "/account/password", "/account/sessions/end"
NEW = "another good pass phrase"


@pytest.fixture(params=["coach", "supervisor", "admin"])
def browser(app, request):
    return StaffBrowser(app, staff.add(request.param))


@pytest.fixture
def own(app):
    return StaffBrowser(app, staff.add("coach"))


def test_everybody_on_the_staff_reaches_their_account(browser):
    assert 'href="/account"' in browser.text("/today")
    assert "This browser" in browser.text("/account")


def test_password_is_changed_and_other_browsers_are_signed_out(app, own):
    other = StaffBrowser(app, own.actor)
    answer = own.send("/account", PASSWORD_FORM, password=staff.PASSWORD, new_password=NEW)
    assert (answer.status_code, answer.location) == (303, "/account")
    assert "Password changed." in own.text("/account")
    assert other.get("/account").location == "/sign-in"
    page = other.get("/sign-in")
    fields = {"csrf_token": staff.csrf(page), "email": "coach@practice.test", "password": NEW}
    assert other.post("/sign-in", fields).status_code == 303


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"password": "wrong"}, "That isn’t your current password."),
        ({"new_password": "too short"}, "Use 15 characters or more"),
        ({"new_password": "qwertyuiopasdfgh"}, "harder to guess"),
        ({"new_password": ""}, "Fill this in."),
    ],
)
def test_refused_change_says_why_and_shows_no_password_again(own, changed, told):
    fields = {"password": staff.PASSWORD, "new_password": NEW} | changed
    answer = own.send("/account", PASSWORD_FORM, **fields)
    text = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert told in text
    assert not any(f'value="{secret}"' in text for secret in fields.values() if secret)


@pytest.mark.slow
def test_tries_are_counted(own):
    fields = {"password": "wrong", "new_password": NEW}
    with at(now()):
        codes = [own.send("/account", PASSWORD_FORM, **fields).status_code for _ in range(12)]
    assert codes == [422] * 10 + [429] * 2


def test_password_of_an_ended_session_is_not_kept(own):
    form = own.form("/account", PASSWORD_FORM)
    with transaction():
        end_all_sessions(own.actor.id)
    answer = own.post(PASSWORD_FORM, form.fields | {"password": "first", "new_password": "second"})
    assert answer.status_code == 303
    [words] = list_form_drafts(own.actor.id, "/account").values()
    # The form's key, which says where it stands.
    assert words.words.keys() == {"form_key"}


def test_script_keeps_no_password_either(own):
    form = own.form("/account", PASSWORD_FORM)
    fields = form.fields | {"password": "first", "new_password": "second"}
    assert own.post("/drafts", fields).status_code == 204
    text = own.text("/account")
    assert "first" not in re.findall(r'value="([^"]*)"', text)
    assert 'value="second"' not in text


def test_sessions_are_listed_and_ended(app, own):
    other = StaffBrowser(app, own.actor)
    text = own.text("/account")
    ids = re.findall(r'name="session_id" value="([^"]+)"', text)
    assert len(ids) == 2
    assert text.count("This browser") == text.count("Another browser") == 1
    foreign = next(
        id_ for id_ in ids if "and sign out" not in text.split(id_, 1)[1].split("</button>")[0]
    )
    answer = own.send("/account", SESSION_FORM, session_id=foreign)
    assert (answer.status_code, answer.location) == (303, "/account")
    assert "Session ended." in own.text("/account")
    assert other.get("/account").location == "/sign-in"


def test_ending_the_session_of_this_browser_signs_out(own):
    [id_] = re.findall(r'name="session_id" value="([^"]+)"', own.text("/account"))
    answer = own.send("/account", SESSION_FORM, session_id=id_)
    assert own.get(answer.location).location == "/sign-in"


def test_session_of_somebody_else_is_not_ended(app, own):
    other = StaffBrowser(app, staff.add("coach2"))
    [id_] = re.findall(r'name="session_id" value="([^"]+)"', other.text("/account"))
    assert own.send("/account", SESSION_FORM, session_id=id_).status_code == 404
    assert other.get("/account").status_code == 200


MAKE, REVOKE = "/account/tokens", "/account/tokens/revoke"
WANTED = {"token_name": "Calendar", "token_scopes": ["clients:read"], "token_days": "30"}


def test_token_is_made_shown_once_listed_and_revoked(own):
    page = own.text("/account")
    assert "Read clients, cases and notes" in page
    # An admin's alone.
    assert "Read the audit log" not in page
    shown = own.send("/account", MAKE, **WANTED)
    assert shown.status_code == 200
    text = re.search(r'<p class="code">([^<]+)</p>', shown.get_data(as_text=True))[1]
    found = find_token(text)
    assert (found.actor.id, found.actor.scopes) == (own.actor.id, frozenset({"clients:read"}))
    page = own.text("/account")
    assert "Calendar" in page
    assert "clients:read. Until" in page
    assert text not in page
    answer = own.send("/account", REVOKE, token_id=str(found.token_id))
    assert (answer.status_code, answer.location) == (303, "/account")
    assert "Token revoked." in own.text("/account")
    assert "Calendar" not in own.text("/account")
    assert find_token(text) is None


def test_token_needs_a_name_scopes_and_a_lifetime(own):
    for field, wrong, told in (
        ("token_name", " ", "Enter what the token is for."),
        ("token_scopes", [], "Choose what it may do."),
        ("token_scopes", ["token:write"], "Choose what it may do."),
        ("token_days", "400", "Choose how long it lasts."),
    ):
        answer = own.send("/account", MAKE, **(WANTED | {field: wrong}))
        assert answer.status_code == 422
        assert told in answer.get_data(as_text=True)
    assert list_tokens(own.actor.id) == []


def test_making_a_token_asks_who_one_is_after_five_minutes(own):
    with at(now() + timedelta(minutes=6)):
        assert own.send("/account", MAKE, **WANTED).status_code == 403
    assert list_tokens(own.actor.id) == []


def test_no_token_is_made_in_a_session_that_a_new_password_has_ended(own):
    session = find_staff_session(own.browser.get_cookie("__Host-desk").value).actor
    with transaction():
        reset_password(operator(), "coach@practice.test", NEW)
    with pytest.raises(Unauthenticated), transaction():
        make_own_token(session, NewToken("Calendar", ["clients:read"], 30))
