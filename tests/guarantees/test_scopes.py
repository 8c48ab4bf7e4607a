"""Every route of the API demands a scope of the token, and no other one opens it."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from caseapp.core.database import db
from caseapp.core.permissions import ACTIONS_BY_ROLE, SCOPES, Role, find_scope, is_in_scope
from caseapp.core.transaction import transaction
from caseapp.domain.auth.models import Token
from tests.guarantees import sample_data as w

UNSEEN = ("audit_event", "audit_event_client", "security_event", "token")
OWNERS = {"coach": Role.COACH, "supervisor": Role.SUPERVISOR, "admin": Role.ADMIN}


def opening(scope):
    """Return the scopes that open a route which demands one: writing includes reading."""
    return {scope, scope.replace(":read", ":write")}


def test_every_route_of_the_api_demands_a_scope(session_app):
    routes = [
        route
        for route in w.routes(session_app)
        if route.interface == "api" and route.action is not None
    ]
    assert len(routes) > 60
    without = [route.name for route in routes if find_scope(route.action) not in SCOPES]
    assert not without, "say in core.permissions.AREAS which scope they need"


def test_scope_to_write_includes_reading_and_nothing_else():
    actions = {action for actions in ACTIONS_BY_ROLE.values() for action in actions}
    for scope in SCOPES:
        opened = {find_scope(action) for action in actions if is_in_scope(action, {scope})}
        assert opened == {scope, scope.replace(":write", ":read")} & {*SCOPES}


@pytest.mark.slow
@pytest.mark.both
def test_token_without_the_scope_is_refused_and_changes_nothing(world, app):
    before, failures, tried = w.digest(but=UNSEEN), [], 0
    for route in w.routes(app):
        if route.interface != "api" or route.action is None:
            continue
        who = next(who for who, role in OWNERS.items() if route.action in ACTIONS_BY_ROLE[role])
        others = [*{*SCOPES} - opening(find_scope(route.action))]
        with transaction():
            db.session.execute(sa.update(Token).values(scopes=others))
        answer = w.send(world, route, who, world.values_for(who))
        tried += 1
        told = answer.headers.get("WWW-Authenticate")
        if (answer.status_code, told) != (403, 'Bearer error="insufficient_scope"'):
            failures.append((route.name, answer.status_code, told))
    assert failures == []
    assert tried > 60
    assert w.digest(but=UNSEEN) == before
