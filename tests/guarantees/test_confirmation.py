"""Every form before whose action people confirm who they are: asked after five minutes, kept, and sent on once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask import redirect

from caseapp.core.clock import at, now
from caseapp.core.permissions import CONFIRMED_ACTIONS
from caseapp.domain.auth.rules import CONFIRM_AFTER
from caseapp.domain.auth.second_factor import has_second_factor
from caseapp.http.forms import Done, PostRoute
from caseapp.http.guard import iter_routes
from tests.guarantees import sample_data as w
from tests.guarantees.form_cases import fails, load_nothing, open_sample
from tests.guarantees.form_steps import REACHED_BY
from tests.guarantees.test_forms import FORMS
from tests.support import staff
from tests.support.staff_pages import forms_in

pytestmark = [pytest.mark.both, pytest.mark.slow]

CONFIRMED = {name: form for name, form in FORMS.items() if form.action in CONFIRMED_ACTIONS}
A_MOMENT = timedelta(seconds=1)
DESK = "__Host-desk"


@pytest.fixture
def world(app):
    return w.make(app)


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
        "holds.release",
        "holds.release_named",
        "reports.create_report",
        "settings.save_practice",
        "settings.save_alerts",
    }


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
        codes = [browser.post(sample.button, data=wrong).status_code for _ in range(9)]
        assert codes == [422] * 8 + [429]
        right = form.fields | {"confirm_password": staff.PASSWORD}
        refused = browser.post(sample.button, data=right)
        assert refused.status_code == 429
        assert int(refused.headers["Retry-After"]) > 0
        kept = confirmation_in(refused, sample).fields
        assert {field: kept[field] for field in sample.typed} == {
            field: [text] for field, text in sample.typed.items()
        }


def test_token_is_never_asked(world):
    start = now()
    with at(start + timedelta(hours=2)):
        answer = world.app.test_client().post(
            "/api/v1/exports",
            json={"format": "csv"},
            headers={"Authorization": f"Bearer {world.tokens['admin']}"},
        )
    assert answer.status_code == 201
