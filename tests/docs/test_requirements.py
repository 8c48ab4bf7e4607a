"""docs/requirements.md: every id that the program or its tests name, and a proof for each that exists."""

from __future__ import annotations

import ast
import re

import pytest

from caseapp.core.settings import ROOT
from caseapp.domain.handouts.provenance import claims
from tests.docs.documents import read, table

ID = re.compile(r"\b(?:REC|REL|SAFE|SEC|VULN)-\d{2}\b")
PROOF = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
NAMING = {"caseapp": ".py", "tests": ".py", "templates": ".html", "migrations": ".py"}

TEXT = read("docs/requirements.md")
REQUIREMENTS = {row[0]: row for row in table(TEXT, "## Requirements")}
UNTESTED = {row[0]: row for row in table(TEXT, "## Faults without a test")}
CLAIMS = {row[0]: row for row in table(TEXT, "## Ids of claims")}
# The faults of comparable products that the standard lists.
FAULTS = [f"VULN-{number:02}" for number in range(1, 44)]


def named():
    """Map each id to the files that name it."""
    found: dict = {}
    for folder, suffix in NAMING.items():
        for path in (ROOT / folder).rglob(f"*{suffix}"):
            for id_ in ID.findall(path.read_text(encoding="utf-8")):
                found.setdefault(id_, set()).add(path.relative_to(ROOT).as_posix())
    return found


@pytest.mark.slow
def test_every_id_that_is_named_is_explained():
    unexplained = {id_: files for id_, files in named().items() if id_ not in REQUIREMENTS | CLAIMS}
    assert unexplained == {}


@pytest.mark.slow
def test_every_requirement_is_named_somewhere():
    assert sorted(REQUIREMENTS.keys() - named().keys()) == []


def test_every_requirement_has_a_text_and_a_proof():
    for id_, (_, text, proof) in REQUIREMENTS.items():
        assert ID.fullmatch(id_)
        assert len(text) > 30, id_
        assert PROOF.search(proof), id_


def test_every_fault_of_comparable_products_has_a_proof_or_a_reason():
    assert sorted(id_ for id_ in REQUIREMENTS.keys() | UNTESTED if id_[:4] == "VULN") == FAULTS
    assert REQUIREMENTS.keys() & UNTESTED.keys() == set()
    for id_, (_, fault, reason) in UNTESTED.items():
        assert len(fault) > 30, id_
        assert len(reason) > 60, id_


@pytest.mark.slow
def test_every_fault_is_named_by_each_of_its_proofs():
    """Whoever changes the test reads in it what depends on it."""
    unnamed = []
    for id_ in REQUIREMENTS.keys() & {*FAULTS}:
        for file, name in PROOF.findall(REQUIREMENTS[id_][2]):
            tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
            named_by = [
                node
                for node in ast.walk(tree)
                if isinstance(node, ast.FunctionDef) and node.name == name
            ]
            if not any(id_ in (ast.get_docstring(node) or "") for node in named_by):
                unnamed.append((id_, file, name))
    assert unnamed == []


@pytest.mark.slow
def test_every_proof_exists():
    missing = []
    for id_, row in REQUIREMENTS.items():
        for file, name in PROOF.findall(row[2]):
            path = ROOT / file
            if not path.exists():
                missing.append((id_, file))
                continue
            tree = ast.parse(path.read_text(encoding="utf-8"))
            tests = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
            if not (name in tests if name else any(test.startswith("test_") for test in tests)):
                missing.append((id_, f"{file}::{name}"))
    assert missing == []


def test_ids_of_claims_are_claims_of_the_library():
    assert set(CLAIMS) <= set(claims())
