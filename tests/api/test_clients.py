from uuid import UUID

import pytest
import sqlalchemy as sa

from caseapp.core.database import db
from caseapp.core.transaction import transaction
from caseapp.domain.audit.models import AuditEvent
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.practice.models import Practice
from caseapp.domain.screening.operations import set_manual_flag
from tests.api.api_client import (
    NOBODYS,
    assert_error,
    assert_hidden,
    assert_needs_a_role,
    assert_needs_a_version,
    assert_only_answers,
    assert_refused,
    assert_refuses,
    assert_refuses_what_is_no_json,
    etag,
)
from tests.support import builders

INES = {
    "name": "Ines Okafor",
    "pronouns": "she/her",
    "email": "Ines@Example.org",
    "safe_channels": ["call", "portal"],
    "consent_on": "2026-05-14",
    "consent_method": "written",
}


@pytest.fixture
def ines(coach):
    return coach.post("/clients", INES).get_json()


def test_create_client_and_get_it(coach):
    answer = coach.post("/clients", INES)
    assert answer.status_code == 201
    made = answer.get_json()
    assert made["preferred_name"] == "Ines"
    assert made["email"] == "ines@example.org"
    assert made["safe_channels"] == ["call", "portal"]
    assert answer.headers["Location"] == f"/api/v1/clients/{made['id']}"
    assert answer.headers["ETag"] == etag(made) == '"1"'
    read = coach.get(f"/clients/{made['id']}")
    assert read.get_json() == made
    assert read.headers["ETag"] == '"1"'
    assert read.headers["Cache-Control"] == "no-store"


def test_list_clients_searches_and_pages(coach, ines):
    for _ in range(3):
        builders.client(coach.actor)
    first = coach.get("/clients?limit=3").get_json()
    assert len(first["items"]) == 3
    second = coach.get(f"/clients?limit=3&cursor={first['next']}").get_json()
    assert [item["id"] for item in second["items"]] == [ines["id"]]
    assert second["next"] is None
    for q in ("oka", "ines%20ok", "ines@example.org"):
        found = coach.get(f"/clients?q={q}").get_json()["items"]
        assert [item["id"] for item in found] == [ines["id"]]
    assert coach.get("/clients?q=nobody").get_json() == {"items": [], "next": None}


def test_list_clients_with_invalid_query_names_the_field(coach):
    for query, field in (
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=many", "limit"),
        ("limit=1&limit=2", "limit"),
        ("cursor=made-up", "cursor"),
        ("colour=red", "colour"),
        ("q=%00", "q"),
    ):
        found = assert_error(coach.get(f"/clients?{query}"), 422, "invalid")
        assert found["fields"].keys() == {field}, query


def test_update_client_keeps_fields_not_sent(coach, ines):
    path = f"/clients/{ines['id']}"
    answer = coach.patch(path, {"phone": "+44 20 7946 0958"}, version=ines)
    assert answer.status_code == 200
    assert answer.headers["ETag"] == '"2"'
    assert answer.get_json() == ines | {"phone": "+44 20 7946 0958", "version": 2}
    assert coach.patch(path, {"phone": None}, version='"2"').get_json()["phone"] is None


@pytest.mark.slow
def test_update_client_with_invalid_input_changes_nothing(coach, ines):
    path = f"/clients/{ines['id']}"
    assert_refuses(
        coach,
        "PATCH",
        path,
        [
            ("body", {}),
            ("colour", {"colour": "red"}),
            ("version", {"version": 7}),
            ("name", {"name": None}),
            ("name", {"name": 7}),
            ("name", {"name": "x" * 1_000_000}),
            ("name", {"name": "NUL \x00"}),
            ("name", {"name": "half \ud800"}),
            ("consent_on", {"consent_on": "31 May"}),
            ("safe_channels", {"safe_channels": "call"}),
            ("safe_channels", {"safe_channels": ["pigeon"]}),
        ],
        version=ines,
    )
    assert_refuses_what_is_no_json(coach, "PATCH", path, version=ines)
    assert_needs_a_version(coach, "PATCH", path, {"preferred_name": "Iny"}, ines)
    assert coach.get(path).get_json() == ines


def test_create_client_with_invalid_input_names_fields(coach):
    assert_refuses(
        coach,
        "POST",
        "/clients",
        [
            ("name", {}),
            ("safe_channels", {"name": "Ines"}),
            ("email", INES | {"email": "nowhere"}),
            ("birth_year", INES | {"birth_year": 1600}),
            ("agreed", INES | {"agreed": "perhaps"}),
        ],
    )
    assert_refuses_what_is_no_json(coach, "POST", "/clients")
    assert coach.get("/clients").get_json()["items"] == []


def test_create_client_with_a_too_large_body_is_413(coach):
    assert_error(coach.post("/clients", INES | {"name": "x" * 3_000_000}), 413)


def test_create_client_twice_with_one_key_makes_one(coach):
    first = coach.post("/clients", INES, idempotency_key="key-1")
    again = coach.post("/clients", INES, idempotency_key="key-1")
    assert first.status_code == again.status_code == 201
    assert first.get_json() == again.get_json()
    assert len(coach.get("/clients").get_json()["items"]) == 1
    other = coach.post("/clients", INES | {"name": "Somebody Else"}, idempotency_key="key-1")
    assert assert_refused(other) == ["idempotency_key_reused"]
    found = assert_error(coach.post("/clients", INES, idempotency_key="x" * 81), 422)
    assert found["fields"].keys() == {"Idempotency-Key"}


