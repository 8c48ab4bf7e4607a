"""Every form before whose action people confirm who they are: asked after five minutes, kept, and sent on once."""

from __future__ import annotations

import ast
from dataclasses import fields
from datetime import timedelta
from pathlib import Path

import pytest
from flask import redirect

from caseapp.core.clock import at, now
from caseapp.core.ids import new_id
from caseapp.core.permissions import CONFIRMED_ACTIONS, Action
from caseapp.domain.auth.rules import CONFIRM_AFTER
from caseapp.domain.auth.second_factor import has_second_factor
from caseapp.domain.screening import operations
from caseapp.domain.screening.events import FACTS, RecordedEvent
from caseapp.domain.screening.records import Hold
from caseapp.domain.screening.state import change_holds
from caseapp.http.forms import Done, PostRoute
from caseapp.http.guard import iter_routes
from caseapp.http.interfaces import Interface
from caseapp.http.sessions import COOKIES
from tests.guarantees.form_cases import fails, load_nothing, open_sample
from tests.guarantees.form_steps import REACHED_BY
from tests.guarantees.test_downloads import FETCHED
from tests.guarantees.test_forms import FORMS
from tests.support import staff
from tests.support.staff_pages import forms_in

pytestmark = [pytest.mark.both, pytest.mark.slow]

CONFIRMED = {name: form for name, form in FORMS.items() if form.action in CONFIRMED_ACTIONS}
HOLD = Hold(new_id(), new_id(), "safety", now(), new_id(), [], 1, 1)
A_MOMENT = timedelta(seconds=1)
DESK = "__Host-desk"


def test_every_change_of_the_pages_that_asks_for_it_is_a_declared_form(session_app):
    """A view that no form declares would be asked nothing; programs come with tokens, and are never asked."""
    posts = {
        rule.endpoint
        for rule, method, view in iter_routes(session_app)
        if method not in {"GET", "HEAD"}
        and getattr(view, "action", None) in CONFIRMED_ACTIONS
        and not rule.rule.startswith("/api/")
    }
    assert posts == CONFIRMED.keys()


def test_signing_releasing_exporting_and_settings_are_among_them():
    assert CONFIRMED.keys() >= {
        "notes.sign",
        "note_moves.move",
        "addenda.amend",
        "cosigning.cosign",
        "left_drafts.file",
        "holds.release",
        "holds.release_named",
        "screenings.correct",
        "reports.create_report",
        "reports.download",
        "briefs.download",
        "copies.download_copy",
        "settings.save_practice",
        "settings.save_alerts",
    }


# Files that a page gives without asking: each is one sheet, or sheets of the library that were chosen for the printer.
# Whatever holds records of a whole case or of several clients is a declared form of an action that asks.
GIVEN_UNASKED = {
    "GET /case/<string:number>/handouts/<uuid:assignment_id>/pdf",
    "GET /case/<string:number>/handouts/<uuid:assignment_id>/answers.pdf",
    "GET /case/<string:number>/handouts/<uuid:assignment_id>/files/<uuid:upload_id>",
    "GET /case/<string:number>/handouts/reading-all.pdf",
    "GET /case/<string:number>/plan/<uuid:plan_id>/plan.pdf",
    "GET /handouts/<string:slug>/pdf",
}


def test_no_file_with_records_of_many_is_given_unasked():
    """`FETCHED` has every address that gives a file, as a walk over all of them shows."""
    of_pages = {name for name in FETCHED if not name.startswith(("GET /api/", "GET /portal/"))}
    assert of_pages == GIVEN_UNASKED


def ends_hold(kind):
    """Tell whether a fact about an open hold ends it."""
    given: dict[str, object] = {
        each.name: [] if each.name == "reasons" else HOLD.id for each in fields(kind)
    }
    event = RecordedEvent(new_id(), HOLD.client_id, 2, now(), new_id(), kind(**given))
    return change_holds({HOLD.id: HOLD}, event)[HOLD.id].released_at is not None


def test_every_operation_that_ends_a_hold_asks_for_it():
    """Found by the facts that end one, and by what the functions that build such a fact require first."""
    about_holds = [kind for kind in FACTS.values() if "hold_id" in kind.__dataclass_fields__]
    ending = {kind.__name__ for kind in about_holds if ends_hold(kind)}
    found = {}
    for path in Path(operations.__file__).parent.glob("*.py"):
        for function in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(function, ast.FunctionDef):
                continue
            calls = [call for call in ast.walk(function) if isinstance(call, ast.Call)]
            if ending & {ast.unparse(call.func) for call in calls}:
                found[function.name] = {
                    Action[ast.unparse(call.args[1]).removeprefix("Action.")]
                    for call in calls
                    if ast.unparse(call.func) == "require"
                }
    assert ending == {"HoldReleased", "HoldInError"}
    assert found == {
        "release_hold": {Action.HOLD_RELEASE},
        "mark_in_error": {Action.SCREENING_CORRECT},
    }
    assert set().union(*found.values()) <= CONFIRMED_ACTIONS


def confirmation_in(answer, sample):
    """Return the form of the page that asks for the password."""
    return forms_in(answer.get_data(as_text=True), sample.page, sample.button)[0]


