"""What the README says is there: commands, settings, addresses, files; and nothing names where packages come from."""

from __future__ import annotations

import re

import click
import pytest

from caseapp.cli.commands import caseapp
from caseapp.core.settings import EXPLAINED, PREFIX, ROOT
from caseapp.domain.handouts.library import library

README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def commands(group, before="caseapp"):
    """Walk over every command with the words that call it."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{before} {name}")
        else:
            yield f"{before} {name}"


def documented():
    """Read the commands of the table; a row such as `caseapp user add`, `list` names several."""
    for cell in re.findall(r"^\| (`caseapp [^|]+) \|", README, re.MULTILINE):
        first, *others = re.findall(r"`([^`]+)`", cell)
        yield first
        yield from (f"{first.rpartition(' ')[0]} {other}" for other in others)


def test_every_command_is_named_and_every_command_named_is_there():
    assert sorted(documented()) == sorted(commands(caseapp))


def test_every_target_is_named_and_every_target_named_is_there():
    there = set(re.search(r"^\.PHONY: (.+)$", MAKEFILE, re.MULTILINE)[1].split())
    assert set(re.findall(r"^\| `make ([\w-]+)`", README, re.MULTILINE)) == there
    assert all(re.search(rf"^{target}:", MAKEFILE, re.MULTILINE) for target in there)


def test_every_setting_is_named():
    named = set(re.findall(rf"^\| `{PREFIX}(\w+)`", README, re.MULTILINE))
    assert named == set(EXPLAINED)


def test_setting_up_takes_exactly_two_commands():
    [first, *_] = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    assert [line.split()[0] for line in first.splitlines()] == ["git", "make"]


def test_every_path_is_there():
    paths = re.findall(r"`((?:caseapp|handouts|templates|migrations|tests)/[\w/.]*)`", README)
    assert len(paths) > 5
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_address_of_the_doors_is_there(the_app):
    rules = {rule.rule for rule in the_app.url_map.iter_rules()}
    for address in ("/", "/portal", "/api/v1/openapi.json"):
        assert f"`{address}`" in README
        assert address in rules


def test_the_number_of_handouts_is_right():
    assert f"{len({slug for slug, _ in library()})} handouts" in README


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
def test_no_file_says_where_packages_come_from(file):
    assert "://" not in (ROOT / file).read_text(encoding="utf-8")
