"""The documents of the repository: README.md and everything under docs/."""

from __future__ import annotations

import re
from functools import cache

from caseapp.core.settings import ROOT

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
PACKAGE = ROOT / "caseapp"


def name_of(path):
    """Return a file's path inside the repository."""
    return path.relative_to(ROOT).as_posix()


def read(name):
    """Read a file of the repository."""
    return (ROOT / name).read_text(encoding="utf-8")


def prose(text):
    """Leave out fenced blocks."""
    return FENCE.sub("", text)


def inline_code(text):
    """List what stands in backticks outside fenced blocks."""
    return re.findall(r"`([^`\n]+)`", prose(text))


def anchors(text):
    """List the anchors of a document's headings as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def table(text, heading):
    """Return the rows of the first table under a heading, without its head, as lists of cells."""
    _, _, after = text.partition(f"\n{heading}\n")
    section = re.split(r"^#+ ", after, flags=re.MULTILINE)[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


@cache
def source_text():
    """Return the text of the program: Python, templates, migrations, scripts and the library's files."""
    kinds = {".py", ".html", ".txt", ".js", ".yaml", ".md"}
    folders = ("caseapp", "templates", "migrations", "handouts")
    files = (path for folder in folders for path in (ROOT / folder).rglob("*"))
    return "\n".join(path.read_text(encoding="utf-8") for path in files if path.suffix in kinds)
