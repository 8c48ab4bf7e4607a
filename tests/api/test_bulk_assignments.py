import pytest

from caseapp.core import outbox, runtime
from tests.api.api_client import (
    NOBODYS,
    assert_error,
    assert_hidden,
    assert_needs_a_role,
    assert_only_answers,
    assert_refused,
    assert_refuses,
    assert_refuses_what_is_no_json,
)
from tests.support import builders

PATH = "/handouts/better-nights/bulk-assignments"


@pytest.fixture
def made(coach, monkeypatch):
    monkeypatch.setattr(runtime.current(), "dispatch", None)
    found = [builders.steady_case(coach.actor, name) for name in ("Ines Okafor", "Daniel Roth")]
    builders.screen(coach.actor, found[1].client_id, fear_at_home="concern")
    return found


def wish(made, **changed):
    cases = [str(one.case_id) for one in made]
    return {"cases": cases, "channel": "portal", "message": "For you."} | changed


@pytest.fixture
def bulk_assignment(coach, made):
    return coach.post("/handouts/first-days-pause/bulk-assignments", wish(made)).get_json()


def test_create_and_follow_to_the_end(coach, made):
    answer = coach.post("/handouts/first-days-pause/bulk-assignments", wish(made))
    assert answer.status_code == 202, answer.get_json()
    asked = answer.get_json()
    assert answer.headers["Location"] == f"/api/v1/bulk-assignments/{asked['id']}"
    assert (asked["waiting"], asked["skipped"], asked["done"]) == (1, 1, False)
    assert coach.get(f"/bulk-assignments/{asked['id']}").get_json() == asked
    outbox.sweep()
    found = coach.get(f"/bulk-assignments/{asked['id']}").get_json()
    assert (found["assigned"], found["waiting"], found["skipped"], found["done"]) == (1, 0, 1, True)
    daniel, ines = found["items"]
    assert (ines["number"], ines["state"], ines["reasons"]) == (made[0].number, "assigned", [])
    assert coach.get(f"/assignments/{ines['assignment_id']}").get_json()["message"] == "For you."
    assert daniel["state"] == "skipped"
    assert "hold_open" in [reason["code"] for reason in daniel["reasons"]]
    assert daniel["assignment_id"] is None


def test_create_repeated_key_creates_one(coach, made):
    first = coach.post(PATH, wish(made[:1]), idempotency_key="a")
    assert coach.post(PATH, wish(made[:1]), idempotency_key="a").get_json() == first.get_json()
    again = coach.post(PATH, wish(made[:1], message="Other."), idempotency_key="a")
    assert assert_refused(again) == ["idempotency_key_reused"]
    outbox.sweep()
    given = coach.get(f"/cases/{made[0].case_id}/assignments").get_json()["items"]
    assert len(given) == 1


def test_create_refused_has_reasons(coach, made):
    assert assert_refused(coach.post(PATH, wish(made[:1], handout_version=9))) == [
        "handout_version_changed"
    ]
    codes = assert_refused(coach.post("/handouts/reaching-out/bulk-assignments", wish(made[1:])))
    assert codes[0] == "no_eligible_client"
    assert "hold_open" in codes
    assert_error(
        coach.post("/handouts/no-such-sheet/bulk-assignments", wish(made)), 404, "not_found"
    )


def test_create_cautions_are_confirmed_per_case(coach, made):
    path, ines = "/handouts/my-limits/bulk-assignments", str(made[0].case_id)
    confirmed: dict
    for confirmed in ({}, {ines: []}, {made[1].client_id.hex: ["later_stage"]}):
        refused = coach.post(path, wish(made[:1], confirmed=confirmed))
        assert "not_confirmed" in assert_refused(refused)
    sure = coach.post(path, wish(made[:1], confirmed={ines: ["later_stage"]}))
    assert sure.status_code == 202
    assert sure.get_json()["waiting"] == 1


def test_create_invalid_names_the_field(coach, made):
    faults = [
        ("cases", {"channel": "print"}),
        ("cases", wish([])),
        ("cases", wish(made, cases=["me"])),
        ("cases", wish(made, cases=[NOBODYS] * 501)),
        ("channel", wish(made, channel="pigeon")),
        ("message", wish(made, message="x" * 501)),
        ("due_on", wish(made, due_on="2020-01-01")),
        ("handout_version", wish(made, handout_version=0)),
        ("confirmed", wish(made, confirmed="all")),
        ("confirmed", wish(made, confirmed=[NOBODYS])),
        ("colour", wish(made, colour="red")),
    ]
    assert_refuses(coach, "POST", PATH, faults)
    assert_refuses_what_is_no_json(coach, "POST", PATH)
    assert coach.get(f"/cases/{made[0].case_id}/assignments").get_json()["items"] == []


def test_foreign_records_are_hidden(staff, stranger, made, bulk_assignment):
    assert_hidden(stranger, "GET", "/bulk-assignments/{}", bulk_assignment["id"])
    foreign = stranger.post(PATH, wish(made))
    missing = stranger.post(PATH, wish([], cases=[NOBODYS]))
    assert foreign.status_code == missing.status_code == 404
    assert foreign.data == missing.data
    seen = staff["supervisor"].get(f"/bulk-assignments/{bulk_assignment['id']}")
    assert seen.get_json() == bulk_assignment


def test_other_roles_are_forbidden(staff, bulk_assignment):
    assert_needs_a_role(
        staff["admin"], ("POST", PATH), ("GET", f"/bulk-assignments/{bulk_assignment['id']}")
    )
    assert bulk_assignment["waiting"] == 1


def test_other_methods_are_not_allowed(coach, bulk_assignment):
    assert_only_answers(coach, PATH, "POST")
    assert_only_answers(coach, f"/bulk-assignments/{bulk_assignment['id']}", "GET")
    assert bulk_assignment["done"] is False
