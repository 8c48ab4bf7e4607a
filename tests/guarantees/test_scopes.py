"""Every route of the API demands a scope of the token, and no other one opens it."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from caseapp.core.database import db
from caseapp.core.permissions import (
    ACTIONS_BY_ROLE,
    CONFIRMED_ACTIONS,
    SCOPES,
    STAFF_ROLES,
    Role,
    find_scope,
    is_in_scope,
)
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
    actions = {action for role in STAFF_ROLES for action in ACTIONS_BY_ROLE[role]}
    for scope in SCOPES:
        opened = {find_scope(action) for action in actions if is_in_scope(action, {scope})}
        assert opened == {scope, scope.replace(":write", ":read")} & {*SCOPES}


# Changes before which the pages ask again who one is, by the scope with which a token makes them: it is never asked,
# since making it was. A new one is a decision, as it is whether it needs a scope of its own.
UNASKED = {
    "account:write": {"/me/identity/unlink"},
    "clients:write": {
        "/cases/<uuid:case_id>/copies",
        "/clients/<uuid:client_id>/merge",
        "/consent-texts",
        "/holds/<uuid:hold_id>/release",
        "/left-drafts/<uuid:left_draft_id>/file",
        "/notes/<uuid:note_id>/move",
        "/notes/<uuid:note_id>/sign",
        "/notes/<uuid:signed_note_id>/amendments/accept",
        "/notes/<uuid:signed_note_id>/cosign",
        "/notes/<uuid:signed_note_id>/addenda",
        "/screenings/<uuid:screening_id>/error",
    },
    "emergency:write": {"/emergency-access", "/emergency-access/<uuid:emergency_id>/end"},
    "erasure:write": {
        "/clients/<uuid:client_id>/erasures",
        "/erasures/<uuid:erasure_id>/erase",
        "/erasures/<uuid:erasure_id>/refuse",
        "/erasures/<uuid:erasure_id>/withdraw",
        "/legal-holds",
        "/legal-holds/<uuid:legal_hold_id>/lift",
        "/legal-holds/<uuid:legal_hold_id>/review",
    },
    "portal:write": {
        "/clients/<uuid:client_id>/portal-card",
        "/clients/<uuid:client_id>/portal-codes",
    },
    "practice:write": {"/practice"},
    "reports:write": {"/exports"},
    "staff:write": {
        "/denied-access",
        "/denied-access/<uuid:denial_id>/end",
        "/people",
        "/people/<uuid:user_id>",
        "/people/<uuid:user_id>/cosignature",
        "/people/<uuid:user_id>/disable",
        "/people/<uuid:user_id>/enable",
        "/people/<uuid:user_id>/invitation",
        "/people/<uuid:user_id>/password-code",
        "/people/<uuid:user_id>/role",
        "/people/<uuid:user_id>/sessions/end",
    },
}


def test_what_a_token_does_unasked_is_listed_by_its_scope(session_app):
    found: dict = {}
    for route in w.routes(session_app):
        if route.interface == "api" and not route.safe and route.action in CONFIRMED_ACTIONS:
            rule = route.rule.rule.removeprefix("/api/v1")
            found.setdefault(find_scope(route.action), set()).add(rule)
    assert found == UNASKED


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
