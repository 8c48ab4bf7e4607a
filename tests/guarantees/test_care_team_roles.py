"""Every statement about care teams says which roles it means: a new role gets into no list or check by accident."""

from __future__ import annotations

import ast
from pathlib import Path

import caseapp

PACKAGE = Path(caseapp.__file__).parent
TABLE = "CareTeamMember"
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


def names_table(statement):
    return any(isinstance(part, ast.Name) and part.id == TABLE for part in ast.walk(statement))


def names_role(statement):
    for part in ast.walk(statement):
        if isinstance(part, ast.Attribute) and ast.unparse(part) == f"{TABLE}.role":
            return True
        if isinstance(part, ast.Call):
            called = ast.unparse(part.func)
            if called in NAME_ROLES or (
                called == TABLE and "role" in {keyword.arg for keyword in part.keywords}
            ):
                return True
            # The primary key ends with the role.
            if called.endswith((".get", ".get_one")) and ast.unparse(part.args[0]) == TABLE:
                return isinstance(part.args[1], ast.Tuple) and len(part.args[1].elts) == KEY_LENGTH
    return False


def test_every_statement_about_care_teams_names_the_roles_that_it_means():
    found, silent = 0, []
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if TABLE not in text:
            continue
        for statement in simple_statements(ast.parse(text)):
            if isinstance(statement, ast.ImportFrom | ast.ClassDef) or not names_table(statement):
                continue
            found += 1
            if not names_role(statement):
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
