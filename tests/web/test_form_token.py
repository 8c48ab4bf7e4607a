"""The CSRF token is renewed whenever somebody signs in or confirms who they are: one known before is worth nothing."""

from __future__ import annotations

import pytest

from caseapp.core.clock import at, now
from caseapp.core.sessions import end_all_sessions
from caseapp.core.transaction import transaction
from caseapp.domain.auth.rules import CONFIRM_AFTER
from tests.support import builders, portal_client, staff
from tests.support.staff_pages import forms_in

pytestmark = pytest.mark.slow
SNIPPETS = "/account/snippets"
WORDS = {"title": "Sleep", "text": "Slept six hours, as before."}


def open_form(visitor, path, action=None):
    return forms_in(visitor.get(path).get_data(as_text=True), path, action)[0].fields


def is_worthless(visitor, token):
    """Tell whether a form with this token changes nothing, which the form as it is now does."""
    fields = open_form(visitor, SNIPPETS) | WORDS
    refused = visitor.post(SNIPPETS, data=fields | {"csrf_token": token})
    assert visitor.post(SNIPPETS, data=fields).status_code == 303
    return refused.status_code == 400


def test_token_from_before_the_password_the_code_or_the_confirmation_is_worthless(
    app, team, visitor
):
    coach = team["coach"]
    tokens = [staff.csrf(visitor.get("/sign-in"))]
    staff.sign_in(visitor, coach)
    assert is_worthless(visitor, tokens[0])
    staff.set_up_app(coach)
    other, start = app.test_client(), now()
    answer = staff.sign_in(other, coach)
    tokens = [staff.csrf(other.get(answer.location))]
    staff.enter_code(other, answer.location)
    assert is_worthless(other, tokens[0])
    note = f"/note/{builders.note(coach, builders.case(coach).case_id)}/addendum"
    with at(start + 2 * CONFIRM_AFTER):
        form = open_form(other, note)
        added = form | {"kind": "addition", "text": "She rang.", "check": None}
        asked = other.post(note, data={name: v for name, v in added.items() if v is not None})
        assert asked.status_code == 403
        confirm = forms_in(asked.get_data(as_text=True), note)[0].fields
        # A wrong text keeps the token; a right one renews it, also where the form is refused after it.
        wrong = other.post(note, data=confirm | {"confirm_password": "000000"})
        confirm = forms_in(wrong.get_data(as_text=True), note)[0].fields
        right = confirm | {"confirm_password": staff.code(), "text": ""}
        refused = other.post(note, data=right)
        assert refused.status_code == 422
        again = forms_in(refused.get_data(as_text=True), note)[0].fields
        assert is_worthless(other, form["csrf_token"])
        done = other.post(note, data=again | {"text": "She rang."})
        assert done.status_code == 303


def test_form_of_a_tab_from_before_signing_in_again_says_so_and_keeps_what_was_typed(team, visitor):
    staff.sign_in(visitor, team["coach"])
    tab = open_form(visitor, SNIPPETS)
    with transaction():
        end_all_sessions(team["coach"].id)
    staff.sign_in(visitor, team["coach"])
    answer = visitor.post(SNIPPETS, data=tab | WORDS)
    shown = answer.get_data(as_text=True)
    assert answer.status_code == 400
    assert "from before you last signed in" in shown
    assert WORDS["text"] in shown
    again = forms_in(shown, SNIPPETS)[0].fields
    assert again["text"] == [WORDS["text"]]
    assert visitor.post(SNIPPETS, data=again).status_code == 303
    assert WORDS["text"] in visitor.get(SNIPPETS).get_data(as_text=True)
    # A script of that tab gets the new token, which it sends again.
    script = {"headers": {"X-Requested-With": "draft"}}
    told = visitor.post("/drafts", data=tab | WORDS, **script)
    assert (told.status_code, told.get_json()["code"]) == (400, "form_expired")
    token = told.get_json()["csrf_token"]
    kept = visitor.post("/drafts", data=tab | WORDS | {"csrf_token": token}, **script)
    assert kept.status_code == 204


def test_token_from_before_the_clients_pin_is_worthless(team, visitor):
    found = portal_client.invited(team["coach"])
    tokens = [staff.csrf(visitor.get("/portal/sign-in"))]
    portal_client.use_card(visitor, found.card_code)
    tokens.append(staff.csrf(visitor.get("/portal/pin")))
    portal_client.choose_pin(visitor, found.start_code)
    page = visitor.get("/portal/first")
    for token in tokens:
        assert visitor.post("/portal/first", data={"csrf_token": token}).status_code == 400
    sent = {"csrf_token": staff.csrf(page)}
    assert visitor.post("/portal/first", data=sent).status_code == 303
