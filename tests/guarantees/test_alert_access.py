"""An alert that reaches somebody of another team, or a hold that names them, opens its own page and no other."""

from __future__ import annotations

import pytest

from caseapp.core.permissions import ACTIONS_BY_ROLE
from caseapp.core.transaction import transaction
from caseapp.domain.alerts.models import AlertRecipient
from caseapp.domain.clients.codes import ALERTED
from caseapp.domain.clients.memberships import join_for
from caseapp.domain.clients.queries import take_client_lock
from caseapp.domain.screening.hold_operations import name_second_person
from caseapp.domain.screening.queries import lock_hold
from tests.guarantees import sample_data as w

pytestmark = pytest.mark.slow

# What the alert itself opens.
PERMITTED = {
    "GET /alerts/<uuid:alert_id>",
    "POST /alerts/<uuid:alert_id>",
    "POST /alerts/<uuid:alert_id>/acknowledge",
    "POST /api/v1/alerts/<uuid:alert_id>/acknowledge",
}


@pytest.fixture
def reached(world):
    """Let an alert about the coach's client reach a supervisor of another team."""
    outsider = world.actors["supervisor2"].id
    with transaction() as session:
        take_client_lock(world.own["client_id"])
        session.add(
            AlertRecipient(alert_id=world.own["alert_id"], user_id=outsider, step="manager")
        )
        join_for(world.own["client_id"], outsider, ALERTED)
    return world


# Their own alerts, and their own emergency access to another client's record, which the sample world has.
NAMED_IN = {
    "/alerts",
    "/api/v1/alerts",
    "/today",
    "/emergency-access",
    "/api/v1/emergency-access",
}
# What being named for a hold opens.
PERMITTED_TO_NAMED = {
    "GET /holds/<uuid:hold_id>",
    "POST /holds/<uuid:hold_id>/release",
    "GET /api/v1/holds/<uuid:hold_id>",
    "POST /api/v1/holds/<uuid:hold_id>/release",
    "POST /api/v1/holds/<uuid:hold_id>/second-person",
}


def opened_routes(world):
    """Return the routes about somebody's record that open to the supervisor of another team."""
    mine = ACTIONS_BY_ROLE[world.actors["supervisor2"].role]
    opened, tried = set(), 0
    for route in w.routes(world.app):
        owned = route.rule.arguments & w.OWNED
        if not owned or route.action not in mine or route.method == "HEAD":
            continue
        tried += 1
        body = w.BODIES.get(route.name, {})
        answer = w.send(world, route, "supervisor2", world.own, body=body)
        if answer.status_code != 404:
            opened.add(route.name)
    assert tried > 40
    # A form without its page's key is refused only after its record was found.
    return opened


def test_alert_opens_only_its_own_page_to_somebody_outside_the_care_team(reached):
    assert opened_routes(reached) == PERMITTED


def test_hold_opens_only_its_own_page_to_whoever_is_named_for_it(world):
    hold_id = world.own["hold_id"]
    with transaction():
        hold = lock_hold(world.actors["coach"], hold_id)
        name_second_person(
            world.actors["coach"], hold, world.actors["supervisor2"].id, hold.hold.version
        )
    assert opened_routes(world) == PERMITTED_TO_NAMED


def test_alert_brings_its_client_into_no_list_or_search(reached):
    """Pages and API alike (VULN-18)."""
    name = "Ines Okafor"
    for route in w.routes(reached.app):
        mine = ACTIONS_BY_ROLE[reached.actors["supervisor2"].role]
        if route.method != "GET" or route.rule.arguments or route.action not in mine:
            continue
        answer = w.send(
            reached, route, "supervisor2", reached.own, path=f"{route.rule.rule}?q=Ines"
        )
        if answer.mimetype not in {"text/html", "application/json"}:
            continue
        text = answer.get_data(as_text=True)
        shown = (
            name in text or reached.own["number"] in text or str(reached.own["client_id"]) in text
        )
        assert shown <= (route.rule.rule in NAMED_IN), route.name
