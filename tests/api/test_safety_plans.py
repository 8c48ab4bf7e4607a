import pytest

from caseapp.core.transaction import transaction
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.practice.queries import today
from caseapp.domain.safety_plans.codes import EXIT, SAFETY
from caseapp.domain.safety_plans.queries import get_plan_id
from tests.api.api_client import assert_error, assert_refused, etag
from tests.support import builders, safety_plans


@pytest.fixture
def ines(coach):
    client_id = builders.client(coach.actor, "Ines Okafor")
    builders.screen(coach.actor, client_id)
    return client_id


def path(ines):
    return f"/clients/{ines}/safety-plans"


def body(kind=SAFETY, **more):
    return {"kind": kind, "answers": safety_plans.answers(kind)} | more


def write(coach, ines, kind=SAFETY, version=0, **more):
    sent = body(kind, **more)
    return coach.post(path(ines), sent, version={"version": version})


def test_write_and_list_the_versions_of_both_plans(coach, ines):
    first = write(coach, ines, note="First try", review_on=str(today()))
    assert first.status_code == 201
    written = first.get_json()
    assert (written["kind"], written["version"], written["change"]) == ("safety", 1, "written")
    assert (written["note"], written["review_on"]) == ("First try", str(today()))
    second = write(coach, ines, version=1).get_json()
    other = write(coach, ines, EXIT).get_json()
    assert coach.get(path(ines)).get_json()["items"] == [other, second, written]
    page = coach.get(f"{path(ines)}?limit=2").get_json()
    assert page["items"] == [other, second]
    rest = coach.get(f"{path(ines)}?limit=2&cursor={page['next']}").get_json()
    assert rest == {"items": [written], "next": None}


def test_plan_that_replaces_another_version_is_refused(coach, ines):
    write(coach, ines)
    assert_error(write(coach, ines), 412, "stale")


def test_plan_without_required_steps_is_refused(coach, ines):
    answer = write(coach, ines, answers={"matters": "The cat"})
    assert answer.status_code == 422
    assert "copies" in answer.get_json()["error"]["fields"]


def test_plan_sent_twice_is_written_once(coach, ines):
    first, second = (
        coach.post(path(ines), body(), version='"0"', idempotency_key="a") for _ in range(2)
    )
    assert first.get_json() == second.get_json()
    assert len(coach.get(path(ines)).get_json()["items"]) == 1


def test_review_show_and_remove(coach, ines):
    plan = write(coach, ines).get_json()
    address = f"{path(ines)}/{plan['plan_id']}"
    reviewed = coach.post(f"{address}/review", {"review_note": "Right"}, version=plan)
    assert reviewed.headers["ETag"] == '"2"'
    plan = reviewed.get_json()
    assert (plan["change"], plan["note"]) == ("reviewed", "Right")
    assert coach.post(f"{address}/portal", {"wished": False}, version=plan).status_code == 422
    shown = coach.post(f"{address}/portal", {"wished": True}, version=plan).get_json()
    assert shown["shown_on"] == str(today())
    removed = coach.post(f"{address}/portal/remove", version=etag(shown)).get_json()
    assert (removed["shown_on"], removed["version"]) == (None, 4)


def test_exit_plan_can_not_be_shown(coach, ines):
    plan = write(coach, ines, EXIT).get_json()
    answer = coach.post(f"{path(ines)}/{plan['plan_id']}/portal", {"wished": True}, version=plan)
    assert assert_refused(answer) == ["exit_plan"]


def test_plan_that_is_not_written_can_not_be_reviewed(coach, ines):
    with transaction():
        plan_id = get_plan_id(SAFETY, lock_client(coach.actor, ines).key)
    answer = coach.post(f"{path(ines)}/{plan_id}/review", {"review_note": "x"}, version='"0"')
    assert assert_refused(answer) == ["no_plan_yet"]


def test_required_action_waits_for_the_plan(coach, ines):
    builders.screen(coach.actor, ines, self_harm="concern")
    tasks = coach.get(f"/followups?client={ines}").get_json()["items"]
    [task] = [one for one in tasks if one["kind"] == "safety_plan"]
    done = {"result": "done", "method": "call", "note": "Made together."}
    answer = coach.patch(f"/followups/{task['id']}", done, version=task)
    assert assert_refused(answer) == ["no_plan"]
    write(coach, ines)
    assert coach.patch(f"/followups/{task['id']}", done, version=task).status_code == 200
