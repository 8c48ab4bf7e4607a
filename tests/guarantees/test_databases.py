"""What behaves differently on the two databases is tested on both."""

from __future__ import annotations

import ast
import inspect
import textwrap

import pytest

from tests.support.usage import COLLECTED

SIGNS = ("together", "dialect", "with_for_update", "side_transaction")
"""Names whose use in a test shows that locks, several connections or the kind of database matter."""


def uses(function) -> set[str]:
    """List the signs that stand in a test's own code."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return (names | attributes) & set(SIGNS)


def names_its_database(item) -> bool:
    """Return whether a test chooses its database itself."""
    marks = item.iter_markers("parametrize")
    return any("database_url" in str(mark.args[0]) for mark in marks)


@pytest.mark.slow
def test_tests_of_locks_and_dialects_run_on_both_databases(request):
    missing = {
        item.nodeid.partition("[")[0]: uses(item.function)
        for item in request.config.stash[COLLECTED]
        if "database_url" in item.fixturenames
        and not item.get_closest_marker("both")
        and not names_its_database(item)
        and uses(item.function)
    }
    assert missing == {}


def test_a_test_marked_both_uses_a_database(request):
    idle = {
        item.nodeid.partition("[")[0]
        for item in request.config.stash[COLLECTED]
        if any(mark.name == "both" for mark in item.own_markers)
        and "database_url" not in item.fixturenames
    }
    assert idle == set()
