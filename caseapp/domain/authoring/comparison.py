"""Differences between two sources: each as plain lines that a person reads, compared word by word."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from caseapp.domain.authoring.source import read_content
from caseapp.domain.handouts.library import CLAIMS_MARKER

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

AROUND = 2
"""How many unchanged lines are shown beside a change."""
WORD = re.compile(r"\s+|[^\s]+")
# Stars and lines that touch a word on one side; neither a product nor a name such as my_walk has any.
EMPHASIS = re.compile(r"(?<![\w\\])[*_]{1,3}(?=[^\s*_])|(?<=[^\s*_])[*_]{1,3}(?!\w)")
BEGINNINGS = (
    (re.compile(r"#{1,2} +"), "Heading: "),
    (re.compile(r"#{3,6} +"), "Smaller heading: "),
    (re.compile(r"[-*+] +"), "• "),
    (re.compile(r"> ?"), "Quoted: "),
)
"""How a line of Markdown begins, and how that is said."""
SAME, OUT, IN, GAP = "same", "out", "in", "gap"
RESTS_ON = "Rests on: "
"""Begins the line of what a section rests on, which is shown only where it changed."""
UNBROKEN_HYPHEN = "\N{NON-BREAKING HYPHEN}"


@dataclass(frozen=True)
class ComparisonLine:
    """Be one line of a comparison: kept, taken out, put in, or a gap; its pieces say which words differ."""

    kind: str
    pieces: tuple[tuple[str, bool], ...] = ()


def list_lines(source: str) -> list[str]:
    """Write a source as lines that a person reads, without the marks of its file."""
    text = read_content(source)
    told = {
        "Title": text.title,
        "Outside title": text.alias,
        "Stage": text.stage,
        "Also fits": ", ".join(text.also_fits),
        "Kind": text.kind,
        "Summary": text.summary,
        "Minutes": text.minutes,
        "Hold mark": text.hold_ok,
        "Ways": ", ".join(text.channels),
        "Faith lines": text.faith_insert,
        "Review due": text.review_date,
        "Change": text.change,
    }
    found = [f"{name}: {value or 'none'}" for name, value in told.items()]
    found += [
        f"When not: {w.tag}, {w.effect}. {w.because}"
        + (f" Instead: {w.use_instead}." if w.use_instead else "")
        for w in text.warnings
    ]
    found += [
        f"Place to write {p.id}: {p.label} ({p.type}, {p.lines} lines, {p.max_length} characters"
        f"{', sensitive' if p.sensitive else ''})"
        + (f" Options: {'; '.join(p.options)}" if p.options else "")
        for p in text.places
    ]
    return [*found, *(line for block in text.body.split("\n") for line in _parted(block))]


def _parted(block: str) -> Iterator[str]:
    """Give a line of the text without its marker of claims, then what it names as a line of its own.

    What the line is stands there in words; its emphasis stays marked, so that a change of it is found.
    """
    if text := CLAIMS_MARKER.sub("", block):
        yield next(
            (
                said + text[found.end() :]
                for sign, said in BEGINNINGS
                if (found := sign.match(text))
            ),
            text,
        )
    for named in CLAIMS_MARKER.findall(block):
        yield RESTS_ON + ", ".join(named.replace("-", UNBROKEN_HYPHEN).split())


def changes(before: str | None, after: str) -> list[ComparisonLine]:
    """Compare two sources line by line; without a first one everything is new. Empty when nothing changed."""
    old, new = list_lines(before) if before else [], list_lines(after)
    found: list[ComparisonLine] = []
    for group in SequenceMatcher(None, old, new, autojunk=False).get_grouped_opcodes(AROUND):
        if found:
            found.append(ComparisonLine(GAP))
        for kind, a, b, c, d in group:
            if kind == "equal":
                found += [
                    ComparisonLine(SAME, ((_bare(line), False),))
                    for line in old[a:b]
                    if not line.startswith(RESTS_ON)
                ]
            elif b - a == d - c:
                for was, now in zip(old[a:b], new[c:d], strict=True):
                    found += _by_word(was, now)
            else:
                found += [ComparisonLine(OUT, ((_bare(line), True),)) for line in old[a:b]]
                found += [ComparisonLine(IN, ((_bare(line), True),)) for line in new[c:d]]
    return found


def find_last_change(sources: Sequence[str]) -> int:
    """Find the last of several sources, each grown from the one before it, in which a person reads a change."""
    for at in range(len(sources) - 1, 0, -1):
        if sources[at] != sources[at - 1] and changes(sources[at - 1], sources[at]):
            return at
    return 0


def _bare(text: str) -> str:
    """Give a text without its signs of emphasis."""
    return EMPHASIS.sub("", text)


def _by_word(was: str, now: str) -> list[ComparisonLine]:
    """Compare two lines word by word; their emphasis only where nothing else differs, and then say so."""
    emphasis = _bare(was) == _bare(now)
    old, new = (WORD.findall(line if emphasis else _bare(line)) for line in (was, now))
    codes = SequenceMatcher(None, old, new).get_opcodes()
    told = [(_told(was, now), False)] if emphasis else []
    return [
        ComparisonLine(OUT, tuple(_pieces(old, [(k, a, b) for k, a, b, _, _ in codes]))),
        ComparisonLine(IN, (*_pieces(new, [(k, c, d) for k, _, _, c, d in codes]), *told)),
    ]


def _told(was: str, now: str) -> str:
    """Say in words what became of the emphasis in a line."""
    before, after = (sum(map(len, EMPHASIS.findall(line))) for line in (was, now))
    done = "put in" if before < after else "taken out" if before > after else "changed"
    return f" (emphasis {done})"


def _pieces(
    words: Sequence[str], parts: Sequence[tuple[str, int, int]]
) -> Iterator[tuple[str, bool]]:
    """Give the words that stay and those that differ in turn; a blank differs where both words beside it do."""
    differs = [False, *(kind != "equal" for kind, a, b in parts for _ in range(a, b)), False]
    marked = [
        (word, differs[at] if word.strip() else differs[at - 1] and differs[at + 1])
        for at, word in enumerate(words, start=1)
    ]
    for different, run in groupby(marked, key=itemgetter(1)):
        yield _bare("".join(word for word, _ in run)), different