def test_possible_conflict_is_refused_without_details(staff, coach, stranger, ines):
    partner = {"name": "Sam Okafor", "partner_name": "Ines Okafor", "safe_channels": ["call"]}
    answer = stranger.post("/clients", partner)
    assert assert_refused(answer) == ["possible_conflict"]
    assert "Ines" not in answer.get_data(as_text=True)
    assert "Marta" not in answer.get_data(as_text=True)
    seen = staff["supervisor"].post("/clients", partner)
    assert assert_refused(seen) == ["possible_conflict"]
    assert "Ines Okafor" in seen.get_data(as_text=True)
    refused = stranger.post("/clients", partner | {"agreed": True})
    assert assert_refused(refused) == ["possible_conflict"]
    assert staff["supervisor"].post("/clients", partner | {"agreed": True}).status_code == 201


@pytest.mark.slow
def test_changed_details_of_a_possible_conflict_are_refused(staff, coach, stranger, ines):
    stranger.post("/clients", {"name": "Sam Weber", "safe_channels": ["call"]})
    path, version = f"/clients/{ines['id']}", etag(ines)
    for changed in ({"partner_name": "Sam Weber"}, {"name": "Weber, Samm", "agreed": True}):
        answer = coach.patch(path, changed, version=version)
        assert assert_refused(answer) == ["possible_conflict"]
    changed = {"partner_name": "Sam Weber", "agreed": True}
    saved = staff["supervisor"].patch(path, changed, version=version)
    assert saved.get_json()["partner_name"] == "Sam Weber"
    again = coach.patch(path, {"pronouns": "they/them"}, version=etag(saved.get_json()))
    assert again.status_code == 200


def test_foreign_client_looks_missing(staff, stranger, ines):
    assert_hidden(stranger, "GET", "/clients/{}", ines["id"])
    assert_hidden(
        stranger, "PATCH", "/clients/{}", ines["id"], {"preferred_name": "X"}, version='"1"'
    )
    assert stranger.get("/clients").get_json()["items"] == []
    assert staff["supervisor"].get(f"/clients/{ines['id']}").status_code == 200
    assert_error(stranger.get("/clients/no-id"), 404, "not_found")


def test_clients_as_admin_are_403(staff, ines):
    assert_needs_a_role(
        staff["admin"],
        ("GET", "/clients"),
        ("POST", "/clients"),
        ("GET", f"/clients/{ines['id']}"),
        ("PATCH", f"/clients/{ines['id']}"),
    )


def test_contact_is_confirmed_only_in_person(coach, stranger, ines):
    path = f"/clients/{ines['id']}/contact-confirmation"
    with transaction():
        set_manual_flag(coach.actor, lock_client(coach.actor, UUID(ines["id"])), "unsafe_delivery")
    found = coach.get(f"/clients/{ines['id']}").get_json()
    assert found["contact_confirmed_at"] is None
    assert found["safe_channels"] == ["call", "portal"]
    assert found["usable_channels"] == ["call"]
    assert_needs_a_version(coach, "POST", path, {"in_person": True}, found)
    for body in ({}, {"in_person": False}):
        fields = assert_error(coach.post(path, body, version=found), 422, "invalid")["fields"]
        assert fields.keys() == {"in_person"}
    foreign = "/clients/{}/contact-confirmation"
    assert_hidden(stranger, "POST", foreign, ines["id"], {"in_person": True}, version=found)
    assert_error(coach.post(path, {"in_person": True}, version=ines), 412, "stale")
    confirmed = coach.post(path, {"in_person": True}, version=found).get_json()
    assert confirmed["contact_confirmed_at"]
    assert confirmed["usable_channels"] == ["call", "portal"]
    assert confirmed["contact_confirmed_by"] == str(coach.actor.id)


def test_clients_answer_only_listed_methods(coach, ines):
    assert_only_answers(coach, "/clients", "GET", "POST")
    assert_only_answers(coach, f"/clients/{ines['id']}", "GET", "PATCH")


def test_reads_and_refusals_of_clients_are_audited(coach, stranger, ines):
    for _ in range(3):
        coach.get("/clients")
        coach.get(f"/clients/{ines['id']}")
    stranger.get(f"/clients/{NOBODYS}")
    found = [
        (row.action, row.outcome, row.via)
        for row in db.session.scalars(
            db.select(AuditEvent).order_by(AuditEvent.occurred_at, AuditEvent.id)
        )
        if row.action.startswith("client.")
    ]
    assert found == [
        ("client.create", "done", "api"),
        ("client.read", "done", "api"),
        ("client.read", "done", "api"),
        ("client.read", "refused", "api"),
    ]


def test_client_has_a_language_and_messages_stay_in_english(coach, ines):
    assert ines["language"] is None
    with transaction():
        db.session.execute(sa.update(Practice).values(language="es"))
    path = f"/clients/{ines['id']}"
    changed = coach.patch(path, {"language": "es"}, version=ines)
    assert changed.get_json()["language"] == "es"
    wrong = coach.patch(path, {"language": "fr"}, version='"2"')
    assert wrong.get_json()["error"]["fields"] == {"language": ["Choose one of the options."]}
    nothing = coach.post("/clients", {"safe_channels": ["call"]})
    assert nothing.get_json()["error"]["fields"] == {"name": ["Enter the client’s name."]}
    assert nothing.get_json()["error"]["message"] == "Check your answers."
