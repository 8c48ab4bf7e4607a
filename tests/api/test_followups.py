from datetime import datetime
from uuid import UUID

import pytest

from caseapp.core.clock import at
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
from tests.support.followups import result_body

DUE = "2026-12-01T09:00:00Z"
DONE = {"result": "done", "method": "call", "note": "It is let."}


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
    assert task["allowed_results"] == ["done", "reached", "not_reached", "declined"]
    assert "call" in task["allowed_methods"]
    happened = {"occurred_at": "2026-05-14T11:30:00Z", "told": "Anne"}
    done = coach.patch(path, DONE | happened, version=task)
    assert {name: done.get_json()[name] for name in DONE | happened} == DONE | happened
    assert done.headers["ETag"] == '"2"'
    assert coach.get("/followups").get_json()["items"] == []
    assert coach.get("/followups?done=true").get_json()["items"] == [done.get_json()]
    assert assert_refused(coach.patch(path, DONE, version=done.get_json())) == ["already_completed"]


def test_followup_sent_twice_is_created_once(coach, ines):
    body = {"client_id": ines, "title": "Ask", "due_at": DUE}
    first = coach.post("/followups", body, idempotency_key="a")
    assert coach.post("/followups", body, idempotency_key="a").get_json() == first.get_json()
    assert assert_refused(coach.post("/followups", body | {"title": "B"}, idempotency_key="a")) == [
        "idempotency_key_reused"
    ]
    assert len(coach.get("/followups").get_json()["items"]) == 1


@pytest.mark.slow
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
        [
            ("result", {}),
            ("result", DONE | {"result": "well"}),
            ("result", DONE | {"result": "yes"}),
            ("method", DONE | {"method": "letter"}),
            ("method", {"result": "done", "note": "It is let."}),
            ("note", DONE | {"note": ""}),
            ("note", DONE | {"note": "x" * 2001}),
            ("told", DONE | {"told": "x" * 201}),
            ("occurred_at", DONE | {"occurred_at": "2026-05-14T11:30:00"}),
            ("occurred_at", DONE | {"occurred_at": "2099-05-14T11:30:00Z"}),
            ("title", DONE | {"title": "y"}),
        ],
        version=task,
    )
    assert_refuses_what_is_no_json(coach, "PATCH", path, version=task)
    assert_needs_a_version(coach, "PATCH", path, DONE, task)
    assert coach.get(path).get_json() == task
    assert "client" in assert_error(coach.get("/followups?client=x"), 422)["fields"]
    assert "done" in assert_error(coach.get("/followups?done=perhaps"), 422)["fields"]


def test_safety_check_before_its_time_is_refused(coach, ines):
    builders.screen(coach.actor, UUID(ines), self_harm="urgent")
    tasks = {
        task["kind"]: task for task in coach.get(f"/followups?client={ines}").get_json()["items"]
    }
    check = tasks["safety_24h"]
    assert check["not_before_at"] == check["due_at"]
    path, body = f"/followups/{check['id']}", result_body(check)
    assert assert_refused(coach.patch(path, body, version=check)) == ["too_early"]
    with at(datetime.fromisoformat(check["due_at"])):
        tried = coach.patch(path, body | {"result": "not_reached", "note": ""}, version=check)
        assert tried.status_code == 200
        again = coach.get(f"/followups?client={ines}").get_json()["items"][0]
    assert (again["kind"], again["attempt"]) == ("safety_24h", 2)
    assert (again["previous_id"], again["episode_id"]) == (check["id"], check["episode_id"])


def test_what_a_client_declined_is_decided_by_a_supervisor(coach, staff, ines):
    builders.screen(coach.actor, UUID(ines), self_harm="urgent")

    def find(kind):
        items = coach.get(f"/followups?client={ines}").get_json()["items"]
        return next(item for item in items if item["kind"] == kind)

    plan = find("safety_plan")
    body = {"result": "declined", "method": "call", "note": "She wants no plan for now."}
    assert coach.patch(f"/followups/{plan['id']}", body, version=plan).status_code == 200
    decision = find("declined_decision")
    assert decision["allowed_results"] == ["accepted", "try_again"]
    assert decision["previous_id"] == plan["id"]
    path, body = f"/followups/{decision['id']}", result_body(decision) | {"result": "try_again"}
    assert assert_refused(coach.patch(path, body, version=decision)) == ["supervisor_needed"]
    assert staff["supervisor"].patch(path, body, version=decision).status_code == 200
    assert find("safety_plan")["attempt"] == 2


def test_required_followup_is_not_done_with_something_from_before_it(coach, ines):
    builders.screen(coach.actor, UUID(ines), self_harm="urgent")
    items = coach.get(f"/followups?client={ines}").get_json()["items"]
    (told,) = [item for item in items if item["kind"] == "tell_supervisor"]
    path = f"/followups/{told['id']}"
    body = result_body(told) | {"occurred_at": "2001-01-01T00:00:00Z"}
    refused = assert_error(coach.patch(path, body, version=told), 422)
    assert list(refused["fields"]) == ["occurred_at"]
    assert coach.get(path).get_json() == told


def test_followup_of_other_coach_is_not_found(stranger, ines, task):
    assert_hidden(stranger, "GET", "/followups/{}", task["id"])
    assert_hidden(stranger, "PATCH", "/followups/{}", task["id"], DONE, version='"1"')
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
