import pytest

from caseapp.core import outbox
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

PATH = "/handouts/better-nights/givings"


@pytest.fixture
def made(coach, monkeypatch):
    monkeypatch.setattr(outbox, "_hand_over", [])
    found = [builders.steady_case(coach.actor, name) for name in ("Ines Okafor", "Daniel Roth")]
    builders.screen(coach.actor, found[1].client_id, fear_at_home="concern")
    return found


def wish(made, **changed):
    cases = [str(one.case_id) for one in made]
    return {"cases": cases, "channel": "portal", "line": "For you."} | changed


@pytest.fixture
def giving(coach, made):
    return coach.post("/handouts/first-days-pause/givings", wish(made)).get_json()


def test_ask_for_it_and_follow_it(coach, made):
    answer = coach.post("/handouts/first-days-pause/givings", wish(made))
    assert answer.status_code == 202, answer.get_json()
    asked = answer.get_json()
    assert answer.headers["Location"] == f"/api/v1/givings/{asked['id']}"
    assert (asked["waiting"], asked["left_out"], asked["done"]) == (1, 1, False)
    assert coach.get(f"/givings/{asked['id']}").get_json() == asked
    outbox.sweep()
    found = coach.get(f"/givings/{asked['id']}").get_json()
    assert (found["given"], found["waiting"], found["left_out"], found["done"]) == (1, 0, 1, True)
    daniel, ines = found["items"]
    assert (ines["number"], ines["state"], ines["reasons"]) == (made[0].number, "given", [])
    assert coach.get(f"/assignments/{ines['assignment_id']}").get_json()["line"] == "For you."
    assert daniel["state"] == "left_out"
    assert "hold_open" in [reason["code"] for reason in daniel["reasons"]]
    assert daniel["assignment_id"] is None


def test_sent_twice_it_is_one(coach, made):
    first = coach.post(PATH, wish(made[:1]), once="a")
    assert coach.post(PATH, wish(made[:1]), once="a").get_json() == first.get_json()
    again = coach.post(PATH, wish(made[:1], line="Other."), once="a")
    assert assert_refused(again) == ["once_key_reused"]
    outbox.sweep()
    given = coach.get(f"/cases/{made[0].case_id}/assignments").get_json()["items"]
    assert len(given) == 1


def test_what_is_refused_says_why(coach, made):
    assert assert_refused(coach.post(PATH, wish(made[:1], edition=9))) == ["edition_changed"]
    codes = assert_refused(coach.post("/handouts/reaching-out/givings", wish(made[1:])))
    assert codes[0] == "nobody_left"
    assert "hold_open" in codes
    assert_error(coach.post("/handouts/no-such-sheet/givings", wish(made)), 404, "not_found")


def test_care_is_confirmed_case_by_case_with_what_was_read(coach, made):
    path, ines = "/handouts/my-limits/givings", str(made[0].case_id)
    confirmed: dict
    for confirmed in ({}, {ines: []}, {made[1].client_id.hex: ["later_stage"]}):
        refused = coach.post(path, wish(made[:1], confirmed=confirmed))
        assert "not_confirmed" in assert_refused(refused)
    sure = coach.post(path, wish(made[:1], confirmed={ines: ["later_stage"]}))
    assert sure.status_code == 202
    assert sure.get_json()["waiting"] == 1


def test_names_its_faults(coach, made):
    faults = [
        ("cases", {"channel": "print"}),
        ("cases", wish([])),
        ("cases", wish(made, cases=["me"])),
        ("cases", wish(made, cases=[NOBODYS] * 501)),
        ("channel", wish(made, channel="pigeon")),
        ("line", wish(made, line="x" * 501)),
        ("due_on", wish(made, due_on="2020-01-01")),
        ("edition", wish(made, edition=0)),
        ("confirmed", wish(made, confirmed="all")),
        ("confirmed", wish(made, confirmed=[NOBODYS])),
        ("colour", wish(made, colour="red")),
    ]
    assert_refuses(coach, "POST", PATH, faults)
    assert_refuses_what_is_no_json(coach, "POST", PATH)
    assert coach.get(f"/cases/{made[0].case_id}/assignments").get_json()["items"] == []


def test_hides_what_is_not_yours(staff, stranger, made, giving):
    assert_hidden(stranger, "GET", "/givings/{}", giving["id"])
    foreign = stranger.post(PATH, wish(made))
    missing = stranger.post(PATH, wish([], cases=[NOBODYS]))
    assert foreign.status_code == missing.status_code == 404
    assert foreign.data == missing.data
    seen = staff["supervisor"].get(f"/givings/{giving['id']}")
    assert seen.get_json() == giving


def test_needs_a_coach(staff, giving):
    assert_needs_a_role(staff["admin"], ("POST", PATH), ("GET", f"/givings/{giving['id']}"))
    assert giving["waiting"] == 1


def test_other_methods(coach, giving):
    assert_only_answers(coach, PATH, "POST")
    assert_only_answers(coach, f"/givings/{giving['id']}", "GET")
    assert giving["done"] is False
