"""Rules need no database, clock or request: nothing that they import at run time could give them one."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import caseapp

PACKAGE = Path(caseapp.__file__).parent
RULES = sorted((PACKAGE / "domain").glob("*/rules.py"))
RULES.append(PACKAGE / "domain/screening/proposals.py")
FORBIDDEN = {"sqlalchemy", "flask", "werkzeug", "time", "random", "os", "secrets"}
# Modules of this application that read the database, the clock or the settings, or change something.
IMPURE = {
    "clock",
    "database",
    "transaction",
    "vault",
    "settings",
    "queries",
    "current",
    "history",
    "operations",
    "hold_operations",
    "correction_operations",
    "stream",
    "models",
}


def imported_at_run_time(path):
    """Yield the modules that a file imports, except for type checks only."""
    waiting = [*ast.parse(path.read_text(encoding="utf-8")).body]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        waiting += ast.iter_child_nodes(node)


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.parent.name)
def test_rules_import_neither_database_nor_clock_nor_request(path):
    for name in imported_at_run_time(path):
        parts = name.split(".")
        assert parts[0] not in FORBIDDEN, name
        assert parts[0] != "caseapp" or not IMPURE & {*parts[:-1], *parts[-1:]}, name


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.parent.name)
def test_rules_never_ask_what_time_it_is(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            assert ast.unparse(node.func).rpartition(".")[2] not in {"now", "today", "utcnow"}


def test_every_package_with_a_deciding_operation_has_rules():
    deciding = {
        path.parent.name
        for path in (PACKAGE / "domain").glob("*/*operations.py")
        if "Locked" in path.read_text(encoding="utf-8")
    }
    # What the job of a bulk assignment may assign is decided by the rules of assignments.
    assert deciding - {path.parent.name for path in RULES} <= {"bulk_assignments"}
