from datetime import timedelta

import pytest

from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.domain.screening.protocol import ITEMS
from tests.api.api_client import (
    assert_error,
    assert_hidden,
    assert_needs_a_role,
    assert_needs_a_version,
    assert_only_answers,
    assert_refused,
    assert_refuses,
    assert_refuses_what_is_no_json,
    etag,
    program,
)
from tests.support import builders, safety_plans
from tests.support import staff as sample_staff
from tests.support.followups import result_body
from tests.support.staff_pages import Statements

CALM = {item.key: "none" for item in ITEMS} | {"asked_alone": True}
LOWER = {"below_reason": "Asked twice, and alone."}
WHY = {"reason": "Two steady weeks and every check made."}


@pytest.fixture
def ines(coach):
    return builders.client(coach.actor, "Ines Okafor")


@pytest.fixture
def hold(coach, ines):
    coach.post(f"/clients/{ines}/screenings", CALM | {"self_harm": "concern"})
    return coach.get(f"/clients/{ines}/holds").get_json()["items"][0]


def test_create_and_list_screenings(coach, ines):
    path = f"/clients/{ines}/screenings"
    answer = coach.post(path, CALM | {"sleep": "watch", "eating": "not_asked", "comment": "Tired."})
    assert answer.status_code == 201
    made = answer.get_json()
    assert made.pop("suspended") == []
    assert made["levels"] == {item.key: "none" for item in ITEMS} | {
        "sleep": "watch",
        "eating": "not_asked",
    }
    assert (made["comment"], made["asked_alone"]) == ("Tired.", True)
    assert coach.get(path).get_json() == {"items": [made], "next": None}
    tasks = coach.get(f"/followups?client={ines}").get_json()["items"]
    assert [task["kind"] for task in tasks] == ["recheck"]


def test_circumstances_raise_a_level_and_are_returned(coach, ines):
    path = f"/clients/{ines}/screenings"
    made = coach.post(path, {"circumstances": ["choking", "pregnancy", "choking"]}).get_json()
    assert made["circumstances"] == ["pregnancy", "choking"]
    assert made["at_least"] == {"fear_at_home": 3}
    assert made["levels"]["fear_at_home"] == "not_asked"
    [hold] = coach.get(f"/clients/{ines}/holds").get_json()["items"]
    assert (hold["kind"], hold["reasons"][0]["level"]) == ("safety", 3)
    assert_refuses(coach, "POST", path, [("circumstances", {"circumstances": ["moon"]})])


def test_circumstance_is_said_to_have_ended(coach, stranger, ines):
    path, why = f"/clients/{ines}/circumstances", "He handed the rifle in at the police station."
    coach.post(f"/clients/{ines}/screenings", {"circumstances": ["weapons", "choking"]})
    choking, weapons = coach.get(path).get_json()["items"]
    assert (weapons["circumstance"], weapons["ended"]) == ("weapons", None)
    body = {name: weapons[name] for name in ("circumstance", "mentioned_at")} | {"reason": why}
    assert_error(stranger.post(f"{path}/end", body), 404)
    assert_refuses(
        coach,
        "POST",
        f"{path}/end",
        [
            ("circumstance", body | {"circumstance": "moon"}),
            ("reason", body | {"reason": "Gone."}),
            ("mentioned_at", body | {"mentioned_at": None}),
        ],
    )
    ended = coach.post(f"{path}/end", body)
    assert ended.status_code == 200
    assert ended.get_json()["ended"]["reason"] == why
    assert coach.get(path).get_json()["items"] == [choking, ended.get_json()]
    for refused, code in (
        (body, "circumstance_not_current"),
        (body | {"circumstance": "choking"}, "circumstance_never_ends"),
    ):
        answer = assert_error(coach.post(f"{path}/end", refused), 409)
        assert [reason["code"] for reason in answer["reasons"]] == [code]


def test_level_that_falls_steeply_needs_a_reason(coach, ines, hold):
    path = f"/clients/{ines}/screenings"
    refused = assert_error(coach.post(path, CALM), 422)
    assert refused["fields"].keys() == {"below_reason"}
    made = coach.post(path, CALM | LOWER).get_json()
    assert made["below_reason"] == LOWER["below_reason"]


