"""Error pages never fail, reveal nothing, and log nothing personal."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from caseapp.core import vault
from caseapp.core.database import db
from caseapp.http import errors
from caseapp.http.errors import FALLBACK_PAGE
from tests.guarantees import sample_data as w
from tests.support import staff

pytestmark = pytest.mark.both

CANARY = "Quetzalcoatl"


@pytest.fixture
def desk(app, visitor):
    staff.sign_in(visitor, staff.add("coach"))
    return visitor


@pytest.fixture
def broken(app, monkeypatch):
    """Let Today fail inside, in an app that is not being tested."""

    def fail():
        raise RuntimeError(f"{CANARY} could not be read")

    monkeypatch.setitem(app.view_functions, "today.today", fail)
    monkeypatch.setitem(app.view_functions, "api_me.get_me", fail)
    monkeypatch.setattr(app, "testing", False)


def test_unexpected_error_shows_a_code_and_no_details(desk, broken, logged):
    answer = desk.get("/today")
    page = answer.get_data(as_text=True)
    assert answer.status_code == 500
    assert answer.headers["X-Request-Id"] in page
    assert "Something went wrong" in page
    for word in (CANARY, "RuntimeError", "Traceback", "caseapp", "Werkzeug"):
        assert word not in page
    lines = logged()
    assert "request.failed" in lines
    assert "RuntimeError" in lines
    assert CANARY not in lines


def test_unexpected_error_in_the_api_is_json(app, visitor, broken):
    answer = visitor.get("/api/v1/me")
    assert answer.status_code == 500
    assert answer.get_json()["error"]["code"] == "failed"
    assert CANARY not in answer.get_data(as_text=True)


def test_broken_error_page_still_answers(desk, app, monkeypatch, logged):
    def fail(*_args):
        raise LookupError(CANARY)

    monkeypatch.setitem(app.jinja_env.globals, "asset", fail)
    for path, status in (("/no-such-page", 404), ("/settings", 403), ("/portal/no-such", 404)):
        answer = desk.get(path)
        assert answer.status_code == status
        assert answer.get_data(as_text=True) == FALLBACK_PAGE
    lines = logged()
    assert "error_page.failed" in lines
    assert CANARY not in lines


def test_trace_of_an_unexpected_error_names_types_modules_functions_and_lines():
    key = vault.DataKey(w.NOBODYS, bytes(32))
    with pytest.raises(vault.SealBroken) as caught:
        vault.unseal_file("a.pdf", vault.VERSION + bytes(64), key)
    first, *lines = errors.error_trace(caught.value)
    assert errors.type_name(caught.value) == "caseapp.core.vault.SealBroken"
    assert first == "cryptography.exceptions.InvalidTag"
    assert [line.rpartition(":")[0] for line in lines] == [
        "caseapp.core.vault:_decrypt",
        "caseapp.core.vault:unseal_file",
        "caseapp.core.vault:_decrypt",
    ]


@pytest.fixture
def unreachable(app):
    """Take the database away."""
    gone = {
        "sqlite": "sqlite:////nowhere/at/all.db",
        "postgresql": "postgresql+psycopg://nobody@127.0.0.1:1/nothing",
    }

    def take_away():
        db.session.remove()
        before = db.engines[None]
        engine = sa.create_engine(gone[before.dialect.name], poolclass=sa.NullPool)
        db.engines[None] = engine  # type: ignore[index]
        return before

    before = []
    yield lambda: before.append(take_away())
    db.session.remove()
    if before:
        db.engines[None] = before[0]  # type: ignore[index]


def test_unreachable_database_is_answered_by_every_interface(world, unreachable, logged):
    unreachable()
    number = world.own["number"]
    for who, path in (("coach", f"/case/{number}"), ("client", "/portal"), ("coach", "/no-such")):
        answer = world.browsers[who].get(path)
        assert answer.status_code == 503, path
        assert "Something went wrong" in answer.get_data(as_text=True)
    answer = world.browsers["coach"].get(
        "/api/v1/me", headers={"Authorization": f"Bearer {world.tokens['coach']}"}
    )
    assert answer.status_code == 503
    assert answer.get_json()["error"]["code"] == "unavailable"
    assert world.browsers["nobody"].get("/livez").status_code == 200
    assert world.browsers["nobody"].get("/readyz").status_code == 503
    lines = logged()
    assert "database.unreachable" in lines
    assert number not in lines


def test_without_the_database_whoever_wants_to_leave_may_leave(world, unreachable):
    unreachable()
    answer = world.browsers["client"].get("/exit")
    assert answer.status_code in {302, 303}
    assert answer.location.startswith("https://")


FIELDS = [
    "name",
    "preferred_name",
    "pronouns",
    "email",
    "phone",
    "partner_name",
    "birth_year",
    "safe_times",
    "code_word",
    "safe_warning",
    "password",
    "code",
    "pin",
    "start_code",
    "again",
    "reason",
    "comment",
    "title",
    "outcome",
    "line",
    "evidence.x",
    "data",
    "assessment",
    "plan",
    "text",
    "gender",
    "contact",
    "tagline",
    "clinician",
    "q",
    "token",
    "kind",
    "slug",
    "sections.data",
]


@pytest.mark.pdf
def test_what_people_write_and_search_for_never_reaches_the_log(world, app, logged):
    """SEC-41: canaries in every form, header, address and search, on every route, as everybody."""
    failures = []
    for route in w.routes(app):
        for who in ("nobody", "coach", "admin", "client"):
            path = route.path(world.own) + f"?q={CANARY}&cursor={CANARY}"
            headers = {
                "User-Agent": CANARY,
                "Referer": f"https://{CANARY}.example/",
                "X-Request-Id": CANARY,
                "Idempotency-Key": CANARY,
                "If-Match": f'"{CANARY}"',
            }
            more = {}
            if route.interface == "api":
                headers["Authorization"] = f"Bearer {world.tokens.get(who, CANARY)}"
                more["json"] = dict.fromkeys(FIELDS, CANARY)
            elif not route.safe:
                more["data"] = dict.fromkeys(FIELDS, CANARY) | {
                    "csrf_token": world.csrf[who],
                    "version": "1",
                    "idempotency_key": CANARY,
                }
            if "sign-out" in path:
                continue
            answer = world.browsers[who].open(path, method=route.method, headers=headers, **more)
            # No worker runs in a test, so the installation isn't ready.
            if answer.status_code >= 500 and path.partition("?")[0] != "/readyz":
                failures.append((route.name, who, answer.status_code))
            if CANARY in str(answer.headers):
                failures.append((route.name, who, "in a header"))
    lines = logged()
    assert failures == []
    assert lines.count("endpoint=") > 300
    assert CANARY not in lines
    for secret in (*world.tokens.values(), staff.PASSWORD, world.own["number"], "Okafor"):
        assert secret not in lines


def test_an_address_is_not_logged_either(desk, logged):
    desk.get(f"/case/{CANARY}")
    desk.get(f"/{CANARY}")
    lines = logged()
    assert "status=404" in lines
    assert CANARY not in lines


def test_a_line_break_in_what_was_sent_forges_no_line(desk, logged):
    desk.get("/case/x%0a2026-01-01T00:00:00Z [info] request endpoint=forged status=200")
    assert "forged" not in logged()
