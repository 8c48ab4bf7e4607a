"""Sheets: an edition's Markdown taken apart and turned into a page, with today's help lines in it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING

import nh3
from markdown_it import MarkdownIt
from markupsafe import Markup

from caseapp.core.errors import Reason, RuleBroken
from caseapp.core.templating import render_text
from caseapp.domain.handouts.labels import WORDS, Words
from caseapp.domain.handouts.library import (
    CLAIMS_MARKER,
    HELP_BLOCKS,
    LINE_MARKER,
    STOP_BOX,
    Claim,
    Field,
    Handout,
    Source,
    claims,
    sources,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from caseapp.domain.practice.help_lines import HelpLine
    from caseapp.domain.practice.queries import Numbers

ALLOWED_TAGS = {"p", "h3", "ul", "ol", "li", "strong", "em", "br", "blockquote"}
CLINICAL = "clinical"
FAITH = "faith_insert"
IN_A_NUMBER = re.compile(r"(?<=\d) (?=\d|h\b)")
CLOSING = re.compile(r"\*[^*].*[^*]\*", re.DOTALL)
KINDS_OF_BLOCK = {
    "crisis_block": ("emergency", "crisis", "behaviour"),
    "dv_block": ("dv",),
    "substance_block": ("substance",),
    "ed_block": ("ed",),
}
# A block without a line of this kind helps nobody.
NEEDED_IN_BLOCK = {
    "crisis_block": "crisis",
    "dv_block": "dv",
    "substance_block": "substance",
    "ed_block": "ed",
}
BLOCK_NAMES = {
    "crisis_block": "a crisis line",
    "dv_block": "a domestic abuse service",
    "substance_block": "a drink and drugs service",
    "ed_block": "an eating disorder service",
}


@dataclass(frozen=True)
class Block:
    """Be one block of a sheet: prose, a field, help lines, or the place of the faith insert."""

    kind: str
    prose: Markup | None = None
    field: Field | None = None
    name: str = ""


@dataclass(frozen=True)
class Part:
    """Be one section of a sheet; the opening has no heading."""

    heading: str
    claims: tuple[str, ...]
    blocks: tuple[Block, ...]
    stop: bool


@dataclass(frozen=True)
class Sheet:
    """Be a handout taken apart: its sections and the honest word at the end."""

    parts: tuple[Part, ...]
    closing: Markup


@dataclass(frozen=True)
class Inputs:
    """Make a sheet's fields real ones, each called by `prefix` and its id: what stands in them and what is wrong.

    `saved` holds, in words, what is saved for a field that shows something else.
    """

    prefix: str
    values: Mapping[str, str | list[str]]
    errors: Mapping[str, list[str]]
    saved: Mapping[str, str]


@dataclass(frozen=True)
class NumberLine:
    """Show one help line: what to dial or write, and whom one reaches."""

    phone: str
    dial: str
    text: str
    name: str
    note: str


@cache
def _markdown() -> MarkdownIt:
    return MarkdownIt("js-default", {"typographer": True, "linkify": False}).enable("smartquotes")


def prose(text: str) -> Markup:
    """Turn Markdown into safe HTML: no HTML comes through, and only a few tags come out."""
    made = _markdown().render(text)
    return Markup(nh3.clean(made, tags=ALLOWED_TAGS, attributes={}))  # noqa: S704 - cleaned


@lru_cache(maxsize=1024)
def plain(text: str) -> str:
    """Set a title or a label with proper quotation marks and no markup."""
    return str(Markup(_markdown().renderInline(text)).striptags())  # noqa: S704 - tags are stripped


@lru_cache(maxsize=256)
def sheet_of(handout: Handout) -> Sheet:
    """Take a handout apart at its headings and markers."""
    body, closing = handout.body, ""
    head, _, last = body.rpartition("\n\n")
    if CLOSING.fullmatch(last.strip()):
        body, closing = head, last.strip()
    opening, *rest = re.split(r"^## ", body, flags=re.MULTILINE)
    parts = [_part("", opening, handout)]
    for chunk in rest:
        heading, _, text = chunk.partition("\n")
        parts.append(_part(heading, text, handout))
    return Sheet(tuple(parts), prose(closing))


def _part(heading: str, text: str, handout: Handout) -> Part:
    named = CLAIMS_MARKER.findall(heading) or CLAIMS_MARKER.findall(text)
    title = CLAIMS_MARKER.sub("", heading).strip()
    return Part(
        heading=plain(title),
        claims=tuple(claim for marker in named for claim in marker.split()),
        blocks=tuple(_blocks(CLAIMS_MARKER.sub("", text), handout)),
        stop=title.startswith(STOP_BOX[handout.language]),
    )


def _blocks(text: str, handout: Handout) -> list[Block]:
    fields = {field.id: field for field in handout.fields}
    found, at = [], 0
    for marker in LINE_MARKER.finditer(text):
        if before := text[at : marker.start()].strip():
            found.append(Block("prose", prose(before)))
        is_field, name = marker.groups()
        if is_field and name in fields:
            found.append(Block("field", field=fields[name]))
        elif not is_field and name in HELP_BLOCKS:
            found.append(Block("numbers", name=name))
        elif not is_field and name == FAITH:
            found.append(Block("faith"))
        else:
            # Only a draft holds what names nothing; it stands there as it was typed.
            found.append(Block("prose", prose(marker.group())))
        at = marker.end()
    if after := text[at:].strip():
        found.append(Block("prose", prose(after)))
    return found


def empty_blocks(handout: Handout, numbers: Numbers) -> tuple[str, ...]:
    """Name the help-line blocks of a handout that would stand empty with these numbers."""
    names = dict.fromkeys(
        block.name for part in sheet_of(handout).parts for block in part.blocks if block.name
    )
    return tuple(name for name in names if not numbers.of(NEEDED_IN_BLOCK[name]))


def empty_block_reason(name: str) -> Reason:
    """Say in words that a help-line block would stand empty."""
    return Reason(
        "help_lines_empty",
        f"This sheet names {BLOCK_NAMES[name]}, and the practice has none on its list.",
        "An admin can add a local number under Settings.",
    )


def number_lines(name: str, numbers: Numbers, language: str) -> list[NumberLine]:
    """List the lines of one block in a reader's words; within a kind those in their language come first."""
    return [
        _number_line(line, WORDS[language], language)
        for kind in KINDS_OF_BLOCK[name]
        for line in sorted(numbers.of(kind), key=lambda line: not line.speaks(language))
    ]


