from datetime import timedelta

import pytest

from caseapp.core.clock import at, now
from caseapp.domain.audit.security_events import BURST, count_event
from tests.api.api_client import assert_error, assert_needs_a_role, assert_only_answers
from tests.support import builders

pytestmark = pytest.mark.both


def test_list_events_shows_actor_action_and_record(staff, coach):
    admin = staff["admin"]
    client_id = builders.client(coach.actor, "Ines Okafor", email="ines@example.org")
    coach.get(f"/clients/{client_id}")
    staff["coach2"].get(f"/clients/{client_id}")
    page = admin.get(f"/audit?client={client_id}").get_json()["items"]
    assert [(item["action"], item["outcome"], item["via"]) for item in page] == [
        ("client.read", "done", "api"),
        ("client.create", "done", "web"),
    ]
    refused = admin.get("/audit?outcome=refused").get_json()["items"]
    assert [item["actor_id"] for item in refused] == [str(staff["coach2"].actor.id)]
    assert refused[0]["object_id"] == str(client_id)
    mine = admin.get(f"/audit?actor={coach.actor.id}&action=client.read").get_json()["items"]
    assert len(mine) == 1
    text = admin.get("/audit?limit=200").get_data(as_text=True)
    assert "Okafor" not in text
    assert "example.org" not in text


def test_list_events_pages(staff):
    for _ in range(3):
        builders.client(staff["coach"].actor)
    admin = staff["admin"]
    of_coach = f"/audit?actor={staff['coach'].actor.id}"
    whole = admin.get(of_coach).get_json()["items"]
    first = admin.get(f"{of_coach}&limit=2").get_json()
    rest = admin.get(f"{of_coach}&cursor={first['next']}").get_json()["items"]
    assert first["items"] + rest == whole


def test_list_events_names_invalid_filters(staff):
    for query, field in (
        ("action=steal", "action"),
        ("outcome=maybe", "outcome"),
        ("actor=me", "actor"),
        ("client=x", "client"),
        ("colour=red", "colour"),
    ):
        assert assert_error(staff["admin"].get(f"/audit?{query}"), 422)["fields"].keys() == {field}


def test_list_events_needs_an_admin(staff):
    """Neither a coach nor a supervisor does (VULN-11)."""
    assert_needs_a_role(staff["coach"], ("GET", "/audit"))
    assert_needs_a_role(staff["supervisor"], ("GET", "/audit"))
    assert_only_answers(staff["admin"], "/audit", "GET")


def test_security_events_are_listed_as_on_the_page_people(staff):
    admin, coach = staff["admin"], staff["coach"].actor
    client_id = builders.client(coach)
    half_past = now().replace(minute=30)
    with at(half_past):
        for _ in range(BURST):
            count_event("password", coach.id)
        count_event("token")
    with at(half_past + timedelta(seconds=1)):
        for _ in range(BURST):
            count_event("pin", client_id)
    answer = admin.get("/security-events")
    assert str(client_id) not in answer.get_data(as_text=True)
    assert [
        (item["kind"], item["subject_id"], item["times"]) for item in answer.get_json()["items"]
    ] == [("pin", None, BURST), ("password", str(coach.id), BURST)]
    assert_needs_a_role(staff["coach"], ("GET", "/security-events"))
    assert_needs_a_role(staff["supervisor"], ("GET", "/security-events"))