def test_concern_opens_hold_with_flags_and_tasks(coach, ines, hold):
    assert (hold["kind"], hold["released_at"]) == ("safety", None)
    assert hold["reasons"][0]["item"] == "self_harm"
    flags = coach.get(f"/clients/{ines}/flags").get_json()["items"]
    assert [flag["kind"] for flag in flags] == ["self_harm_flag"]
    tasks = {task["kind"] for task in coach.get("/followups").get_json()["items"]}
    assert {"tell_supervisor", "safety_24h", "safety_72h", "safety_7d"} <= tasks
    whole = coach.get(f"/holds/{hold['id']}")
    assert whole.headers["ETag"] == etag(hold)
    assert "screening_not_steady" in {reason["code"] for reason in whole.get_json()["blockers"]}


@pytest.mark.both
def test_screening_that_opens_a_hold_takes_few_statements(coach, ines):
    """SQLite locks the whole database with BEGIN; PostgreSQL locks the client in a statement of its own."""
    locks = int(db.engine.dialect.name == "postgresql")
    # The first request of a token also notes when it was used.
    coach.get("/me")
    with Statements() as writing:
        answer = coach.post(f"/clients/{ines}/screenings", CALM | {"sleep": "urgent"})
    assert answer.status_code == 201
    # Of several events the first one takes its place in the log, and the others follow together.
    assert len(writing.seen) == 17 + locks, writing.seen


def test_screening_sent_twice_is_recorded_once(coach, ines):
    path = f"/clients/{ines}/screenings"
    first = coach.post(path, CALM, idempotency_key="a")
    assert coach.post(path, CALM, idempotency_key="a").get_json() == first.get_json()
    assert assert_refused(coach.post(path, CALM | {"sleep": "watch"}, idempotency_key="a")) == [
        "idempotency_key_reused"
    ]
    assert len(coach.get(path).get_json()["items"]) == 1


def test_create_screening_with_invalid_input_names_fields(coach, ines):
    path = f"/clients/{ines}/screenings"
    assert_refuses(
        coach,
        "POST",
        path,
        [
            ("body", {}),
            ("levels", {"sleep": "not_asked"}),
            ("sleep", CALM | {"sleep": "terrible"}),
            ("sleep", CALM | {"sleep": 2}),
            ("mood", CALM | {"mood": "none"}),
            ("asked_alone", CALM | {"asked_alone": "perhaps"}),
            ("actions_taken", CALM | {"actions_taken": ["sang"]}),
            ("comment", CALM | {"comment": "x" * 1_000_000}),
        ],
    )
    assert_refuses_what_is_no_json(coach, "POST", path)
    assert coach.get(path).get_json()["items"] == []


def test_named_supervisor_of_another_team_releases_the_hold(app, staff, coach, ines, hold):
    other = program(app, sample_staff.add("supervisor2", role="supervisor"))
    path = f"/holds/{hold['id']}"
    assert other.get(path).status_code == 404
    body = {"user_id": str(other.actor.id)}
    wrong = {"user_id": str(coach.actor.id)}
    refused = coach.post(f"{path}/second-person", wrong, version=hold)
    assert assert_refused(refused) == ["not_a_supervisor", "recorded_screening"]
    named = coach.post(f"{path}/second-person", body, version=hold)
    assert named.status_code == 200
    assert named.get_json()["second_person_id"] == str(other.actor.id)
    assert other.get(path).get_json()["id"] == hold["id"]
    assert_refuses(
        coach,
        "POST",
        f"{path}/second-person",
        [("user_id", {}), ("user_id", {"user_id": 7})],
        version=named.get_json(),
    )
    assert_needs_a_version(coach, "POST", f"{path}/second-person", body, named.get_json())
    early = other.post(f"{path}/release", WHY, version=named.get_json())
    assert "screening_not_steady" in assert_refused(early)
    assert "second_person_needed" not in assert_refused(early)


@pytest.mark.slow
def test_release_by_supervisor_without_blockers_succeeds(staff, coach, ines, hold):
    supervisor, path = staff["supervisor"], f"/holds/{hold['id']}/release"
    refused = assert_refused(supervisor.post(path, WHY, version=hold))
    assert {"screening_not_steady", "task_open"} <= set(refused)
    with at(now() + timedelta(days=8)):
        coach.post(f"/clients/{ines}/screenings", CALM | LOWER)
        safety_plans.write(coach.actor, ines)
        for task in coach.get(f"/followups?client={ines}").get_json()["items"]:
            coach.patch(f"/followups/{task['id']}", result_body(task), version=task)
        assert_refuses(
            supervisor,
            "POST",
            path,
            [("reason", {}), ("reason", {"reason": "short"}), ("why", WHY | {"why": "x"})],
            version=hold,
        )
        assert_refuses_what_is_no_json(supervisor, "POST", path, version=hold)
        assert_needs_a_version(supervisor, "POST", path, WHY, hold)
        cleared = supervisor.post(path, WHY, version=hold)
    assert cleared.status_code == 200, cleared.get_json()
    assert cleared.get_json()["released_by"] == str(supervisor.actor.id)
    assert assert_refused(supervisor.post(path, WHY, version=cleared.get_json())) == [
        "already_released"
    ]


