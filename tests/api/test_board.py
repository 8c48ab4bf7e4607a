"""The supervisor's board and handing over a client, through the API."""

from datetime import timedelta

import pytest

from caseapp.core.clock import at, now
from caseapp.domain.dashboard.board import GROUPS
from tests.api.api_client import (
    NOBODYS,
    assert_error,
    assert_hidden,
    assert_needs_a_role,
    program,
)
from tests.support import builders
from tests.support import staff as accounts


@pytest.fixture
def supervisor(staff):
    return staff["supervisor"]


@pytest.fixture
def ines(coach):
    made = builders.case(coach.actor, "Ines Okafor")
    builders.screen(coach.actor, made.client_id, self_harm="urgent")
    return made


@pytest.mark.slow
def test_board_has_counts_and_rows_of_every_group(supervisor, ines):
    groups = supervisor.get("/board").get_json()["groups"]
    assert [group["group"] for group in groups] == [*GROUPS]
    counts = {group["group"]: group["count"] for group in groups if group["count"]}
    assert counts == {"alerts": 1}
    (row,) = groups[0]["rows"]
    assert (row["client_id"], row["client"], row["number"], row["kind"]) == (
        str(ines.client_id),
        "Ines Okafor",
        ines.number,
        "safety",
    )
    assert supervisor.get("/board/alerts").get_json() == {"items": [row], "next": None}
    assert supervisor.get("/board/levels?limit=1").get_json()["items"] == []
    assert_error(supervisor.get("/board/gossip"), 404)


@pytest.mark.slow
def test_board_counts_overdue_actions_by_person(supervisor, coach):
    made = builders.case(coach.actor)
    with at(now() - timedelta(days=9)):
        builders.screen(coach.actor, made.client_id, sleep="concern")
    groups = {group["group"]: group for group in supervisor.get("/board").get_json()["groups"]}
    (person,) = groups["actions"]["people"]
    assert (person["id"], person["count"]) == (str(coach.actor.id), groups["actions"]["count"])
    path = f"/board/actions?person={coach.actor.id}"
    whole = supervisor.get(path).get_json()["items"]
    assert len(whole) == person["count"] > 0
    assert supervisor.get(f"{path}&limit=1").get_json()["items"] == whole[:1]
    assert supervisor.get(f"/board/actions?person={NOBODYS}").get_json()["items"] == []


def test_levels_are_paged_by_the_cases_that_are_looked_at(supervisor, coach):
    made = [builders.case(coach.actor) for _ in range(3)]
    with at(now() - timedelta(days=20)):
        for case in made[::2]:
            builders.screen(coach.actor, case.client_id, sleep="watch")
    found, cursor, pages = [], "", 0
    while cursor is not None:
        page = supervisor.get(f"/board/levels?limit=1{cursor}").get_json()
        found += page["items"]
        cursor = page["next"] and f"&cursor={page['next']}"
        pages += 1
    assert {row["client_id"] for row in found} == {str(case.client_id) for case in made[::2]}
    assert (len(found), pages) == (2, 3)


def test_supervisor_hands_over_a_client_as_on_the_page(supervisor, coach, ines):
    path = f"/clients/{ines.client_id}/hand-over"
    body = {"from_id": str(coach.actor.id), "heir_id": str(supervisor.actor.id)}
    wrong = body | {"heir_id": str(coach.actor.id)}
    assert assert_error(supervisor.post(path, wrong), 422)["fields"].keys() == {"heir_id"}
    answer = supervisor.post(path, body)
    assert answer.status_code == 200, answer.get_json()
    assert answer.get_json() == body | {"client_id": str(ines.client_id)}
    assert supervisor.get(f"/cases/{ines.case_id}").get_json()["coach_id"] == body["heir_id"]
    assert_error(coach.get(f"/clients/{ines.client_id}"), 404)
    assert_error(supervisor.post(path, body), 404)


def test_board_and_hand_over_are_for_supervisors_of_the_client(app, staff, coach, ines):
    body = {"from_id": str(coach.actor.id), "heir_id": str(staff["supervisor"].actor.id)}
    path = f"/clients/{ines.client_id}/hand-over"
    for who in ("coach", "admin"):
        assert_needs_a_role(staff[who], ("GET", "/board"), ("GET", "/board/alerts"), ("POST", path))
    other = program(app, accounts.add("supervisor2"))
    assert other.get("/board/alerts").get_json()["items"] == []
    assert_hidden(other, "POST", "/clients/{}/hand-over", ines.client_id, body)
