from datetime import timedelta

import pytest

from caseapp.domain.practice.queries import today
from tests.api.api_client import assert_error, assert_needs_a_role
from tests.support import builders


@pytest.mark.slow
def test_hold_is_placed_listed_reviewed_and_lifted_by_another(staff):
    coach, supervisor, admin = staff["coach"], staff["supervisor"], staff["admin"]
    made = builders.case(coach.actor)
    day = (today() + timedelta(days=90)).isoformat()
    body = {"number": made.number, "kind": "claim", "review_on": day}
    assert_needs_a_role(coach, ("GET", "/legal-holds"), ("POST", "/legal-holds"))
    assert {*assert_error(admin.post("/legal-holds", {}), 422, "invalid")["fields"]} == {*body}
    placed = admin.post("/legal-holds", body)
    assert placed.status_code == 201
    own = f"/legal-holds/{placed.get_json()['id']}"
    assert_error(admin.post(f"{own}/lift", {"reason": "ended"}), 409, "rule_broken")
    reviewed = supervisor.post(f"{own}/review", {"review_on": day})
    assert (reviewed.status_code, reviewed.get_json()["review_on"]) == (200, day)
    assert supervisor.get(own).get_json() == reviewed.get_json()
    lifted = supervisor.post(f"{own}/lift", {"reason": "ended"})
    assert (lifted.status_code, lifted.get_json()["lift_reason"]) == (200, "ended")
    assert supervisor.get("/legal-holds").get_json()["items"] == []
    [found] = admin.get("/legal-holds?show=lifted").get_json()["items"]
    assert found == lifted.get_json()
