"""Commands, settings, addresses and numbers in the documents are real; and no file names a package source."""

from __future__ import annotations

import re

import click
import pytest

from caseapp.cli.commands import caseapp
from caseapp.core.settings import PREFIX, ROOT, SETTING_DESCRIPTIONS
from caseapp.domain.cases.stages import stages
from caseapp.domain.handouts.library import library
from caseapp.domain.screening.protocol import ITEMS

README = (ROOT / "README.md").read_text(encoding="utf-8")
OPERATIONS = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
FEATURES = (ROOT / "docs/features.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]


def commands(group, before="caseapp"):
    """Yield every command with the words that call it."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{before} {name}")
        else:
            yield f"{before} {name}"


def documented():
    """List the commands of the table; a row such as `caseapp user add`, `list` names several."""
    for cell in re.findall(r"^\| (`caseapp [^|]+) \|", OPERATIONS, re.MULTILINE):
        first, *others = re.findall(r"`([^`]+)`", cell)
        yield first
        yield from (f"{first.rpartition(' ')[0]} {other}" for other in others)


def test_operations_names_exactly_the_commands():
    assert sorted(documented()) == sorted(commands(caseapp))


def test_operations_names_exactly_the_make_targets():
    there = set(re.search(r"^\.PHONY: (.+)$", MAKEFILE, re.MULTILINE)[1].split())
    assert set(re.findall(r"^\| `make ([\w-]+)`", OPERATIONS, re.MULTILINE)) == there
    assert all(re.search(rf"^{target}:", MAKEFILE, re.MULTILINE) for target in there)


def test_operations_names_every_setting():
    named = set(re.findall(rf"^\| `{PREFIX}(\w+)`", OPERATIONS, re.MULTILINE))
    assert named == set(SETTING_DESCRIPTIONS)


def test_setup_takes_exactly_two_commands():
    [first, *_] = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    assert [line.split()[0] for line in first.splitlines()] == ["git", "make"]


def test_every_documented_address_exists(session_app):
    rules = {rule.rule for rule in session_app.url_map.iter_rules()}
    for address in ("/", "/portal", "/api/v1/openapi.json"):
        assert f"`{address}`" in FEATURES
        assert address in rules


def test_numbers_are_right():
    slugs = {slug for slug, _ in library()}
    spanish = {slug for slug, language in library() if language == "es"}
    assert f"{len(slugs)} handouts" in README
    assert f"library of {len(slugs)}, {WORDS[len(spanish)]} of them in Spanish" in FEATURES
    assert f"{WORDS[len(ITEMS)].capitalize()} questions" in FEATURES
    assert f"{WORDS[len(stages())]} stages" in README


@pytest.mark.parametrize(
    "file",
    [
        "Makefile",
        "pyproject.toml",
        "requirements.lock",
        "requirements-test.lock",
        ".ci/run",
        ".ci/packages",
    ],
)
def test_no_file_names_a_package_source(file):
    assert "://" not in (ROOT / file).read_text(encoding="utf-8")
