"""Comparison of two sources: each is written as readable lines, then compared word by word."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from caseapp.domain.authoring.source import read_content, read_decision
from caseapp.domain.handouts.blocks import HELP, TALK, split_blocks
from caseapp.domain.handouts.fields import describe_field
from caseapp.domain.handouts.library import CLAIMS_MARKER

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from caseapp.domain.handouts.blocks import Block

CONTEXT_LINES = 2
"""Number of unchanged lines shown before and after a change."""
WORD = re.compile(r"\s+|[^\s]+")
# Asterisks and underscores that touch a word on one side only: not those in 2 * 3 or in a name such as my_walk.
EMPHASIS = re.compile(r"(?<![\w\\])[*_]{1,3}(?=[^\s*_])|(?<=[^\s*_])[*_]{1,3}(?!\w)")
LINE_MARKERS = (
    (re.compile(r"#{1,2} +"), "Heading: "),
    (re.compile(r"#{3,6} +"), "Smaller heading: "),
    (re.compile(r"[-*+] +"), "• "),
    (re.compile(r"> ?"), "Quote: "),
)
"""Markdown at the start of a line, and the words that replace it."""
UNCHANGED, REMOVED, ADDED, GAP = "unchanged", "removed", "added", "gap"
BASED_ON = "Based on: "
"""Starts the line that lists the claims of a section. That line is shown only if it has changed."""
NON_BREAKING_HYPHEN = "\N{NON-BREAKING HYPHEN}"


@dataclass(frozen=True)
class ComparisonLine:
    """A line of a comparison: unchanged, removed, added, or a gap; each piece is a text and whether it differs."""

    kind: str
    pieces: tuple[tuple[str, bool], ...] = ()


def describe_source(source: str) -> list[str]:
    """Return a source as readable lines without YAML and Markdown."""
    content = read_content(source)
    values = {
        "Title": content.title,
        "Neutral title": content.alias,
        "Stage": content.stage,
        "Also fits": ", ".join(content.also_fits),
        "Kind": content.kind,
        "Summary": content.summary,
        "Minutes": content.minutes,
        "Use during a hold": content.hold_ok,
        "Involves": ", ".join(name for name, answer in content.involves.items() if answer),
        "Doesn’t involve": ", ".join(n for n, answer in content.involves.items() if not answer),
        "How clients can receive it": ", ".join(content.channels),
        "Faith text": content.faith_insert,
        "Two-minute card": " / ".join(content.two_minutes),
        "Review due": content.review_date,
        "Change": content.change,
    }
    found = [f"{name}: {value or 'none'}" for name, value in values.items()]
    found += [
        f"Clinician: {decision.name}, {decision.reviewed_on}, accepts: {', '.join(decision.accepted)}"
        for decision in [read_decision(source)]
        if decision
    ]
    found += [
        f"Warning: {w.tag}, {w.effect}. {w.because}"
        + (f" Instead: {w.use_instead}." if w.use_instead else "")
        for w in content.warnings
    ]
    found += [f"American wording: {phrase} → {instead}" for phrase, instead in content.us]
    lines = [line for block in split_blocks(content.body) for line in _describe_block(block)]
    return [*found, *(line for text in lines for line in _split_claims(text))]


def _describe_block(block: Block) -> list[str]:
    """Return the lines of a block: of a field what it asks and how, of anything else its own."""
    if block.field:
        return describe_field(block.field)
    heading = {HELP: "Help lines:", TALK: "Dialogue:"}.get(block.kind)
    return [*([heading] if heading else []), *block.text.split("\n")]


def _split_claims(block: str) -> Iterator[str]:
    """Yield a line of the body without its claims marker, then the claims as a line of their own.

    A Markdown marker at the start is replaced by words. Emphasis stays marked, so that a change of emphasis is found.
    """
    if text := CLAIMS_MARKER.sub("", block):
        yield next(
            (
                label + text[found.end() :]
                for marker, label in LINE_MARKERS
                if (found := marker.match(text))
            ),
            text,
        )
    for named in CLAIMS_MARKER.findall(block):
        yield BASED_ON + ", ".join(named.replace("-", NON_BREAKING_HYPHEN).split())


def compare_sources(before: str | None, after: str) -> list[ComparisonLine]:
    """Compare two sources line by line; without `before`, every line is added. Empty when nothing changed."""
    old, new = describe_source(before) if before else [], describe_source(after)
    found: list[ComparisonLine] = []
    for group in SequenceMatcher(None, old, new, autojunk=False).get_grouped_opcodes(CONTEXT_LINES):
        if found:
            found.append(ComparisonLine(GAP))
        for kind, a, b, c, d in group:
            if kind == "equal":
                found += [
                    ComparisonLine(UNCHANGED, ((_strip_emphasis(line), False),))
                    for line in old[a:b]
                    if not line.startswith(BASED_ON)
                ]
            elif b - a == d - c:
                for was, now in zip(old[a:b], new[c:d], strict=True):
                    found += _compare_words(was, now)
            else:
                found += [
                    ComparisonLine(REMOVED, ((_strip_emphasis(line), True),)) for line in old[a:b]
                ]
                found += [
                    ComparisonLine(ADDED, ((_strip_emphasis(line), True),)) for line in new[c:d]
                ]
    return found


def find_last_change(sources: Sequence[str]) -> int:
    """Return the index of the last of several successive sources that has a readable change; 0 if none has."""
    for index in range(len(sources) - 1, 0, -1):
        if sources[index] != sources[index - 1] and compare_sources(
            sources[index - 1], sources[index]
        ):
            return index
    return 0


def _strip_emphasis(text: str) -> str:
    """Return a text without its emphasis marks."""
    return EMPHASIS.sub("", text)


def _compare_words(was: str, now: str) -> list[ComparisonLine]:
    """Compare two lines word by word; if only the emphasis differs, compare it and add a note that says so."""
    emphasis = _strip_emphasis(was) == _strip_emphasis(now)
    old, new = (WORD.findall(line if emphasis else _strip_emphasis(line)) for line in (was, now))
    codes = SequenceMatcher(None, old, new).get_opcodes()
    note = [(_describe_emphasis_change(was, now), False)] if emphasis else []
    return [
        ComparisonLine(REMOVED, tuple(_pieces(old, [(k, a, b) for k, a, b, _, _ in codes]))),
        ComparisonLine(ADDED, (*_pieces(new, [(k, c, d) for k, _, _, c, d in codes]), *note)),
    ]


def _describe_emphasis_change(was: str, now: str) -> str:
    """Return a note on how the emphasis of a line changed."""
    before, after = (sum(map(len, EMPHASIS.findall(line))) for line in (was, now))
    change = "added" if before < after else "removed" if before > after else "changed"
    return f" (emphasis {change})"


def _pieces(
    words: Sequence[str], parts: Sequence[tuple[str, int, int]]
) -> Iterator[tuple[str, bool]]:
    """Yield runs of words that stay or differ; a space differs if the words on both sides of it do."""
    differs = [False, *(kind != "equal" for kind, a, b in parts for _ in range(a, b)), False]
    marked = [
        (word, differs[at] if word.strip() else differs[at - 1] and differs[at + 1])
        for at, word in enumerate(words, start=1)
    ]
    for different, run in groupby(marked, key=itemgetter(1)):
        yield _strip_emphasis("".join(word for word, _ in run)), different
