"""Links, paths and names in the documents are real."""

from __future__ import annotations

import ast
import importlib
import re
from functools import cache

import pytest
import yaml

from caseapp.core.settings import ROOT
from tests.docs.documents import (
    DOCUMENTS,
    PACKAGE,
    anchors,
    inline_code,
    name_of,
    prose,
    read,
    source_text,
    table,
)

LINK = re.compile(r"\]\(([^)\s]+)\)")
# `tests/core/test_vault.py::test_none_stays_none`
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
TOP = ("caseapp", "handouts", "templates", "migrations", "tests", "docs")
# `core.vault.seal`, `clients.visibility.visible_to(actor)`: a module of ours, and what it holds.
DOTTED = re.compile(r"^(?:caseapp\.)?([a-z_]+(?:\.\w+)+)(?:\(.*\))?$")
# What else has dots: files, settings of other programs, and codes of actions.
SUFFIXES = {"html", "js", "md", "py", "css", "toml", "yaml", "json", "db", "lock", "txt"}


def test_every_link_leads_to_a_file_or_heading():
    for path in DOCUMENTS:
        text = path.read_text(encoding="utf-8")
        broken = []
        for link in LINK.findall(prose(text)):
            if "://" in link:
                continue
            file, _, anchor = link.partition("#")
            target = (path.parent / file).resolve() if file else path
            if not target.exists() or (
                anchor and anchor not in anchors(target.read_text(encoding="utf-8"))
            ):
                broken.append(link)
        assert broken == [], path


def test_every_path_exists():
    for path in DOCUMENTS:
        text = path.read_text(encoding="utf-8")
        paths = [
            found
            for found in inline_code(text)
            if re.fullmatch(rf"(?:{'|'.join(TOP)})/[\w/.-]*", found)
        ]
        new = re.findall(r"^`([\w./-]+)`\n+```(?!diff)", text, re.MULTILINE)
        missing = [name for name in paths if name not in new and not (ROOT / name).exists()]
        assert missing == [], path


def packages():
    """Map the first part of a dotted name to where it is imported from: core, http, web, and each domain package."""
    found = {
        folder.name: f"caseapp.{folder.name}" for folder in PACKAGE.iterdir() if folder.is_dir()
    }
    domain = {
        folder.name: f"caseapp.domain.{folder.name}"
        for folder in (PACKAGE / "domain").iterdir()
        if (folder / "__init__.py").exists()
    }
    return domain | found


def resolves(dotted):
    """Tell whether a dotted name is a module of ours or something in one."""
    first, *rest = dotted.split(".")
    where = packages()[first]
    found = importlib.import_module(where)
    for part in rest:
        if not hasattr(found, part):
            try:
                importlib.import_module(f"{where}.{part}")
            except ImportError:
                return False
        found, where = getattr(found, part), f"{where}.{part}"
    return True


def test_every_dotted_name_is_in_a_module_or_an_endpoint(session_app):
    for path in DOCUMENTS:
        unknown = []
        for code in inline_code(path.read_text(encoding="utf-8")):
            found = DOTTED.match(code)
            if found is None or found[1].rsplit(".", 1)[-1] in SUFFIXES:
                continue
            if found[1] in session_app.view_functions or found[1].split(".")[0] not in packages():
                continue
            if not resolves(found[1]):
                unknown.append(code)
        assert unknown == [], path


def test_every_named_test_exists():
    for path in DOCUMENTS:
        named = TEST.findall(path.read_text(encoding="utf-8"))
        unknown = [f"{file}::{name}" for file, name in named if name not in _list_tests(file)]
        assert unknown == [], path


def test_every_promise_about_the_record_names_its_proof():
    """A promise stands in a table of `docs/record.md`, and beside it are tests: functions, or whole files of them.

    An acceptance point has its number before it and its long form behind them.
    """
    text = read("docs/record.md")
    promises = [
        row for heading in re.findall(r"^## .+", text, re.MULTILINE) for row in table(text, heading)
    ]
    assert len(promises) > 40
    loose = []
    for row in promises:
        proof = row[2] if len(row) == 4 else row[-1]
        named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", proof)
        tests = [
            any(test.startswith("test_") for test in _list_tests(file) if name in {"", test})
            for file, name in named
        ]
        if len(row) not in {2, 4} or not tests or not all(tests):
            loose.append(row)
    assert loose == []


@cache
def _list_tests(file):
    nodes = ast.walk(ast.parse(read(file))) if (ROOT / file).exists() else ()
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef)}


def test_diagram_names_every_package_and_only_packages():
    [diagram] = re.findall(r"```mermaid\n(.*?)```", read("docs/architecture.md"), re.DOTALL)
    named = set(re.findall(r"[a-z_]+", " ".join(re.findall(r'"([^"]*)"', diagram))))
    domain = {
        folder.name
        for folder in (PACKAGE / "domain").iterdir()
        if (folder / "__init__.py").exists()
    }
    interfaces = {"web", "portal", "api", "cli", "http", "domain", "core", "factory"}
    assert (domain | interfaces) - named == set()


def test_every_decision_is_in_the_index():
    files = {path.name for path in (ROOT / "docs/decisions").glob("[0-9]*.md")}
    assert set(re.findall(r"\((\d{4}[\w-]+\.md)\)", read("docs/decisions/README.md"))) == files


def test_every_document_is_reached_from_the_readme():
    reached, left = set(), [ROOT / "README.md"]
    while left:
        path = left.pop()
        if path in reached or path.suffix != ".md":
            continue
        reached.add(path)
        links = LINK.findall(prose(path.read_text(encoding="utf-8")))
        left += [
            (path.parent / link.partition("#")[0]).resolve()
            for link in links
            if "://" not in link and link.partition("#")[0]
        ]
    assert [name_of(path) for path in DOCUMENTS if path not in reached] == []


@pytest.mark.slow
def test_every_code_name_of_the_glossary_is_in_the_program():
    text = read("docs/glossary.md")
    rows = [row for line in re.findall(r"^## .+$", text, re.MULTILINE) for row in table(text, line)]
    names = [name for row in rows for name in re.findall(r"`([^`]+)`", " ".join(row[1:-1]))]
    words = set(re.findall(r"\w+", source_text()))
    missing = [
        name
        for name in names
        if not all(word in words for word in re.findall(r"\w+", name.replace("_x", "")))
    ]
    assert len(names) > 60
    assert missing == []


def test_pre_commit_hooks_are_local_and_their_programs_are_ours():
    config = yaml.safe_load(read(".pre-commit-config.yaml"))
    assert {repository["repo"] for repository in config["repos"]} == {"local"}
    for hook in config["repos"][0]["hooks"]:
        program = hook["entry"].split()[0]
        assert hook["language"] == "system"
        assert (
            program in read("Makefile").replace("$(BIN)", ".venv/bin") or (ROOT / program).exists()
        )
