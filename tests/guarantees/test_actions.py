"""The roles and their actions, as a table that a reader can check against the practice's own rules."""

from __future__ import annotations

import ast
from itertools import product

import pytest

from caseapp.core.actor import Actor, operator, require
from caseapp.core.errors import Forbidden
from caseapp.core.permissions import ACTIONS_BY_ROLE, STAFF_ROLES, Action, Role
from caseapp.core.settings import ROOT
from tests.guarantees import sample_data as w

EVERY_MEMBER_OF_STAFF = {
    "self.read",
    "account.edit",
    "factor.manage",
    "identity.link",
    "token.make",
    "session.end",
    "form.draft",
    "today.read",
    "handout.read",
    "consent_text.read",
    "erasure.read",
}
COACH = EVERY_MEMBER_OF_STAFF | {
    "client.create",
    "client.read",
    "client.edit",
    "client.cover",
    "client.transfer",
    "contact.confirm",
    "portal.invite",
    "device.forget",
    "case.open",
    "case.read",
    "case.edit",
    "case.move",
    "case.close",
    "case.reopen",
    "case.export",
    "note.read",
    "note.write",
    "note.sign",
    "note.amend",
    "note.move",
    "screening.read",
    "screening.record",
    "screening.correct",
    "circumstance.end",
    "flag.set",
    "contact.read",
    "contact.write",
    "consent.read",
    "consent.write",
    "disclosure.read",
    "disclosure.write",
    "erasure.request",
    "plan.read",
    "plan.write",
    "hold.read",
    "hold.name",
    "hold.open",
    "alert.read",
    "alert.send",
    "alert.acknowledge",
    "followup.read",
    "followup.write",
    "assignment.read",
    "assignment.create",
    "assignment.mark",
    "assignment.withdraw",
    "emergency.open",
    "record.export",
    "amendment.write",
}
SUPERVISOR = COACH | {
    "board.read",
    "client.hand_over",
    "client.merge",
    "denial.manage",
    "consent_text.publish",
    "erasure.decide",
    "retention.read",
    "legal_hold.read",
    "legal_hold.manage",
    "emergency.review",
    "conflict.read",
    "conflict.decide",
    "hold.allow",
    "hold.release",
    "flag.clear",
    "note.cosign",
    "note.return",
    "draft.read",
    "draft.file",
    "cosignature.set",
    "handout.review",
    "handout.recall",
    "handout.write",
    "handout.approve",
    "handout.hide",
}
ADMIN = EVERY_MEMBER_OF_STAFF | {
    "cosignature.set",
    "denial.manage",
    "consent_text.publish",
    "erasure.decide",
    "erasure.repeat",
    "retention.read",
    "legal_hold.read",
    "legal_hold.manage",
    "report.export",
    "audit.read",
    "chain.begin",
    "checkpoint.begin",
    "signatures.begin",
    "rollback.accept",
    "practice.edit",
    "user.manage",
    "access.explain",
    "program.manage",
    "token.manage",
    "key.rotate",
    "key.renew",
    "key.reveal",
    "handout.review",
    "handout.recall",
    "handout.write",
    "handout.approve",
    "handout.hide",
}
CLIENT = {
    "portal.read",
    "portal.mark",
    "portal.write",
    "device.manage",
    "pin.change",
    "session.end",
    "form.draft",
}
TABLE = {
    Role.COACH: COACH | {"conflict.ask"},
    Role.SUPERVISOR: SUPERVISOR,
    Role.ADMIN: ADMIN,
    Role.CLIENT: CLIENT,
    Role.SIGNING_IN: {"portal.pin", "session.end"},
}


@pytest.mark.parametrize("role", Role)
def test_each_role_has_exactly_its_actions(role):
    """What a role may do is written down twice, so that nobody widens it by the way (VULN-39)."""
    assert set(map(str, ACTIONS_BY_ROLE[role])) == TABLE[role]


def test_admin_sees_no_client_and_coach_releases_no_hold():
    about_clients = (
        "client.",
        "case.",
        "note.",
        "screening.",
        "circumstance.",
        "plan.",
        "hold.",
        "followup.",
        "alert.",
        "assignment.",
    )
    assert not any(action.startswith(about_clients) for action in ADMIN)
    assert not {"hold.release", "flag.clear", "conflict.read"} & COACH


def test_action_outside_the_role_is_refused():
    for role, action in product(Role, Action):
        actor = Actor(operator().id, role, "Somebody", "web")
        if str(action) in TABLE[role]:
            require(actor, action)
            assert actor.may(action), (role, action)
        else:
            assert not actor.may(action), (role, action)
            with pytest.raises(Forbidden):
                require(actor, action)


def test_staff_and_client_roles_are_disjoint():
    assert set(Role) - STAFF_ROLES == {Role.CLIENT, Role.SIGNING_IN}


def named(path):
    """List the actions that a module names."""
    return {
        node.attr
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "Action"
    }


@pytest.mark.slow
def test_every_action_is_used():
    sources = [path for path in (ROOT / "caseapp").rglob("*.py") if path.name != "permissions.py"]
    used = set().union(*map(named, sources))
    assert {action.name for action in Action} - used == set()


def test_every_http_action_is_declared_by_a_view(session_app):
    """Actions of the command line, and those that only an operation asks for, are named here."""
    declared = {str(route.action) for route in w.routes(session_app) if route.action}
    elsewhere = {
        "conflict.read",  # asked while a client is added
        "hold.open",  # a screening opens it
        "alert.send",  # a hold that opens sends it, and later the worker
        "safety.write",  # what the log says in place of an action that it seals
        "sign_in",  # recorded; whoever signs in is nobody yet
        "access.explain",  # the command line
        "token.manage",  # the command line
        "key.rotate",  # the command line
        "key.renew",  # the command line
        "key.reveal",  # the command line
        "rollback.accept",  # the command line
        "erasure.repeat",  # the command line
        "chain.begin",  # `caseapp init` does it
        "checkpoint.begin",  # the worker does it
        "signatures.begin",  # `caseapp init` does it
    }
    assert set(map(str, Action)) - declared <= elsewhere
