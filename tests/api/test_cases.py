from datetime import timedelta

import pytest

from caseapp.core.clock import at, now
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
from tests.support import builders, safety_plans

INES = {"name": "Ines Okafor", "safe_channels": ["call"], "consent_on": "2026-05-14"}


@pytest.fixture
def made(coach):
    return builders.case(coach.actor, "Ines Okafor")


@pytest.fixture
def case(coach, made):
    return coach.get(f"/cases/{made.case_id}").get_json()


def closing(**changed):
    return {"outcome": "separated", "reason": "decision", "final_screening": "done"} | changed


def test_create_case_with_new_client(coach):
    answer = coach.post("/cases", {"client": INES, "role": "spouse", "children": 2})
    assert answer.status_code == 201
    made = answer.get_json()
    assert (made["stage"], made["status"], made["hold"]) == ("steady", "open", None)
    assert (made["client"], made["role"], made["children"]) == ("Ines Okafor", "spouse", 2)
    assert made["coach_id"] == str(coach.actor.id)
    assert answer.headers["Location"] == f"/api/v1/cases/{made['id']}"
    assert coach.get(f"/cases/{made['id']}").get_json() == made
    assert coach.get(f"/clients/{made['client_id']}").get_json()["consent_on"] == "2026-05-14"


def test_create_case_for_existing_client_once(coach, stranger):
    client_id = str(builders.client(coach.actor))
    first = coach.post("/cases", {"client_id": client_id}, idempotency_key="a")
    assert first.status_code == 201
    assert (
        coach.post("/cases", {"client_id": client_id}, idempotency_key="a").get_json()
        == first.get_json()
    )
    assert assert_refused(coach.post("/cases", {"client_id": client_id})) == ["case_open"]
    foreign = stranger.post("/cases", {"client_id": client_id})
    missing = stranger.post("/cases", {"client_id": NOBODYS})
    assert assert_error(foreign, 404) == assert_error(missing, 404)


def test_create_case_by_supervisor_only_for_own_coach(staff, coach, stranger):
    supervisor = staff["supervisor"]
    body = {"client": INES, "coach_id": str(coach.actor.id)}
    made = supervisor.post("/cases", body).get_json()
    assert coach.get(f"/cases/{made['id']}").status_code == 200
    assert_refuses(
        supervisor,
        "POST",
        "/cases",
        [("coach_id", {"client": INES | {"name": "B C"}, "coach_id": str(stranger.actor.id)})],
    )


def test_create_case_with_invalid_input_names_fields(coach):
    assert_refuses(
        coach,
        "POST",
        "/cases",
        [
            ("body", {}),
            ("client_id", {"goal": "together"}),
            ("client_id", {"client_id": "no-id"}),
            ("client_id", {"client_id": NOBODYS, "client": INES}),
            ("client.name", {"client": INES | {"name": ""}}),
            ("client.colour", {"client": INES | {"colour": "red"}}),
            ("colour", {"client": INES, "colour": "red"}),
            ("role", {"client": INES, "role": "aunt"}),
            ("children", {"client": INES, "children": "many"}),
            ("order_until", {"client": INES, "order_until": "2026-02-31"}),
            ("gender", {"client": INES, "gender": "x" * 1_000_000}),
        ],
    )
    assert_refuses_what_is_no_json(coach, "POST", "/cases")
    assert coach.get("/clients").get_json()["items"] == []


def test_update_case_keeps_fields_not_sent(coach, case):
    path = f"/cases/{case['id']}"
    answer = coach.patch(
        path, {"stated_reasons": ["peace"], "next_legal_date": "2027-01-31"}, version=case
    )
    assert answer.status_code == 200
    answer = coach.patch(path, {"goal": "together"}, version=answer.get_json())
    changed = answer.get_json()
    assert (changed["stated_reasons"], changed["goal"]) == (["peace"], "together")
    assert changed["next_legal_date"] == "2027-01-31"
    assert answer.headers["ETag"] == etag(changed) == '"3"'


def test_update_case_with_invalid_input_changes_nothing(coach, case):
    path = f"/cases/{case['id']}"
    assert_refuses(
        coach,
        "PATCH",
        path,
        [
            ("body", {}),
            ("stage", {"stage": "repair"}),
            ("goal", {"goal": None}),
            ("review_date", {"review_date": "soon"}),
            ("stated_reasons", {"stated_reasons": ["moon"]}),
        ],
        version=case,
    )
    assert_refuses_what_is_no_json(coach, "PATCH", path, version=case)
    assert_needs_a_version(coach, "PATCH", path, {"goal": "other"}, case)
    assert coach.get(path).get_json() == case