def test_screenings_of_other_coach_are_not_found(stranger, staff, ines, hold):
    for noun in ("screenings", "flags", "holds"):
        assert_hidden(stranger, "GET", f"/clients/{{}}/{noun}", ines)
    assert_hidden(stranger, "POST", "/clients/{}/screenings", ines, CALM)
    assert_hidden(stranger, "GET", "/holds/{}", hold["id"])


def test_screenings_require_role(staff, coach, ines, hold):
    assert_error(coach.post(f"/holds/{hold['id']}/release", WHY, version=hold), 403, "forbidden")
    assert_needs_a_role(
        staff["admin"],
        ("GET", f"/clients/{ines}/screenings"),
        ("POST", f"/clients/{ines}/screenings"),
        ("GET", f"/clients/{ines}/flags"),
        ("GET", f"/clients/{ines}/holds"),
        ("GET", f"/holds/{hold['id']}"),
        ("POST", f"/holds/{hold['id']}/release"),
    )


def test_other_methods_are_not_allowed(coach, ines, hold):
    assert_only_answers(coach, f"/clients/{ines}/screenings", "GET", "POST")
    assert_only_answers(coach, f"/clients/{ines}/flags", "GET")
    assert_only_answers(coach, f"/clients/{ines}/holds", "GET")
    assert_only_answers(coach, f"/holds/{hold['id']}", "GET")
    assert_only_answers(coach, f"/holds/{hold['id']}/release", "POST")


REASON = "Two short nights before an exam."


@pytest.fixture
def tired(coach, ines):
    """Return a client whose sleep and eating have been at watch for 15 days."""
    with at(now() - timedelta(days=15)):
        coach.post(f"/clients/{ines}/screenings", CALM | {"sleep": "watch", "eating": "watch"})
    return f"/clients/{ines}/proposals"


def test_lasting_since_takes_a_day_or_a_month(coach, ines):
    path = f"/clients/{ines}/screenings"
    lasting = {"sleep": "2025-11", "work": "2025-12-24", "eating": "2025-01-01"}
    made = coach.post(path, CALM | {"sleep": "watch", "work": "concern", "lasting_since": lasting})
    assert made.status_code == 201
    # Nothing has lasted in an item at none.
    assert made.get_json()["lasting_since"] == {"sleep": "2025-11-01", "work": "2025-12-24"}


@pytest.mark.parametrize(
    "lasting",
    [{"sleep": "2999-01-01"}, {"sleep": "1900-01"}, {"sleep": "soon"}, {"self_harm": "2025-11"}],
)
def test_lasting_since_refuses_what_cannot_be(coach, ines, lasting):
    answer = coach.post(
        f"/clients/{ines}/screenings",
        CALM | {"sleep": "watch", "self_harm": "watch", "lasting_since": lasting},
    )
    assert answer.status_code == 422
    assert next(iter(answer.get_json()["error"]["fields"])).startswith("lasting_since.")


def test_proposals_are_listed_and_decided(coach, ines, tired):
    listed = coach.get(tired).get_json()["items"]
    assert [found["item"] for found in listed] == ["eating", "sleep"]
    answer = coach.post(tired, {"concerns": ["sleep"], "declined": {"eating": REASON}})
    assert answer.get_json() == {"proposals": []}
    [hold] = coach.get(f"/clients/{ines}/holds").get_json()["items"]
    assert (hold["kind"], hold["reasons"][0]["item"]) == ("care", "sleep")
    refused = coach.post(tired, {"concerns": ["sleep"]})
    assert refused.status_code == 409
    assert refused.get_json()["error"]["reasons"][0]["code"] == "not_proposed"


@pytest.mark.parametrize(
    "body",
    [
        {"concerns": []},
        {"declined": {"sleep": "Too short."}},
        {"concerns": ["sleep"], "declined": {"sleep": REASON}},
        {"concerns": ["self_harm"]},
        {"declined": {"mood": REASON}},
    ],
)
def test_unclear_decisions_are_refused(coach, tired, body):
    assert coach.post(tired, body).status_code == 422
    assert len(coach.get(tired).get_json()["items"]) == 2


