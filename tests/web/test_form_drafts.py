"""Keeping the words of a form while somebody types: for its author only, within limits, never sending it."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
import sqlalchemy as sa

from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.domain.form_drafts.codes import MAX_BYTES
from caseapp.domain.form_drafts.models import FormDraft
from caseapp.domain.form_drafts.queries import list_form_drafts
from caseapp.http.form_keys import FormKey, seal_form_key
from caseapp.http.form_merge import Base
from tests.support import portal_client, staff
from tests.support.staff_pages import StaffBrowser

NAME = "Ines Okafor"
SECOND = timedelta(seconds=1)


def keep(browser, form, **changes):
    return browser.post("/drafts", form.fields | changes)


def stored():
    db.session.rollback()
    return db.session.scalar(sa.select(sa.func.count()).select_from(FormDraft))


def words(actor, path="/cases/new"):
    db.session.rollback()
    return {
        name: found.words["name"][0] for name, found in list_form_drafts(actor.id, path).items()
    }


def test_kept_words_replace_those_kept_before(coach, team):
    form = coach.form("/cases/new")
    start = now()
    for seconds, name in enumerate(("I", "In", NAME)):
        with at(start + seconds * SECOND):
            assert keep(coach, form, name=name).status_code == 204
    assert words(team["coach"]) == {"/cases/new": NAME}
    assert stored() == 1


def test_words_are_kept_once_a_second_at_most(coach, team):
    form = coach.form("/cases/new")
    start = now()
    assert keep(coach, form, name="In").status_code == 204
    answer = keep(coach, form, name=NAME)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "1")
    assert words(team["coach"]) == {"/cases/new": "In"}
    with at(start + SECOND):
        assert keep(coach, form, name=NAME).status_code == 204


def test_words_that_arrive_after_the_form_was_sent_are_not_kept(coach):
    form = coach.form("/cases/new")
    sent = coach.post(form.action, form.fields | {"name": NAME, "safe_channels": ["call"]})
    assert sent.status_code == 303
    assert keep(coach, form, name=NAME).status_code == 204
    assert stored() == 0


def test_too_many_words_are_refused(coach):
    form = coach.form("/cases/new")
    assert keep(coach, form, name="x" * MAX_BYTES).status_code == 413
    assert stored() == 0


@pytest.mark.parametrize("address", ["/drafts", "/drafts/discard"])
def test_form_of_another_person_is_refused(app, coach, team, address):
    form = coach.form("/cases/new")
    keep(coach, form, name=NAME)
    other = StaffBrowser(app, team["coach2"])
    fields = form.fields | {"name": "Somebody"} | other.token
    assert other.post(address, fields).status_code == 409
    assert words(team["coach"]) == {"/cases/new": NAME}
    assert stored() == 1


@pytest.mark.parametrize("key", ["", "1.nonsense", "9.x", None])
def test_form_without_a_key_of_ours_is_refused(coach, key):
    fields = coach.token | {"name": NAME} | ({"form_key": key} if key is not None else {})
    assert coach.post("/drafts", fields).status_code == 409
    assert stored() == 0


def test_nobody_keeps_words_without_a_session_or_a_token(app, coach):
    form = coach.form("/cases/new")
    assert coach.post("/drafts", form.fields | {"csrf_token": "stale"}).status_code == 400
    visitor = app.test_client()
    token = staff.csrf(visitor.get("/sign-in"))
    answer = visitor.post(
        "/drafts", data=form.fields | {"csrf_token": token}, headers={"X-Requested-With": "draft"}
    )
    assert answer.status_code == 401
    assert stored() == 0


def portal_key(client_id):
    form = "/portal/h/1/save"
    key = FormKey(uuid4(), client_id, client_id, form, "/portal/h/1", now(), Base.of({}))
    return {"form_key": seal_form_key(key)}


def test_client_keeps_words_in_the_portal_for_themselves(app, team):
    browser, found = portal_client.sign_in_client(app, team["coach"])
    fields = portal_key(found.client_id) | {"csrf_token": staff.csrf(browser.get("/portal"))}
    assert browser.post("/portal/drafts", data=fields | {"name": NAME}).status_code == 204
    assert words(team["coach"], "/portal/h/1") == {}
    db.session.rollback()
    assert list_form_drafts(found.client_id, "/portal/h/1") == {}
    writing = portal_client.reader(found.client_id).writing
    [found_words] = list_form_drafts(found.client_id, "/portal/h/1", writing).values()
    assert found_words.words["name"] == [NAME]
    assert db.session.scalar(sa.select(FormDraft.client_id)) == found.client_id


def test_client_who_has_not_entered_the_pin_keeps_nothing(app, team):
    found = portal_client.invited(team["coach"])
    browser = app.test_client()
    portal_client.use_card(browser, found.card_code)
    fields = portal_key(found.client_id) | {"csrf_token": staff.csrf(browser.get("/portal/pin"))}
    assert browser.post("/portal/drafts", data=fields | {"name": NAME}).status_code == 403
    assert stored() == 0


def test_script_of_a_page_that_has_lost_every_cookie_is_told_that_nobody_is_signed_in(app, coach):
    form = coach.form("/cases/new")
    answer = app.test_client().post(
        "/drafts",
        data=form.fields | {"name": NAME},
        headers={"X-Requested-With": "draft"},
        base_url="https://localhost",
    )
    assert answer.status_code == 401
    assert stored() == 0
