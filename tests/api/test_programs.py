"""Programs: tokens for a quarter of an hour by OAuth 2.0 client credentials, their revocation and introspection."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from caseapp.core.actor import operator
from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.errors import NotFound
from caseapp.core.settings import active as active_settings
from caseapp.core.settings import use as use_settings
from caseapp.core.transaction import transaction
from caseapp.domain.auth import programs
from caseapp.domain.auth.models import Token
from caseapp.domain.auth.operations import reset_password
from caseapp.domain.auth.schemas import NewProgram
from tests.api.api_client import BASE
from tests.support import staff as people

SCOPES = ["handouts:read", "reports:write"]
TOKEN, REVOKE, INTROSPECT = (f"{BASE}/oauth/{name}" for name in ("token", "revoke", "introspect"))
UNKNOWN = "01890000000070008000000000000000"


@pytest.fixture
def made(team):
    """Make a program of the admin; return it and its secret."""
    with transaction():
        return programs.make_program(operator(), team["admin"].id, NewProgram("Import", SCOPES))


@pytest.fixture
def send(app, made):
    """Give a function that sends a form as a program."""
    program, secret = made
    own_id = program.id.hex
    browser = app.test_client()

    def as_program(path, *, id_=own_id, secret=secret, **form):
        shown = b64encode(f"{id_}:{secret}".encode()).decode()
        return browser.post(path, data=form, headers={"Authorization": f"Basic {shown}"})

    return as_program


def ask(send, scope="handouts:read", **changed):
    return send(TOKEN, grant_type="client_credentials", scope=scope, **changed)


def read(app, text, path="/handouts"):
    headers = {"Authorization": f"Bearer {text}"}
    return app.test_client().get(f"{BASE}{path}", headers=headers).status_code


def test_token_lasts_a_quarter_of_an_hour_and_acts_within_its_scopes(app, send):
    answer = ask(send)
    body = answer.get_json()
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    text = body.pop("access_token")
    assert body == {"token_type": "Bearer", "expires_in": 900, "scope": "handouts:read"}
    assert read(app, text) == 200
    assert [read(app, text, path) for path in ("/exports", "/clients")] == [403, 403]
    with at(now() + timedelta(minutes=15)):
        assert read(app, text) == 401


@pytest.mark.parametrize("scope", ["", "audit:read", "handouts:read audit:read", "everything"])
def test_missing_wider_or_unknown_scope_is_refused(send, scope):
    """No token is exchanged for a wider one (VULN-28)."""
    answer = ask(send, scope)
    assert (answer.status_code, answer.get_json()["error"]) == (400, "invalid_scope")
    assert db.session.scalars(sa.select(Token)).all() == []


def test_wrong_program_and_wrong_secret_get_one_answer(app, send):
    wrong = [
        ask(send, id_=UNKNOWN),
        ask(send, id_="no-id"),
        ask(send, secret="wrong"),
        app.test_client().post(TOKEN, data={"grant_type": "client_credentials"}),
        app.test_client().post(TOKEN, headers={"Authorization": "Basic /w=="}, data={}),
        send(REVOKE, secret="wrong", token="x"),
        send(INTROSPECT, id_=UNKNOWN, token="x"),
    ]
    assert {answer.status_code for answer in wrong} <= {400, 401}
    refused = [answer for answer in wrong if answer.status_code == 401]
    assert len(refused) >= 6
    assert len({answer.data for answer in refused}) == 1
    assert refused[0].get_json()["error"] == "invalid_client"
    assert send(TOKEN, grant_type="password").get_json()["error"] == "unsupported_grant_type"


def test_token_is_described_and_given_back(app, send, team):
    text = ask(send, " ".join(SCOPES)).get_json()["access_token"]
    found = send(INTROSPECT, token=text).get_json()
    assert (found["active"], found["scope"]) == (True, " ".join(SCOPES))
    assert found["exp"] - found["iat"] == 900
    with transaction():
        other, secret = programs.make_program(
            operator(), team["admin"].id, NewProgram("Other", SCOPES)
        )
        other_id = other.id.hex
    as_other = {"id_": other_id, "secret": secret, "token": text}
    assert send(INTROSPECT, **as_other).get_json() == {"active": False}
    assert send(REVOKE, **as_other).get_json()["error"] == "invalid_grant"
    assert read(app, text) == 200
    assert send(REVOKE, token=text).status_code == 200
    assert read(app, text) == 401
    assert send(INTROSPECT, token=text).get_json() == {"active": False}
    assert send(REVOKE, token="unknown").status_code == 200


def test_program_ends_with_its_tokens_or_when_its_person_changes(app, send, made, team):
    text = ask(send).get_json()["access_token"]
    with transaction():
        programs.end_program(operator(), made[0].id)
    assert read(app, text) == 401
    assert ask(send).status_code == 401
    with pytest.raises(NotFound), transaction():
        programs.end_program(operator(), made[0].id)
    with transaction():
        again, secret = programs.make_program(
            operator(), team["admin"].id, NewProgram("Again", SCOPES)
        )
        again_id = again.id.hex
    assert ask(send, id_=again_id, secret=secret).status_code == 200
    with transaction():
        reset_password(operator(), people.email_of(team["admin"]), "another good pass phrase")
    assert ask(send, id_=again_id, secret=secret).status_code == 401


def test_program_has_one_budget_for_asking_for_tokens_and_for_all_of_them(app, send):
    use_settings(replace(active_settings(), token_requests=3))
    with at(datetime(2026, 5, 14, 12, 0, 20, tzinfo=UTC)):
        first, second = (ask(send).get_json()["access_token"] for _ in range(2))
        assert [read(app, first), read(app, second)] == [200, 429]
        refused = ask(send)
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "40")


def test_tokens_that_ended_a_day_ago_are_removed(send):
    start = now()
    for days in (0, 0.5, 2):
        with at(start + timedelta(days=days)):
            assert ask(send).status_code == 200
    db.session.rollback()
    assert len(db.session.scalars(sa.select(Token)).all()) == 1


def test_only_the_command_line_makes_a_program_for_somebody_else(team):
    with pytest.raises(NotFound), transaction():
        programs.make_program(team["admin"], team["coach"].id, NewProgram("Import", SCOPES))
