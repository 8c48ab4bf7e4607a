import pytest

from caseapp.core.sandbox import pool
from caseapp.core.transaction import transaction
from caseapp.domain.practice.queries import get_practice
from tests.api.api_client import (
    NOBODYS,
    assert_error,
    assert_hidden,
    assert_only_answers,
    assert_refused,
    assert_refuses,
    assert_refuses_what_is_no_json,
)
from tests.support import builders


@pytest.fixture
def made(coach):
    return builders.steady_case(coach.actor, "Ines Okafor")


def slugs(answer):
    return {item["slug"] for item in answer.get_json()["items"]}


def test_the_library(coach, staff):
    every = coach.get("/handouts").get_json()
    assert every["next"] is None
    assert {item["for_case"] for item in every["items"]} == {None}
    assert {item["language"] for item in every["items"]} == {"en"}
    steady = coach.get("/handouts?stage=steady")
    assert slugs(steady) < {item["slug"] for item in every["items"]}
    some = every["items"][0]
    assert some["slug"] in slugs(coach.get(f"/handouts?q={some['code']}"))
    assert slugs(staff["admin"].get("/handouts")) == {item["slug"] for item in every["items"]}


def test_for_a_case_each_says_whether_it_suits(coach, made):
    items = coach.get(f"/handouts?for_case={made.case_id}").get_json()["items"]
    assert {item["for_case"]["outcome"] for item in items} <= {"eligible", "caution", "blocked"}
    assert all(
        item["for_case"]["reasons"] for item in items if item["for_case"]["outcome"] == "blocked"
    )
    builders.screen(coach.actor, made.client_id, self_harm="urgent")
    held = coach.get(f"/handouts?for_case={made.case_id}").get_json()["items"]
    refused = [item for item in held if item["for_case"]["outcome"] == "blocked"]
    assert "hold_open" in {
        reason["code"] for item in refused for reason in item["for_case"]["reasons"]
    }
    narrowed = coach.get(f"/handouts?for_case={made.case_id}&stage=steady&q=zzzz")
    assert narrowed.get_json()["items"] == []


def test_the_next_best_say_why(coach, made):
    def suggested(query=""):
        items = coach.get(f"/handouts?for_case={made.case_id}{query}").get_json()["items"]
        found = [(item["for_case"]["suggested"], item) for item in items]
        return {item["slug"]: rank for rank, item in found if rank}

    every = suggested()
    assert sorted(found["rank"] for found in every.values()) == [1, 2, 3]
    assert every["help-right-now"]["rank"] == 1
    assert every["first-days-pause"]["why"].startswith("Belongs to Steady.")
    assert suggested("&q=first+days") == {"first-days-pause": every["first-days-pause"]}
    builders.screen(coach.actor, made.client_id, eating="concern")
    assert suggested()["enough-to-eat"]["why"] == "Eating is at concern."


@pytest.mark.pdf
def test_one_handout_and_its_pdf(coach):
    slug = coach.get("/handouts").get_json()["items"][0]["slug"]
    whole = coach.get(f"/handouts/{slug}").get_json()
    assert (whole["slug"], whole["reviewed"]) == (slug, None)
    assert "<h2" in whole["html"]
    file = coach.get(f"/handouts/{slug}/pdf")
    assert file.mimetype == "application/pdf"
    assert file.data.startswith(b"%PDF-")
    assert ".pdf" in file.headers["Content-Disposition"]
    large = coach.get(f"/handouts/{slug}/pdf?size=large")
    assert '-large.pdf"' in large.headers["Content-Disposition"]
    assert large.data != file.data


def test_names_its_faults(coach):
    for query, field in (
        ("stage=moon", "stage"),
        ("language=xx", "language"),
        ("for_case=me", "for_case"),
        ("colour=red", "colour"),
    ):
        assert assert_error(coach.get(f"/handouts?{query}"), 422)["fields"].keys() == {field}
    slug = coach.get("/handouts").get_json()["items"][0]["slug"]
    assert assert_error(coach.get(f"/handouts/{slug}?language=xx"), 422)["fields"].keys() == {
        "language"
    }
    for query, field in (("size=small", "size"), ("language=xx", "language")):
        fault = assert_error(coach.get(f"/handouts/{slug}/pdf?{query}"), 422)
        assert fault["fields"].keys() == {field}
    for strange in ("no-such-sheet", "%00", "x" * 3000):
        assert_error(coach.get(f"/handouts/{strange}"), 404, "not_found")
        assert_error(coach.get(f"/handouts/{strange}/pdf"), 404, "not_found")


def test_a_case_that_is_not_yours(staff, coach, stranger, made):
    assert_hidden(stranger, "GET", "/handouts?for_case={}", made.case_id)
    assert_error(staff["admin"].get(f"/handouts?for_case={made.case_id}"), 403, "forbidden")
    assert_error(coach.get(f"/handouts?for_case={NOBODYS}"), 404, "not_found")


def test_needs_a_token(coach):
    for path in ("/handouts", "/handouts/x", "/handouts/x/pdf"):
        assert_error(coach.client.get(f"/api/v1{path}"), 401, "unauthenticated")
        assert_only_answers(coach, path, "GET")


@pytest.mark.pdf
def test_a_pdf_that_cannot_be_made_is_said_in_json(coach, monkeypatch):
    with transaction():
        get_practice().name = "An API Without Patience"
    monkeypatch.setattr(pool, "MAX_WAIT_SECONDS", 0)
    answer = coach.get("/handouts/better-nights/pdf")
    assert_error(answer, 503, "render_failed")
    assert answer.headers["Retry-After"] == "60"


def test_a_recall_names_its_version_and_takes_it_from_everybody(staff, coach, made):
    path, reason = "/handouts/better-nights/recall", "A number in it is wrong."
    wish = {"slug": "better-nights", "channel": "portal", "confirmed": True}
    given = coach.post(f"/cases/{made.case_id}/assignments", wish).get_json()
    supervisor = staff["supervisor"]
    assert_error(coach.post(path, {"handout_version": 1, "reason": reason}), 403, "forbidden")
    faults = [
        ("handout_version", {"reason": reason}),
        ("handout_version", {"reason": reason, "handout_version": "newest"}),
        ("reason", {"handout_version": 1, "reason": "No"}),
        ("language", {"handout_version": 1, "reason": reason, "language": "xx"}),
    ]
    assert_refuses(supervisor, "POST", path, faults)
    assert_refuses_what_is_no_json(supervisor, "POST", path)
    assert_error(supervisor.post(path, {"handout_version": 2, "reason": reason}), 404, "not_found")
    found = staff["admin"].post(path, {"handout_version": 1, "reason": reason}).get_json()
    assert (found["clients"], found["reason"], found["handout_version"]) == (1, reason, 1)
    again = supervisor.post(path, {"handout_version": 1, "reason": reason})
    assert assert_refused(again) == ["already_recalled"]
    assert coach.get(f"/assignments/{given['id']}").get_json()["state"] == "recalled"
    assert "better-nights" not in slugs(coach.get("/handouts"))
    assert_only_answers(supervisor, path, "POST")
