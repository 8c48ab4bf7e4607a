import pytest

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

DUE = "2026-12-01T09:00:00Z"


@pytest.fixture
def ines(coach):
    return str(builders.client(coach.actor, "Ines Okafor"))


@pytest.fixture
def task(coach, ines):
    body = {"client_id": ines, "title": "Ask about the flat", "due_at": DUE}
    return coach.post("/followups", body).get_json()


def test_create_list_and_complete_followup(coach, ines):
    body = {"client_id": ines, "title": "Ask about the flat", "due_at": "2026-12-01T10:00:00+01:00"}
    answer = coach.post("/followups", body)
    assert answer.status_code == 201
    task = answer.get_json()
    assert (task["title"], task["due_at"], task["kind"]) == ("Ask about the flat", DUE, "custom")
    assert answer.headers["Location"] == f"/api/v1/followups/{task['id']}"
    assert coach.get("/followups").get_json()["items"] == [task]
    path = f"/followups/{task['id']}"
    assert coach.get(path).headers["ETag"] == etag(task)
    done = coach.patch(path, {"outcome": "It is let."}, version=task)
    assert done.get_json()["outcome"] == "It is let."
    assert done.headers["ETag"] == '"2"'
    assert coach.get("/followups").get_json()["items"] == []
    assert coach.get("/followups?done=true").get_json()["items"] == [done.get_json()]
    assert assert_refused(coach.patch(path, {"outcome": "Twice."}, version=done.get_json())) == [
        "already_completed"
    ]


def test_followup_sent_twice_is_created_once(coach, ines):
    body = {"client_id": ines, "title": "Ask", "due_at": DUE}
    first = coach.post("/followups", body, idempotency_key="a")
    assert coach.post("/followups", body, idempotency_key="a").get_json() == first.get_json()
    assert assert_refused(coach.post("/followups", body | {"title": "B"}, idempotency_key="a")) == [
        "idempotency_key_reused"
    ]
    assert len(coach.get("/followups").get_json()["items"]) == 1


def test_invalid_followup_names_fields(coach, ines, task):
    good = {"client_id": ines, "title": "Ask", "due_at": DUE}
    assert_refuses(
        coach,
        "POST",
        "/followups",
        [
            ("title", {}),
            ("client_id", good | {"client_id": 7}),
            ("title", good | {"title": ""}),
            ("title", good | {"title": "x" * 1_000_000}),
            ("due_at", good | {"due_at": "2026-12-01"}),
            ("due_at", good | {"due_at": "0001-01-01T00:00:00+14:00"}),
            ("kind", good | {"kind": "recheck"}),
        ],
    )
    assert_refuses_what_is_no_json(coach, "POST", "/followups")
    path = f"/followups/{task['id']}"
    assert_refuses(
        coach,
        "PATCH",
        path,
        [("outcome", {}), ("outcome", {"outcome": ""}), ("title", {"outcome": "x", "title": "y"})],
        version=task,
    )
    assert_refuses_what_is_no_json(coach, "PATCH", path, version=task)
    assert_needs_a_version(coach, "PATCH", path, {"outcome": "x"}, task)
    assert coach.get(path).get_json() == task
    assert "client" in assert_error(coach.get("/followups?client=x"), 422)["fields"]
    assert "done" in assert_error(coach.get("/followups?done=perhaps"), 422)["fields"]


def test_followup_of_other_coach_is_not_found(stranger, ines, task):
    assert_hidden(stranger, "GET", "/followups/{}", task["id"])
    assert_hidden(stranger, "PATCH", "/followups/{}", task["id"], {"outcome": "x"}, version='"1"')
    good = {"title": "Ask", "due_at": DUE}
    foreign = stranger.post("/followups", good | {"client_id": ines})
    missing = stranger.post("/followups", good | {"client_id": NOBODYS})
    assert assert_error(foreign, 404) == assert_error(missing, 404)
    assert stranger.get(f"/followups?client={ines}").get_json()["items"] == []


def test_followups_require_coach_role(staff, task):
    path = f"/followups/{task['id']}"
    assert_needs_a_role(
        staff["admin"],
        ("GET", "/followups"),
        ("POST", "/followups"),
        ("GET", path),
        ("PATCH", path),
    )


def test_other_methods_are_not_allowed(coach, task):
    assert_only_answers(coach, "/followups", "GET", "POST")
    assert_only_answers(coach, f"/followups/{task['id']}", "GET", "PATCH")
