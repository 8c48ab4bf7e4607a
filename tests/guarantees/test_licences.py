"""The project contains no item of a copyrighted questionnaire (SAFE-20)."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path

import pytest
import sqlalchemy as sa
import yaml

from caseapp.core.database import db
from caseapp.core.settings import ROOT
from caseapp.domain.models import METADATA

MANIFEST = yaml.safe_load((Path(__file__).parent / "instruments.yaml").read_text(encoding="utf-8"))
RUN = 6
FOLDERS = ("caseapp", "docs", "handouts", "migrations", "templates", "tests")
PICTURES = {".png", ".ico", ".woff2", ".pyc"}


@cache
def digest(words):
    return hashlib.sha256(words.encode()).hexdigest()[:16]


def items_in(text, hashes):
    """List the runs of six words in a text whose hash is among these."""
    words = re.findall(r"[a-z0-9]+", text.lower())
    runs = {" ".join(words[at : at + RUN]) for at in range(len(words) - RUN + 1)}
    return sorted(run for run in runs if digest(run) in hashes)


def kept_out():
    return {
        found for entry in MANIFEST if entry["ships"] == "nothing" for found in entry["phrases"]
    }


def files():
    """List every file of the project that contains text."""
    inside = (path for name in FOLDERS for path in (ROOT / name).rglob("*"))
    return [
        path
        for path in (*inside, *ROOT.glob("*.*"))
        if path.is_file() and path.suffix not in PICTURES
    ]


def test_every_instrument_is_listed_completely():
    assert len({entry["name"] for entry in MANIFEST}) == len(MANIFEST) >= 18
    for entry in MANIFEST:
        assert entry.keys() == {"name", "licence", "ships", "phrases"}, entry["name"]
        assert len(entry["licence"]) > 10, entry["name"]
        # Whatever ships more than nothing gets its own rule here: attribution, wording unchanged.
        assert entry["ships"] == "nothing", entry["name"]
        assert all(re.fullmatch("[0-9a-f]{16}", found) for found in entry["phrases"])


def test_scan_finds_an_item_in_any_formatting():
    wanted = {digest("seven grey herons stand in line")}
    for text in (
        "Seven grey herons stand in line.",
        "label: 'seven grey herons\n  stand, in\tLINE'",
        "<b>Seven</b> grey herons; stand in line; and more",
    ):
        plain = re.sub(r"<[^>]+>", " ", text)
        assert items_in(plain, wanted) == ["seven grey herons stand in line"]
    assert items_in("Seven grey herons sat in line.", wanted) == []


@pytest.mark.slow
def test_no_file_contains_an_item():
    found = {}
    for path in files():
        if hits := items_in(path.read_text(encoding="utf-8", errors="ignore"), kept_out()):
            found[path.relative_to(ROOT).as_posix()] = hits
    assert len(files()) > 400
    assert found == {}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_no_row_of_a_new_practice_contains_an_item(app):
    told = "\n".join(
        str(value)
        for table in METADATA.sorted_tables
        for row in db.session.execute(sa.select(table))
        for value in row
        if isinstance(value, str)
    )
    assert "Help right now" in told
    assert items_in(told, kept_out()) == []