@pytest.mark.parametrize("name", sorted(CONFIRMED))
def test_form_is_asked_kept_and_sent_on_once(world, name, monkeypatch):
    REACHED_BY.get(name, lambda _world: None)(world)
    route = FORMS[name]
    sample = open_sample(world, route)
    browser, start = world.browsers[sample.who], now()
    made = []

    def change(*given):
        made.append(given[-1].fields)
        return redirect("/today", 303) if isinstance(route, PostRoute) else Done("/today")

    monkeypatch.setattr(route, "body", load_nothing)
    monkeypatch.setattr(route, "change", change)
    with at(start + CONFIRM_AFTER + A_MOMENT):
        asked = sample.send()
        assert (asked.status_code, made) == (403, [])
        form = confirmation_in(asked, sample)
        sent = sample.form.fields | {field: [text] for field, text in sample.typed.items()}
        kept = {field: texts for field, texts in form.fields.items() if field in sent}
        assert kept | {"csrf_token": ""} == sent | {"csrf_token": ""}
        # Who goes back without sending finds the words in their form.
        assert sample.lost(browser.get(sample.page)) == []
        wrong = browser.post(sample.button, data=form.fields | {"confirm_password": "wrong"})
        assert (wrong.status_code, made) == (422, [])
        assert "wrong" not in confirmation_in(wrong, sample).fields["confirm_password"]
        before = browser.get_cookie(DESK).value
        shown = staff.code() if has_second_factor(sample.person_id) else staff.PASSWORD
        right = form.fields | {"confirm_password": shown}
        done = browser.post(sample.button, data=right)
        assert (done.status_code, done.location, len(made)) == (303, "/today", 1)
        assert {field: made[0].getlist(field) for field in made[0]} | {"csrf_token": ""} == (
            sent | {"csrf_token": ""}
        )
        assert browser.get_cookie(DESK).value != before
    with at(start + 2 * CONFIRM_AFTER):
        again = open_sample(world, route)
        assert again.send().status_code == 303


def test_form_within_five_minutes_is_not_asked(world, monkeypatch):
    route = FORMS["settings.save_practice"]
    sample, start = open_sample(world, route), now()
    monkeypatch.setattr(route, "body", load_nothing)
    monkeypatch.setattr(route, "change", lambda *_given: Done("/today"))
    with at(start + CONFIRM_AFTER):
        assert sample.send().status_code == 303


def test_form_of_somebody_else_shows_no_word_of_theirs(world, monkeypatch):
    route = FORMS["settings.save_practice"]
    sample, start = open_sample(world, route), now()
    monkeypatch.setattr(route, "change", fails(AssertionError("nothing may change")))
    staff.add("admin2", role="admin")
    other = world.app.test_client()
    token = staff.csrf(other.get("/sign-in"))
    fields = {"csrf_token": token, "email": "admin2@practice.test", "password": staff.PASSWORD}
    assert other.post("/sign-in", data=fields).status_code == 303
    token = staff.csrf(other.get("/help/keys"))
    with at(start + CONFIRM_AFTER + A_MOMENT):
        answer = sample.send(other, csrf_token=token)
    text = answer.get_data(as_text=True)
    assert answer.status_code == 409
    assert "confirm_password" not in text
    assert not any(word in text for word in sample.typed.values())


def test_tries_are_counted_and_the_words_stay(world, monkeypatch):
    route = FORMS["settings.save_practice"]
    sample, start = open_sample(world, route), now()
    monkeypatch.setattr(route, "change", fails(AssertionError("nothing may change")))
    browser = world.browsers[sample.who]
    with at(start + CONFIRM_AFTER + A_MOMENT):
        form = confirmation_in(sample.send(), sample)
        wrong = form.fields | {"confirm_password": "wrong"}
        codes = [browser.post(sample.button, data=wrong).status_code for _ in range(12)]
        assert codes == [422] * 10 + [429] * 2
        right = form.fields | {"confirm_password": staff.PASSWORD}
        refused = browser.post(sample.button, data=right)
        assert refused.status_code == 429
        assert int(refused.headers["Retry-After"]) > 0
        kept = confirmation_in(refused, sample).fields
        assert {field: kept[field] for field in sample.typed} == {
            field: [text] for field, text in sample.typed.items()
        }


def test_confirmation_sent_twice_says_that_the_change_was_made(world):
    sample, start = open_sample(world, FORMS["settings.save_practice"]), now()
    browser = world.browsers[sample.who]
    before = browser.get_cookie(COOKIES[Interface.STAFF]).value
    with at(start + CONFIRM_AFTER + A_MOMENT):
        form = confirmation_in(sample.send(), sample)
        fields = form.fields | {"confirm_password": staff.PASSWORD}
        assert browser.post(sample.button, data=fields).status_code == 303
        # The answer to the first click was never seen, nor its cookie.
        browser.set_cookie(COOKIES[Interface.STAFF], before, secure=True)
        again = browser.post(sample.button, data=fields)
        assert again.location.startswith("/sign-in?next=")
        page = browser.get(again.location).get_data(as_text=True)
    assert "What you sent was saved the first time." in page
    assert "What you typed is kept" not in page


def test_token_is_never_asked(world):
    start = now()
    with at(start + timedelta(hours=2)):
        answer = world.app.test_client().post(
            "/api/v1/exports",
            json={"format": "csv"},
            headers={"Authorization": f"Bearer {world.tokens['admin']}"},
        )
    assert answer.status_code == 201
