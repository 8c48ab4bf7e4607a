from datetime import date

import pytest

from caseapp.domain.cases.facts import FACTS
from caseapp.domain.reports.csv_table import COLUMNS, escape_cell
from caseapp.domain.screening.protocol import SAFETY_ITEMS

FULL_WIDTH_EQUALS = "\uff1d"
FORMULA_PREFIXES = [
    "=",
    "+",
    "-",
    "@",
    "\t",
    "\r",
    "\n",
    FULL_WIDTH_EQUALS,
    "\uff0b",
    "\uff0d",
    "\uff20",
]


@pytest.mark.parametrize("start", FORMULA_PREFIXES)
def test_formula_prefix_is_escaped(start):
    """Full-width signs are formulas in some programs too (VULN-34)."""
    assert escape_cell(f"{start}1+1") == f"'{start}1+1"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", FULL_WIDTH_EQUALS])
def test_formula_prefix_after_blanks_is_escaped(start):
    assert escape_cell(f" \t{start}1+1") == f"' \t{start}1+1"


def test_nul_is_removed_before_escaping():
    assert escape_cell("\0=1+1") == "'=1+1"
    assert escape_cell("a\0b") == "ab"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, ""),
        ('a, "b"', 'a, "b"'),
        (3, "3"),
        (date(2026, 5, 1), "2026-05-01"),
        (["a", "b"], "a b"),
    ],
)
def test_other_values_are_written_unchanged(value, written):
    assert escape_cell(value) == written


def test_columns_exclude_restricted_and_free_text_and_safety_levels():
    hidden = {
        fact.name for fact in FACTS if fact.restricted or not fact.exported or fact.kind == "text"
    }
    assert not hidden & set(COLUMNS)
    assert not {f"{item}_levels" for item in SAFETY_ITEMS} & set(COLUMNS)
    assert len(set(COLUMNS)) == len(COLUMNS)
