"""Transactions are opened by interfaces and jobs; the domain has a few of its own, each for a reason."""

from __future__ import annotations

import ast

import pytest

from caseapp.core.settings import ROOT

# What has to survive a refusal, or is written while a page is read.
OWN_TRANSACTIONS = {
    "audit/operations.py": "reads and refusals are recorded although nothing else is stored",
    "audit/checkpoints.py": "a checkpoint is written under a lock, beside what is going on",
    "audit/tombstones.py": "a tombstone is written under a lock, after the erasure that it stands for",
    "auth/throttling.py": "a failed attempt counts",
    "clients/operations.py": "being told of a possible conflict counts, although nothing is saved",
    "keys/operations.py": "the first start makes the key ring, whichever program starts",
    "keys/writing.py": "a try of an earlier PIN counts",
}


def imported_names(path):
    """Return what a module imports from `core.transaction`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "caseapp.core.transaction"
        for alias in node.names
    }


def domain_modules():
    domain = ROOT / "caseapp" / "domain"
    return {str(path.relative_to(domain)): path for path in domain.rglob("*.py")}


@pytest.mark.slow
def test_domain_opens_no_transaction_for_its_callers():
    found = [
        name for name, path in domain_modules().items() if "transaction" in imported_names(path)
    ]
    assert found == []


@pytest.mark.slow
def test_domain_has_own_transactions_only_where_a_reason_says_why():
    found = {
        name
        for name, path in domain_modules().items()
        if {"separate_transaction", "write_if_refused"} & imported_names(path)
    }
    assert found == set(OWN_TRANSACTIONS)
