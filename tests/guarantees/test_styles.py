"""The style sheet parses, styles only classes that pages use, and serves only the used part of Bootstrap."""

from __future__ import annotations

import re

import pytest
import tinycss2

from caseapp.core.settings import ROOT
from caseapp.http import assets
from caseapp.http.assets import CLASS_ATTRIBUTE, CLASS_SELECTOR, STATIC, STYLES

OURS = sorted((STATIC / "css").glob("*.css"))
NESTING = frozenset({"media", "container", "supports"})
# Printed documents have style sheets of their own.
PAGES = [path for path in (ROOT / "templates").rglob("*.html") if path.parent.name != "pdf"]
PRINT = sorted(STATIC.glob("*.css"))
# Class names that are put together in a template: the part before the variable.
PREFIXES = ("answer-", "diff-", "level-", "notice-", "tag-", "timeline-", "trend-")


def nodes(rules):
    """Walk every rule, also those inside media and container queries."""
    for rule in rules:
        yield rule
        if rule.type == "at-rule" and rule.lower_at_keyword in NESTING:
            yield from nodes(
                tinycss2.parse_rule_list(rule.content, skip_comments=True, skip_whitespace=True)
            )


def parse(path):
    """Return every rule of a file."""
    return list(
        nodes(
            tinycss2.parse_stylesheet(
                path.read_text(encoding="utf-8"), skip_comments=True, skip_whitespace=True
            )
        )
    )


def selectors(css):
    """Return the class names in the selectors of a style sheet."""
    rules = nodes(tinycss2.parse_stylesheet(css, skip_comments=True, skip_whitespace=True))
    return {
        name
        for rule in rules
        if rule.type == "qualified-rule"
        for name in CLASS_SELECTOR.findall(tinycss2.serialize(rule.prelude))
    }


def plain_classes():
    """Return the class names that stand whole in a template, outside any expression."""
    found: dict[str, str] = {}
    for path in PAGES:
        for match in CLASS_ATTRIBUTE.finditer(path.read_text(encoding="utf-8")):
            text = re.sub(r"[^\s{}]*\{[{%].*?[%}]\}", " ", match[1], flags=re.DOTALL)
            for name in text.split():
                found.setdefault(name, path.relative_to(ROOT).as_posix())
    return found


@pytest.mark.parametrize("path", [*OURS, *PRINT], ids=lambda path: path.name)
def test_style_sheet_parses_without_errors_and_with_short_lines(path):
    assert [rule.message for rule in parse(path) if rule.type == "error"] == []
    long = [line for line in path.read_text(encoding="utf-8").splitlines() if len(line) > 120]
    assert [line for line in long if "url(" not in line] == []


def test_every_style_file_is_served_once():
    assert sorted(STYLES) == sorted(path.stem for path in OURS)


@pytest.mark.slow
def test_every_class_with_a_style_is_named_by_a_page_or_script():
    ours = selectors("\n".join(path.read_text(encoding="utf-8") for path in OURS))
    sources = (*PAGES, *STATIC.glob("js/*.js"), *ROOT.glob("caseapp/**/*.py"))
    words = set(
        re.findall(r"[\w-]+", " ".join(path.read_text(encoding="utf-8") for path in sources))
    )
    unused = {name for name in ours - words if not name.startswith(PREFIXES)}
    assert sorted(unused) == []


def test_every_class_of_a_page_has_a_style():
    styled = selectors(assets.style_sheet())
    assert {name: path for name, path in plain_classes().items() if name not in styled} == {}


def test_bootstrap_subset_keeps_used_rules_and_drops_the_rest():
    subset = assets.bootstrap_subset()
    assert ".btn-primary" in subset
    assert ".carousel" not in subset
    assert len(subset) < 40_000
