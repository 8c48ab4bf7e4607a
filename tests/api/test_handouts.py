import pytest

from caseapp.core.sandbox import pool
from caseapp.core.transaction import transaction
from caseapp.domain.handouts.library import library
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


def test_list_library_filters_by_stage_and_text(coach, staff):
    every = coach.get("/handouts").get_json()
    assert every["next"] is None
    assert {item["for_case"] for item in every["items"]} == {None}
    assert {item["language"] for item in every["items"]} == {"en"}
    steady = coach.get("/handouts?stage=steady")
    assert slugs(steady) < {item["slug"] for item in every["items"]}
    some = every["items"][0]
    assert some["slug"] in slugs(coach.get(f"/handouts?q={some['code']}"))
    assert slugs(staff["admin"].get("/handouts")) == {item["slug"] for item in every["items"]}


def test_list_library_for_case_gives_suitability(coach, made):
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


def test_list_library_for_case_gives_recommendations_with_reasons(coach, made):
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
    assert suggested()["enough-to-eat"]["why"] == "Eating is at concern. Needs caution."


@pytest.mark.pdf
def test_get_handout_and_download_its_pdf(coach):
    slug = coach.get("/handouts").get_json()["items"][0]["slug"]
    whole = coach.get(f"/handouts/{slug}").get_json()
    assert (whole["slug"], whole["reviewed"]) == (slug, None)
    assert "<h2" in whole["html"]
    assert len(whole["two_minutes"]) in {0, 3}
    file = coach.get(f"/handouts/{slug}/pdf")
    assert file.mimetype == "application/pdf"
    assert file.data.startswith(b"%PDF-")
    assert ".pdf" in file.headers["Content-Disposition"]
    large = coach.get(f"/handouts/{slug}/pdf?size=large")
    assert '-large.pdf"' in large.headers["Content-Disposition"]
    assert large.data != file.data


def test_invalid_parameters_name_the_field(coach):
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
        error = assert_error(coach.get(f"/handouts/{slug}/pdf?{query}"), 422)
        assert error["fields"].keys() == {field}
    for strange in ("no-such-handout", "%00", "x" * 3000):
        assert_error(coach.get(f"/handouts/{strange}"), 404, "not_found")
        assert_error(coach.get(f"/handouts/{strange}/pdf"), 404, "not_found")


def test_list_library_for_case_of_others_is_hidden(staff, coach, stranger, made):
    assert_hidden(stranger, "GET", "/handouts?for_case={}", made.case_id)
    assert_error(staff["admin"].get(f"/handouts?for_case={made.case_id}"), 403, "forbidden")
    assert_error(coach.get(f"/handouts?for_case={NOBODYS}"), 404, "not_found")


def test_requests_without_token_are_unauthenticated(coach):
    for path in ("/handouts", "/handouts/x", "/handouts/x/pdf"):
        assert_error(coach.client.get(f"/api/v1{path}"), 401, "unauthenticated")
        assert_only_answers(coach, path, "GET")


@pytest.mark.pdf
def test_download_handout_when_rendering_fails_answers_json(coach, monkeypatch):
    with transaction():
        get_practice().name = "An API Without Patience"
    monkeypatch.setattr(pool, "MAX_WAIT_SECONDS", 0)
    answer = coach.get("/handouts/better-nights/pdf")
    assert_error(answer, 503, "render_failed")
    assert answer.headers["Retry-After"] == "60"


def test_recall_handout_withdraws_named_version_from_every_client(staff, coach, made):
    newest = library()["better-nights", "en"].version
    path, reason = "/handouts/better-nights/recall", "A number in it is wrong."
    new = {"slug": "better-nights", "channel": "portal", "confirmed": True}
    assignment = coach.post(f"/cases/{made.case_id}/assignments", new).get_json()
    supervisor = staff["supervisor"]
    assert_error(coach.post(path, {"handout_version": newest, "reason": reason}), 403, "forbidden")
    invalid = [
        ("handout_version", {"reason": reason}),
        ("handout_version", {"reason": reason, "handout_version": "newest"}),
        ("reason", {"handout_version": newest, "reason": "No"}),
        ("language", {"handout_version": newest, "reason": reason, "language": "xx"}),
    ]
    assert_refuses(supervisor, "POST", path, invalid)
    assert_refuses_what_is_no_json(supervisor, "POST", path)
    assert_error(
        supervisor.post(path, {"handout_version": newest + 1, "reason": reason}), 404, "not_found"
    )
    found = staff["admin"].post(path, {"handout_version": newest, "reason": reason}).get_json()
    assert (found["clients"], found["reason"], found["handout_version"]) == (1, reason, newest)
    again = supervisor.post(path, {"handout_version": newest, "reason": reason})
    assert assert_refused(again) == ["already_recalled"]
    assert coach.get(f"/assignments/{assignment['id']}").get_json()["state"] == "recalled"
    assert "better-nights" not in slugs(coach.get("/handouts"))
    assert_only_answers(supervisor, path, "POST")
