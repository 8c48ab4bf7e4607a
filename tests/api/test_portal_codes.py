"""Codes of clients through the API: shown once, with a reason, the card by somebody else."""

import sqlalchemy as sa

from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.transaction import transaction
from caseapp.domain.auth.models import PortalAccess
from tests.api.api_client import assert_error, assert_needs_a_role
from tests.support import builders

LIST = "/new-codes"


def test_new_codes_are_created_by_two_and_devices_forgotten(staff):
    coach, supervisor = staff["coach"], staff["supervisor"]
    made = builders.case(coach.actor, "Ines Okafor")
    path, card_path = (f"/clients/{made.client_id}/portal-{end}" for end in ("codes", "card"))
    key = {"Idempotency-Key": "first"}
    first = coach.post(path, {"reason": None}, headers=key)
    assert first.status_code == 201
    assert first.get_json()["card_code"]
    again = coach.post(path, {"reason": None}, headers=key).get_json()
    assert again == first.get_json() | {"start_code": None, "card_code": None}
    with transaction():
        db.session.execute(sa.update(PortalAccess).values(first_signed_in_at=now()))
    assert assert_error(coach.post(path, {"reason": None}), 422)["fields"].keys() == {"reason"}
    codes = coach.post(path, {"reason": "new_phone"}).get_json()
    assert (codes["card_code"], codes["mailed"]) == (None, False)
    assert_error(coach.post(card_path), 409, "rule_broken")
    assert supervisor.post(card_path).get_json()["card_code"]
    [listed] = supervisor.get(f"{LIST}?created_by={coach.actor.id}").get_json()["items"]
    assert listed["id"] == codes["id"]
    assert (listed["reason"], listed["number"]) == ("new_phone", made.number)
    assert listed["card_by_name"] == supervisor.actor.name
    assert supervisor.get(f"{LIST}?created_by={supervisor.actor.id}").get_json()["items"] == []
    assert_error(staff["coach2"].post(path, {"reason": "lost"}), 404)
    builders.remember_devices(made.client_id, 2)
    devices = f"/clients/{made.client_id}/portal-devices"
    listed = coach.get(devices).get_json()["items"]
    assert [one["kind"] for one in listed] == [None, None]
    assert_error(staff["coach2"].get(devices), 404)
    assert_error(staff["coach2"].post(f"{devices}/forget"), 404)
    assert supervisor.post(f"{devices}/forget").get_json() == {"forgotten": 2}
    assert coach.get(devices).get_json()["items"] == []
    assert_needs_a_role(coach, ("GET", LIST))
