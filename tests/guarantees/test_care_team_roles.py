"""Every statement about care teams says which roles it means: a new role gets into no list or check by accident."""

from __future__ import annotations

import ast
from pathlib import Path

import caseapp

PACKAGE = Path(caseapp.__file__).parent
TABLE = "CareTeamMember"
ALIASED = f"aliased({TABLE})"
# They name the roles themselves.
NAME_ROLES = {"select_clients_of", "select_visible_clients"}
# User, client, role.
KEY_LENGTH = 3


def simple_statements(node):
    """Yield the statements inside a node that contain no others."""
    for child in ast.iter_child_nodes(node):
        inner = [*simple_statements(child)]
        if inner:
            yield from inner
        elif isinstance(child, ast.stmt):
            yield child


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


def names_role(statement, name):
    for part in ast.walk(statement):
        if isinstance(part, ast.Attribute) and ast.unparse(part) == f"{name}.role":
            return True
        if isinstance(part, ast.Call):
            called = ast.unparse(part.func)
            if called in NAME_ROLES or (
                called == name and "role" in {keyword.arg for keyword in part.keywords}
            ):
                return True
            # The primary key ends with the role.
            if called.endswith((".get", ".get_one")) and ast.unparse(part.args[0]) == name:
                return isinstance(part.args[1], ast.Tuple) and len(part.args[1].elts) == KEY_LENGTH
    return False


def test_every_statement_about_care_teams_names_the_roles_that_it_means():
    found, silent = 0, []
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if TABLE not in text:
            continue
        tree = ast.parse(text)
        aliases = list_aliases(tree)
        for statement in simple_statements(tree):
            if isinstance(statement, ast.ImportFrom | ast.ClassDef) or is_aliasing(statement):
                continue
            for name in names_of_table(statement, aliases):
                found += 1
                if not names_role(statement, name):
                    silent.append(f"{path.relative_to(PACKAGE)}:{statement.lineno}")
    assert silent == []
    assert found > 8


def test_no_statement_reaches_care_teams_as_text():
    """What is written as text escapes the check above."""
    users = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if "care_team" in path.read_text(encoding="utf-8").replace("join_care_team", "")
    }
    assert users == {"domain/clients/models.py"}