def _number_line(line: HelpLine, words: Words, language: str) -> NumberLine:
    text = ""
    if line.text_to:
        form = words.or_text_to if line.phone else words.text_to
        to = words.keyword_to if line.text_keyword else words.just_to
        text = form.format(what=to.format(keyword=line.text_keyword, number=line.text_to))
    spoken = "" if line.speaks(language) else line.languages[0]
    details = ", ".join(
        detail
        for detail in (
            _said(line.region or "", words),
            words.audiences.get(line.audience),
            _said(line.hours, words),
            words.languages.get(spoken),
            None if line.phone or line.text_to else line.web,
        )
        if detail
    )
    notes = (details[:1].upper() + details[1:], _said(line.hint, words).rstrip("."))
    return NumberLine(
        phone=line.phone or "",
        dial=re.sub(r"[^\d+]", "", line.phone or ""),
        text=text,
        name=plain(line.name),
        note=". ".join(note for note in notes if note),
    )


def _said(phrase: str, words: Words) -> str:
    """Give what a help line says in a reader's words."""
    return unbroken(words.phrases.get(phrase, phrase))


def unbroken(text: str) -> str:
    """Keep every number of a text, and every hour, on one line."""
    return IN_A_NUMBER.sub("\N{NO-BREAK SPACE}", text)


@dataclass(frozen=True)
class Basis:
    """Show one claim that a section rests on, with the article that it stems from."""

    claim: Claim
    source: Source


@cache
def _source_by_prefix() -> dict[str, Source]:
    return {source.prefix: source for source in sources().values()}


def basis_of(part: Part) -> list[Basis]:
    """List the claims of a section with their sources; common clinical sense has none."""
    return [
        Basis(claims()[claim], _source_by_prefix()[claim.partition("-")[0]])
        for claim in part.claims
        if claim in claims()
    ]


def page_html(
    handout: Handout, numbers: Numbers, *, faith: bool, staff: bool, inputs: Inputs | None = None
) -> Markup:
    """Give the body of a handout as a page; staff see what each section rests on.

    Its fields are lines to look at, or with `inputs` to write in; the page has to put the form around them. Raises
    RuleBroken when a block of help lines would stand empty.
    """
    values = sheet_values(handout, numbers, faith=faith, staff=staff) | {"inputs": inputs}
    return Markup(render_text("components/handout_body.html", values))  # noqa: S704 - a template of ours, escaped


def sheet_values(
    handout: Handout, numbers: Numbers, *, faith: bool, staff: bool
) -> dict[str, object]:
    """Give what the templates of a sheet ask for, on a page and on paper.

    Raises RuleBroken when a block of help lines would stand empty.
    """
    if empty := empty_blocks(handout, numbers):
        raise RuleBroken(*map(empty_block_reason, empty))
    return {
        "handout": handout,
        "sheet": sheet_of(handout),
        "words": WORDS[handout.language],
        "lines_of": lambda name: number_lines(name, numbers, handout.language),
        "faith": plain(handout.faith_insert) if faith and handout.faith_insert else "",
        "staff": staff,
        "basis_of": basis_of,
        "clinical": CLINICAL,
        "own": handout.own,
        "plain": plain,
    }