def test_proposals_are_hidden_from_other_staff(stranger, ines, tired):
    assert tired
    assert_hidden(stranger, "GET", "/clients/{}/proposals", ines)
    assert_hidden(stranger, "POST", "/clients/{}/proposals", ines, {"concerns": ["sleep"]})


WRONG = {"reason": "Wrong key: she was never asked."}


def test_screening_recorded_in_error_counts_for_nothing(coach, ines, hold):
    path = f"/clients/{ines}/screenings"
    [made] = coach.get(path).get_json()["items"]
    assert made["in_error"] is None
    here = f"/screenings/{made['id']}/error"
    marked = coach.post(here, WRONG).get_json()
    assert marked["in_error"]["reason"] == WRONG["reason"]
    assert marked["levels"] == made["levels"]
    assert coach.get(path).get_json()["items"] == [marked]
    ended = coach.get(f"/holds/{hold['id']}").get_json()
    assert (ended["in_error"], ended["blockers"]) == (True, [])
    assert coach.get(f"/clients/{ines}/flags").get_json()["items"] == []
    open_tasks = coach.get(f"/followups?client={ines}").get_json()["items"]
    assert open_tasks == []
    assert assert_refused(coach.post(here, WRONG)) == ["already_in_error"]


def test_marking_with_invalid_input_or_by_others_changes_nothing(
    staff, coach, stranger, ines, hold
):
    [made] = coach.get(f"/clients/{ines}/screenings").get_json()["items"]
    here = f"/screenings/{made['id']}/error"
    short = "Wrong" + " \u200b" * 30
    assert_refuses(
        coach,
        "POST",
        here,
        [("reason", {}), ("reason", {"reason": short}), ("reason", {"reason": "x" * 2001})],
    )
    assert_refuses_what_is_no_json(coach, "POST", here)
    assert_hidden(stranger, "POST", "/screenings/{}/error", made["id"], WRONG)
    assert_needs_a_role(staff["admin"], ("POST", here))
    assert_only_answers(coach, here, "POST")
    with at(now() + timedelta(hours=2)):
        assert assert_refused(coach.post(here, WRONG)) == ["correction_too_late"]
    assert coach.get(f"/clients/{ines}/screenings").get_json()["items"] == [made]


@pytest.mark.slow
def test_supervisor_allows_one_handout_in_spite_of_a_care_hold(staff, coach, stranger):
    made = builders.case(coach.actor)
    coach.post(f"/clients/{made.client_id}/screenings", CALM | {"sleep": "concern"})
    [hold] = coach.get(f"/clients/{made.client_id}/holds").get_json()["items"]
    path, supervisor = f"/holds/{hold['id']}/allowed-handout", staff["supervisor"]
    body = {
        "handout": "my-reasons",
        "case_id": str(made.case_id),
        "reason": "It keeps her from writing to him at night.",
    }
    assert_error(coach.post(path, body, version=hold), 403, "forbidden")
    assert_refuses(
        supervisor,
        "POST",
        path,
        [
            ("handout", body | {"handout": ""}),
            ("handout", body | {"handout": "no-such-sheet"}),
            ("reason", body | {"reason": "Because."}),
            ("case_id", body | {"case_id": "x"}),
        ],
        version=hold,
    )
    refused = supervisor.post(path, body | {"handout": "help-right-now"}, version=hold)
    assert assert_refused(refused) == ["not_barred"]
    allowed = supervisor.post(path, body, version=hold)
    assert allowed.status_code == 200
    shown = allowed.get_json()
    assert (shown["allowed_handout"], shown["allowed_case_id"]) == ("my-reasons", str(made.case_id))
    assert "reason" not in shown
    wanted = {"slug": "my-reasons", "channel": "print", "confirmed": True}
    given = coach.post(f"/cases/{made.case_id}/assignments", wanted)
    assert given.status_code == 201
    coach.post(f"/clients/{made.client_id}/screenings", CALM | {"sleep": "concern"})
    renewed = coach.get(f"/holds/{hold['id']}").get_json()
    assert renewed["allowed_handout"] == ""
    again = supervisor.post(path, body, version=renewed)
    assert again.get_json()["allowed_handout"] == "my-reasons"
    coach.post(f"/clients/{made.client_id}/screenings", CALM | {"self_harm": "concern"})
    assert coach.get(f"/holds/{hold['id']}").get_json()["allowed_handout"] == ""
    holds = coach.get(f"/clients/{made.client_id}/holds").get_json()["items"]
    care = next(one for one in holds if one["kind"] == "care")
    assert assert_refused(supervisor.post(path, body, version=care)) == ["safety_hold_open"]