@pytest.mark.slow
def test_list_cases_applies_filters(coach, staff, made):
    held = builders.case(coach.actor, "Bo Ek")
    builders.screen(coach.actor, held.client_id, sleep="concern")
    theirs = builders.case(staff["supervisor"].actor, "Cy Dee")

    def numbers(query, who=coach):
        return {item["number"] for item in who.get(f"/cases?{query}").get_json()["items"]}

    assert numbers("") == {made.number, held.number}
    assert numbers("hold=any") == numbers("hold=care") == {held.number}
    assert numbers("hold=safety") == set()
    assert numbers("q=ek") == numbers(f"q={held.number.lower()}") == {held.number}
    assert numbers("stage=steady&status=open") == {made.number, held.number}
    assert numbers("status=closed") == set()
    assert numbers("", staff["supervisor"]) == {made.number, held.number, theirs.number}
    assert numbers(f"coach={coach.actor.id}", staff["supervisor"]) == {made.number, held.number}
    later = (now() + timedelta(minutes=1)).isoformat().replace("+", "%2B")
    assert numbers(f"updated_since={later}") == set()
    assert numbers("updated_since=2026-01-01T00:00:00Z") == {made.number, held.number}
    for query, field in (
        ("stage=moon", "stage"),
        ("status=held", "status"),
        ("coach=me", "coach"),
        ("hold=yes", "hold"),
        ("updated_since=2026-01-01", "updated_since"),
        ("updated_since=0001-01-01T00:00:00%2B14:00", "updated_since"),
    ):
        assert field in assert_error(coach.get(f"/cases?{query}"), 422)["fields"], query


@pytest.mark.slow
def test_list_cases_pages_have_no_gap(coach):
    made = [builders.case(coach.actor).number for _ in range(5)]
    seen, cursor = [], ""
    while cursor is not None:
        page = coach.get(f"/cases?limit=2&cursor={cursor}").get_json()
        seen += [item["number"] for item in page["items"]]
        cursor = page["next"]
    assert seen == made[::-1]


@pytest.mark.slow
def test_refused_move_names_unmet_criteria(coach, case):
    path = f"/cases/{case['id']}/stage"
    refused = coach.post(path, {"to": "understand"}, version=case)
    found = assert_error(refused, 409)["reasons"]
    assert "never_screened" in {reason["code"] for reason in found}
    assert all(reason["message"] for reason in found)
    assert assert_refused(coach.post(path, {"to": "repair"}, version=case)) == [
        "one_stage_at_a_time"
    ]
    assert assert_refused(coach.post(path, {"to": "steady"}, version=case)) == ["same_stage"]
    assert_refuses(
        coach,
        "POST",
        path,
        [
            ("to", {}),
            ("to", {"to": "moon"}),
            ("evidence", {"to": "understand", "evidence": []}),
            ("reason", {"to": "understand", "reason": "x" * 1_000_000}),
        ],
        version=case,
    )


def test_move_case_forward_and_back(coach):
    made = builders.steady_case(coach.actor, "Ines Okafor")
    path = f"/cases/{made.case_id}"
    case = coach.get(path).get_json()
    stages = coach.get("/stages").get_json()["items"]
    evidence = {
        criterion["id"]: "Seen and talked about."
        for criterion in (*stages[0]["exit"], *stages[1]["entry"])
        if not criterion["check"]
    }
    move = {"to": "understand", "evidence": evidence}
    assert_needs_a_version(coach, "POST", f"{path}/stage", move, case)
    fear = {"fear_at_home": "watch"}
    client = f"/clients/{made.client_id}/screenings"
    assert coach.post(client, fear).status_code == 201
    refused = coach.post(f"{path}/stage", move, version=case)
    assert assert_refused(refused) == ["fear_not_alone"]
    assert coach.post(client, {"sleep": "none"}).status_code == 201
    assert coach.post(client, fear | {"asked_alone": True}).status_code == 201
    moved = coach.post(f"{path}/stage", move, version=case)
    assert moved.status_code == 200, moved.get_json()
    assert moved.get_json()["stage"] == "understand"
    assert moved.headers["ETag"] == '"2"'
    assert_refuses(
        coach, "POST", f"{path}/stage", [("reason", {"to": "steady"})], version=moved.get_json()
    )
    back = {"to": "steady", "reason": "Sleep is worse again."}
    assert (
        coach.post(f"{path}/stage", back, version=moved.get_json()).get_json()["stage"] == "steady"
    )


