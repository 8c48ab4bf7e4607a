"""The roles and their actions, as a table that a reader can check against the practice's own rules."""

from __future__ import annotations

import ast

import pytest

from caseapp.core.actor import Actor, operator, require
from caseapp.core.errors import Forbidden
from caseapp.core.permissions import ACTIONS_OF, STAFF, Action, Role
from caseapp.core.settings import ROOT
from tests.guarantees import sample_data as w

EVERY_MEMBER_OF_STAFF = {"self.read", "session.end", "today.read", "handout.read", "practice.read"}
COACH = EVERY_MEMBER_OF_STAFF | {
    "client.create",
    "client.read",
    "client.edit",
    "portal.invite",
    "case.open",
    "case.read",
    "case.edit",
    "case.move",
    "case.close",
    "case.reopen",
    "note.read",
    "note.write",
    "note.sign",
    "screening.read",
    "screening.record",
    "flag.raise",
    "hold.read",
    "hold.open",
    "followup.read",
    "followup.write",
    "assignment.read",
    "assignment.make",
    "assignment.mark",
    "assignment.withdraw",
}
SUPERVISOR = COACH | {
    "conflict.read",
    "hold.clear",
    "flag.lower",
    "handout.review",
    "handout.recall",
    "handout.write",
    "handout.approve",
    "handout.hide",
}
ADMIN = EVERY_MEMBER_OF_STAFF | {
    "report.export",
    "audit.read",
    "practice.edit",
    "user.manage",
    "token.manage",
    "handout.review",
    "handout.recall",
    "handout.publish",
    "handout.write",
    "handout.approve",
    "handout.hide",
}
CLIENT = {"portal.read", "portal.mark", "portal.write", "session.end"}
TABLE = {
    Role.COACH: COACH,
    Role.SUPERVISOR: SUPERVISOR,
    Role.ADMIN: ADMIN,
    Role.CLIENT: CLIENT,
    Role.ARRIVING: {"portal.pin", "session.end"},
}


@pytest.mark.parametrize("role", Role)
def test_each_role_has_these_actions_and_no_others(role):
    assert set(map(str, ACTIONS_OF[role])) == TABLE[role]


def test_an_admin_sees_no_client_and_a_coach_clears_no_hold():
    about_clients = ("client.", "case.", "note.", "screening.", "hold.", "followup.", "assignment.")
    assert not any(action.startswith(about_clients) for action in ADMIN)
    assert not {"hold.clear", "flag.lower", "conflict.read"} & COACH


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("action", Action)
def test_what_a_role_lacks_is_refused(role, action):
    actor = Actor(operator().id, role, "Somebody", "web")
    if str(action) in TABLE[role]:
        require(actor, action)
        assert actor.may(action)
    else:
        assert not actor.may(action)
        with pytest.raises(Forbidden):
            require(actor, action)


def test_staff_and_clients_are_told_apart():
    assert {role for role in Role if Actor(operator().id, role, "x", "web").staff} == STAFF
    assert not STAFF & {Role.CLIENT, Role.ARRIVING}


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
def test_every_action_is_asked_for_somewhere():
    sources = [path for path in (ROOT / "caseapp").rglob("*.py") if path.name != "actions.py"]
    used = set().union(*map(named, sources))
    assert {action.name for action in Action} - used == set()


def test_every_action_that_changes_something_over_http_is_declared_by_a_view(the_app):
    """Actions of the command line, and those that only an operation asks for, are named here."""
    declared = {str(route.action) for route in w.routes(the_app) if route.action}
    elsewhere = {
        "conflict.read",  # asked while a client is added
        "handout.publish",  # the command line
        "hold.open",  # a screening opens it
        "practice.read",  # no page of its own yet
        "sign_in",  # recorded; whoever signs in is nobody yet
        "token.manage",  # the command line
    }
    assert set(map(str, Action)) - declared <= elsewhere
