"""The worked examples of docs/contributing.md are applied to a copy of the tree, and their commands pass there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

from caseapp.core.migrate import alembic_config
from caseapp.core.settings import ROOT
from tests.docs.worked_examples import (
    BrokenExample,
    Step,
    apply,
    copy_tree,
    parse,
    renumbered,
)

TEXT = (ROOT / "docs/contributing.md").read_text(encoding="utf-8")
LONGEST_SECONDS = 900


@pytest.fixture
def examples():
    newest = ScriptDirectory.from_config(alembic_config()).get_current_head()
    return renumbered(parse(TEXT), newest)


def run(command, folder):
    """Run a documented command in the copy, with this Python and without what this run's own pytest was told."""
    program, *arguments = command
    beside = Path(sys.executable).parent / program
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTEST_", "CASEAPP_", "COVERAGE_"))
    }
    return subprocess.run(  # noqa: S603 - the documented commands
        [sys.executable if program == "python" else str(beside), *arguments],
        cwd=folder,
        env=environment | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=LONGEST_SECONDS,
        check=False,
    )


def merged(commands):
    """Join commands that differ only in the paths they take, so that each program starts once."""
    found: dict = {}
    for command in commands:
        words = command.split()
        paths = [word for word in words if "/" in word]
        start = tuple(word for word in words if "/" not in word)
        found.setdefault(start, dict.fromkeys(paths)).update(dict.fromkeys(paths))
    return [[*start, *paths] for start, paths in found.items()]


def test_there_are_worked_examples_for_field_page_rule_and_migration(examples):
    assert [example.title for example in examples] == [
        "add a field",
        "add a page",
        "add a rule",
        "add a migration",
    ]
    for example in examples:
        assert example.steps
        assert any("pytest" in command for command in example.commands)
        tests = [step for step in example.steps if step.path.startswith("tests/")]
        assert tests, f"The example {example.title!r} has no test."


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.timeout(2 * LONGEST_SECONDS)
def test_worked_examples_pass_their_commands_in_a_copy_of_the_tree(examples, tmp_path):
    tree = tmp_path / "tree"
    copy_tree(ROOT, tree)
    for example in examples:
        for step in example.steps:
            apply(step, tree)
    commands = merged(command for example in examples for command in example.commands)
    for command in commands:
        ended = run(command, tree)
        said = f"{' '.join(command)}\n{ended.stdout[-6000:]}{ended.stderr[-2000:]}"
        assert ended.returncode == 0, said
        if "pytest" in command:
            assert "skipped" not in ended.stdout, said


def test_lines_that_are_gone_are_named(tmp_path):
    (tmp_path / "a.py").write_text("one = 1\n")
    with pytest.raises(BrokenExample, match=r"contributing.md:7: a\.py: these lines .* 0 times"):
        apply(Step(7, "a.py", "diff", " two = 2\n+three = 3\n"), tmp_path)


def test_lines_that_are_not_unique_are_refused(tmp_path):
    (tmp_path / "a.py").write_text("one = 1\none = 1\n")
    with pytest.raises(BrokenExample, match="2 times"):
        apply(Step(7, "a.py", "diff", "-one = 1\n+one = 2\n"), tmp_path)


def test_new_file_that_exists_is_refused(tmp_path):
    (tmp_path / "a.py").write_text("one = 1\n")
    with pytest.raises(BrokenExample, match="already exists"):
        apply(Step(7, "a.py", "python", "two = 2\n"), tmp_path)


def test_each_hunk_of_a_diff_is_applied(tmp_path):
    (tmp_path / "a.py").write_text("one = 1\n\ntwo = 2\nthree = 3\n")
    apply(Step(7, "a.py", "diff", "-one = 1\n+one = 0\n@@\n two = 2\n-three = 3\n"), tmp_path)
    assert (tmp_path / "a.py").read_text() == "one = 0\n\ntwo = 2\n"