@pytest.mark.slow
def test_close_and_reopen_case(coach, case, made):
    path = f"/cases/{case['id']}"
    assert assert_refused(coach.post(f"{path}/close", closing(), version=case)) == [
        "screening_of_the_day"
    ]
    reunited = closing(outcome="reunited")
    assert assert_refused(coach.post(f"{path}/close", reunited, version=case)) == [
        "final_screening"
    ]
    assert assert_refused(coach.post(f"{path}/reopen", {"reason": "Came back."}, version=case)) == [
        "case_open"
    ]
    builders.screen(coach.actor, made.client_id)
    assert_refuses(
        coach,
        "POST",
        f"{path}/close",
        [
            ("outcome", {}),
            ("outcome", closing(outcome="married")),
            ("not_screened_reason", closing(final_screening="not_possible")),
            ("follow_up_on", closing(follow_up_consent=True)),
            ("follow_up_on", closing(follow_up_on="never")),
        ],
        version=case,
    )
    assert_needs_a_version(coach, "POST", f"{path}/close", closing(), case)
    closed = coach.post(f"{path}/close", closing(), version=case).get_json()
    assert (closed["status"], closed["outcome"]) == ("closed", "separated")
    assert assert_refused(coach.post(f"{path}/close", closing(), version=closed)) == ["case_closed"]
    assert_refuses(
        coach,
        "POST",
        f"{path}/reopen",
        [("reason", {}), ("reason", {"reason": ""})],
        version=closed,
    )
    assert_needs_a_version(coach, "POST", f"{path}/reopen", {"reason": "Came back."}, closed)
    reopened = coach.post(f"{path}/reopen", {"reason": "Came back."}, version=closed).get_json()
    assert (reopened["status"], reopened["stage"], reopened["outcome"]) == ("open", "steady", None)


@pytest.mark.slow
def test_timeline_lists_all_event_kinds(coach, made):
    with at(now() + timedelta(minutes=1)):
        builders.screen(coach.actor, made.client_id, sleep="concern")
    path = f"/cases/{made.case_id}/timeline"
    items = coach.get(path).get_json()["items"]
    assert {item["kind"] for item in items} == {"stage", "screening", "hold"}
    assert [item["occurred_at"] for item in items] == sorted(
        (item["occurred_at"] for item in items), reverse=True
    )
    plan_id = str(safety_plans.write(coach.actor, made.client_id))
    [plan] = coach.get(f"{path}?kind=plan").get_json()["items"]
    assert (plan["id"], plan["link_kind"]) == (plan_id, "plan")
    items = coach.get(path).get_json()["items"]
    assert plan in items
    only = coach.get(f"{path}?kind=hold").get_json()["items"]
    assert {item["kind"] for item in only} == {"hold"}
    page = coach.get(f"{path}?limit=1").get_json()
    rest = coach.get(f"{path}?cursor={page['next']}").get_json()["items"]
    assert page["items"] + rest == items
    only = coach.get(f"{path}?kind=hold&kind=plan&since=2020-01-01").get_json()["items"]
    assert {item["kind"] for item in only} == {"hold", "plan"}
    assert coach.get(f"{path}?until=2020-01-01").get_json()["items"] == []
    assert assert_error(coach.get(f"{path}?kind=moon"), 422)["fields"].keys() == {"kind"}
    assert assert_error(coach.get(f"{path}?since=soon"), 422)["fields"].keys() == {"since"}


def test_case_of_other_coach_is_not_found(stranger, case):
    here = case["id"]
    assert_hidden(stranger, "GET", "/cases/{}", here)
    assert_hidden(stranger, "GET", "/cases/{}/timeline", here)
    assert_hidden(stranger, "PATCH", "/cases/{}", here, {"goal": "other"}, version='"1"')
    assert_hidden(stranger, "POST", "/cases/{}/stage", here, {"to": "understand"}, version='"1"')
    assert_hidden(stranger, "POST", "/cases/{}/close", here, closing(), version='"1"')
    assert_hidden(stranger, "POST", "/cases/{}/reopen", here, {"reason": "Back."}, version='"1"')
    assert stranger.get("/cases").get_json()["items"] == []


def test_cases_require_coach_role(staff, case):
    path = f"/cases/{case['id']}"
    assert_needs_a_role(
        staff["admin"],
        ("GET", "/cases"),
        ("POST", "/cases"),
        ("GET", path),
        ("PATCH", path),
        ("GET", f"{path}/timeline"),
        ("POST", f"{path}/stage"),
        ("POST", f"{path}/close"),
        ("POST", f"{path}/reopen"),
    )


def test_other_methods_are_not_allowed(coach, case):
    path = f"/cases/{case['id']}"
    assert_only_answers(coach, "/cases", "GET", "POST")
    assert_only_answers(coach, path, "GET", "PATCH")
    assert_only_answers(coach, f"{path}/timeline", "GET")
    for verb in ("stage", "close", "reopen"):
        assert_only_answers(coach, f"{path}/{verb}", "POST")
