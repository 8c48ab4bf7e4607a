"""Faults of comparable products that nothing else here asks about, each under the id it has in docs/requirements.md."""

from __future__ import annotations

import ast

import pytest

from caseapp.core.permissions import ACTIONS_BY_ROLE, Role
from caseapp.core.settings import ROOT
from tests.guarantees import sample_data as w
from tests.guarantees.test_bodies import properties

SOURCES = {
    path.relative_to(ROOT / "caseapp").as_posix(): ast.parse(path.read_text("utf-8"))
    for path in sorted((ROOT / "caseapp").rglob("*.py"))
}
SQL_TEXT = {"text", "literal_column", "exec_driver_sql"}
# Modules that put a statement together, and from what: nothing of it comes from a request.
PUT_TOGETHER = {
    "cli/installation_checks.py": "names of pragmas",
    "core/database.py": "names of pragmas, and how a transaction begins",
    "core/database_roles.py": "roles of the settings, and our own queries",
    "core/migrate.py": "waits and a lock's number",
    "core/pagination.py": "a whole number",
    "core/transaction.py": "the name of a savepoint, and a wait",
    "domain/audit/checkpoints.py": "a lock's number",
    "domain/audit/stored_log_verification.py": "our own queries",
    "domain/audit/tombstones.py": "a lock's number",
    "domain/contacts/models.py": "a code of the table",
    "domain/erasure/treatments.py": "which drafts go, by the table of treatments",
    "domain/keys/writing.py": "a condition of a column's model",
}
# What speaks to other machines, and to which: those that the settings name.
CONNECTING = {
    "core/mail.py": {"smtplib"},
    "http/openid.py": {"authlib.integrations", "requests"},
    "cli/buffering.py": {"socket"},  # the server's own connections
    "core/sandbox/pool.py": {"socket"},  # between processes of ours
    "core/sandbox/server.py": {"socket"},
}
NETWORK = ("socket", "smtplib", "http.client", "urllib.request", "requests", "httpx", "urllib3")
CLIENTS = ("authlib.integrations.flask_client", "authlib.integrations.requests_client")
UNSAFE = ("", "full_", "unsafe_")
UNPACKING = {"zipfile", "tarfile", "shelve", "pickle", "marshal", "xml", "lxml", "jsonpickle"}


def imported(tree):
    """Name every module that a module imports, wherever it does."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def calls(tree):
    """Give every call of a module by the last part of the function's name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


@pytest.mark.slow
def test_no_body_names_the_record_that_it_makes_or_changes(world, app):
    """An `id` in the body of a request is refused, and the record of that id stays as it is (VULN-04)."""
    described = world.browsers["nobody"].get("/api/v1/openapi.json").get_json()
    before, failures, asked = w.digest(), [], 0
    for route in w.routes(app):
        if route.safe or route.interface != "api":
            continue
        if not (fields := properties(described, route)):
            continue
        who = next(
            who
            for who in ("coach", "supervisor", "admin")
            if route.action in ACTIONS_BY_ROLE[Role(who)]
        )
        body = w.BODIES.get(route.name, {}) | {"id": str(world.foreign["note_id"])}
        answer = w.send(world, route, who, world.own, body=body)
        asked += 1
        if "id" in fields or "id" not in answer.get_json().get("error", {}).get("fields", {}):
            failures.append((route.name, answer.status_code, answer.get_json()))
    assert failures == []
    assert asked > 40
    assert w.digest() == before


@pytest.mark.slow
def test_no_statement_is_put_together_from_what_somebody_sent():
    """SQL is built of expressions, whose values go along as parameters; text is constant (VULN-10)."""
    found = {
        module
        for module, tree in SOURCES.items()
        for name, call in calls(tree)
        if name.rpartition(".")[2] in SQL_TEXT
        and name not in {"read.text", "self.text"}
        and not (call.args and isinstance(call.args[0], ast.Constant))
    }
    assert found == {*PUT_TOGETHER}


@pytest.mark.slow
def test_only_mail_and_single_sign_on_connect_to_other_machines():
    """To those that the settings name, so that nobody who uses the application chooses the address (VULN-33)."""
    found: dict = {}
    for module, tree in SOURCES.items():
        for name in imported(tree):
            if name.startswith(CLIENTS) or name in NETWORK:
                short = "authlib.integrations" if name.startswith(CLIENTS) else name
                found.setdefault(module, set()).add(short)
    assert found == CONNECTING


@pytest.mark.slow
def test_nothing_that_somebody_sends_is_unpacked_or_made_an_object_of():
    """No archive, pickle or XML is opened, and YAML is read by its safe loader alone (VULN-41)."""
    found = [
        (module, name)
        for module, tree in SOURCES.items()
        for name in imported(tree)
        if name.partition(".")[0] in UNPACKING
    ]
    called = {name for tree in SOURCES.values() for name, _ in calls(tree)}
    assert found == []
    assert "yaml.safe_load" in called
    assert called & {f"yaml.{kind}load{all_}" for kind in UNSAFE for all_ in ("", "_all")} == set()


@pytest.mark.slow
def test_no_address_is_made_of_the_host_of_a_request():
    """Links in mail and on paper begin with the address of the settings (VULN-15)."""
    attributes = {"host", "host_url", "url_root", "base_url", "root_url"}
    found = [
        (module, ast.unparse(node))
        for module, tree in SOURCES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and ast.unparse(node.value) == "request"
        and node.attr in attributes
    ]
    external = [
        module
        for module, tree in SOURCES.items()
        for _, call in calls(tree)
        if any(keyword.arg == "_external" for keyword in call.keywords)
    ]
    # They compare it: with the host of a form's origin, and with the hosts of the two interfaces.
    assert found == [
        ("http/interfaces.py", "request.host"),
        ("http/security.py", "request.host"),
    ]
    assert external == []
