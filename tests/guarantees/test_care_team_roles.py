"""Every statement about care teams says which roles it means, and leaves out what does not run.

So a new role gets into no list or check by accident, and a membership that has ended opens nothing.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import caseapp

PACKAGE = Path(caseapp.__file__).parent
TABLE = "CareTeamMember"
ALIASED = f"aliased({TABLE})"
# They ask `in_role` themselves.
ASK_IN_ROLE = {
    "select_clients_of",
    "select_visible_clients",
    "_membership",
    "opens",
    "lately_handed_over",
}
# They show what has ended too, or write a membership.
EXCEPTIONS = {
    ("domain/clients/care_team.py", "list_care_team"),
    ("domain/staffing/access.py", "_list_memberships"),
    ("domain/clients/memberships.py", ""),
    # What has not begun ends too.
    ("domain/clients/memberships.py", "end_covers_of"),
    ("domain/clients/memberships.py", "end_care_team"),
    ("domain/staffing/cover_operations.py", "end_cover"),
    ("domain/staffing/cover_operations.py", "end_covers_by"),
    # In another time than now.
    ("domain/clients/coach_changes.py", "find_new_coach"),
    ("domain/staffing/cover_queries.py", "list_overlapping"),
    ("domain/staffing/cover_queries.py", "_was_handed_over"),
}


def simple_statements(node, function=""):
    """Yield the statements inside a node that contain no others, each with the function that it is in."""
    for child in ast.iter_child_nodes(node):
        inside = child.name if isinstance(child, ast.FunctionDef) else function
        inner = [*simple_statements(child, inside)]
        if inner:
            yield from inner
        elif isinstance(child, ast.stmt):
            yield child, inside


def list_aliases(tree):
    """List the names that a module gives to aliases of the table."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and is_aliasing(node):
            names, values = node.targets[0], node.value
            pairs = (
                zip(names.elts, values.elts, strict=True)
                if isinstance(names, ast.Tuple) and isinstance(values, ast.Tuple)
                else [(names, values)]
            )
            found |= {ast.unparse(name) for name, value in pairs if ALIASED in ast.unparse(value)}
    return found


def is_aliasing(statement):
    return ALIASED in ast.unparse(statement)


def names_of_table(statement, aliases):
    """List by which names a statement asks the table, or gets at its rows."""
    named = {part.id for part in ast.walk(statement) if isinstance(part, ast.Name)}
    is_query = any(
        isinstance(part, ast.Attribute) and part.attr in {"select", "exists"}
        for part in ast.walk(statement)
    )
    return ({TABLE} & named) | (aliases & named if is_query else set())


def asks_in_role(statement, name):
    """Tell whether a statement asks `in_role` about the table or an alias."""
    for part in ast.walk(statement):
        if isinstance(part, ast.Call):
            called = ast.unparse(part.func)
            if called in ASK_IN_ROLE or (called == "in_role" and ast.unparse(part.args[0]) == name):
                return True
    return False


@pytest.mark.slow
def test_every_statement_about_care_teams_names_the_roles_that_it_means():
    found, silent, excepted = 0, [], set()
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if TABLE not in text:
            continue
        tree = ast.parse(text)
        aliases = list_aliases(tree)
        for statement, function in simple_statements(tree):
            if isinstance(statement, ast.ImportFrom | ast.ClassDef) or is_aliasing(statement):
                continue
            place = (path.relative_to(PACKAGE).as_posix(), function)
            for name in names_of_table(statement, aliases):
                found += 1
                if asks_in_role(statement, name):
                    continue
                excepted.add(place)
                if place not in EXCEPTIONS:
                    silent.append(f"{place[0]}:{statement.lineno}")
    assert silent == []
    assert excepted == EXCEPTIONS
    assert found > 8


def names_table(node):
    is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
    return is_text and re.search(r"\bcare_team\b", node.value) is not None


@pytest.mark.slow
def test_no_statement_reaches_care_teams_as_text():
    """What is written as text escapes the check above."""
    users = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if any(map(names_table, ast.walk(ast.parse(path.read_text(encoding="utf-8")))))
    }
    # The others say what becomes of the table, by its name.
    assert users == {
        "domain/clients/models.py",
        "domain/erasure/treatments.py",
        "domain/merges/treatments.py",
    }
