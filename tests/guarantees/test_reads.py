"""Whoever opens anything of a client's is in the log, by whichever address, before they read a word (SEC-43)."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.permissions import ACTIONS_BY_ROLE, Role
from caseapp.domain.audit.models import AuditEvent
from tests.guarantees import sample_data as w
from tests.support import builders, staff

pytestmark = pytest.mark.both

# Longer than the quarter of an hour in which a second look at the same record is no new entry.
APART = timedelta(minutes=16)


@pytest.fixture
def world(app):
    found = w.make(app)
    builders.screen(found.actors["coach"], found.own["client_id"])
    return found


def entries(world):
    """Count the reads of this client by this coach."""
    db.session.rollback()
    query = sa.select(sa.func.count()).where(AuditEvent.client_id == world.own["client_id"])
    return db.session.scalar(query)


def of_one_client(world):
    """Give every address that shows something of one client to their coach."""
    for route in w.routes(world.app):
        about = w.OWNED & route.rule.arguments - {"bulk_assignment_id"}
        if route.method == "GET" and about and route.action in ACTIONS_BY_ROLE[Role.COACH]:
            yield route


@pytest.mark.pdf
def test_every_page_that_shows_a_client_records_a_read(world):
    silent, moment, looked = [], now(), 0
    for route in of_one_client(world):
        moment += APART
        with at(moment):
            browser = world.app.test_client()
            staff.sign_in(browser, world.actors["coach"])
            world.browsers["coach"] = browser
            before = entries(world)
            answer = w.send(world, route, "coach", world.own)
        assert answer.status_code in {200, 303, 409}, route.name
        looked += 1
        if entries(world) == before:
            silent.append((route.name, answer.status_code))
    assert looked > 25
    assert silent == []
