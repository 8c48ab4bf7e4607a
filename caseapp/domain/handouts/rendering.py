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
from caseapp.domain.handouts.labels import LABELS, Labels
from caseapp.domain.handouts.library import (
    CLAIMS_MARKER,
    HELP_BLOCKS,
    LINE_MARKER,
    STOP_BOX,
    Field,
    Handout,
)
from caseapp.domain.handouts.provenance import Claim, Source, claims, sources

if TYPE_CHECKING:
    from collections.abc import Mapping

    from caseapp.domain.practice.help_lines import HelpLine
    from caseapp.domain.practice.queries import HelpLines

ALLOWED_TAGS = {"p", "h3", "ul", "ol", "li", "strong", "em", "br", "blockquote"}
CLINICAL = "clinical"
FAITH = "faith_insert"
IN_A_NUMBER = re.compile(r"(?<=\d) (?=\d|h\b)")
CLOSING = re.compile(r"\*[^*].*[^*]\*", re.DOTALL)
BLOCK_KINDS = {
    "crisis_block": ("emergency", "crisis", "behaviour"),
    "dv_block": ("dv",),
    "substance_block": ("substance",),
    "ed_block": ("ed",),
}
# A block without a line of this kind helps nobody.
REQUIRED_KINDS = {
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
class Section:
    """Be one section of a sheet; the opening has no heading."""

    heading: str
    claims: tuple[str, ...]
    blocks: tuple[Block, ...]
    stop: bool


@dataclass(frozen=True)
class HandoutDocument:
    """Be a handout taken apart: its sections and the honest word at the end."""

    sections: tuple[Section, ...]
    closing: Markup


@dataclass(frozen=True)
class FormInputs:
    """Make a sheet's fields real ones, each called by `prefix` and its id: what stands in them and what is wrong.

    `saved` holds, in words, what is saved for a field that shows something else.
    """

    prefix: str
    values: Mapping[str, str | list[str]]
    errors: Mapping[str, list[str]]
    saved: Mapping[str, str]


@dataclass(frozen=True)
class HelpLineEntry:
    """Show one help line: what to dial or write, and whom one reaches."""

    phone: str
    dial: str
    text: str
    name: str
    note: str


@cache
def _markdown() -> MarkdownIt:
    return MarkdownIt("js-default", {"typographer": True, "linkify": False}).enable("smartquotes")


def render_markdown(text: str) -> Markup:
    """Turn Markdown into safe HTML: no HTML comes through, and only a few tags come out."""
    made = _markdown().render(text)
    return Markup(nh3.clean(made, tags=ALLOWED_TAGS, attributes={}))  # noqa: S704 - cleaned


@lru_cache(maxsize=1024)
def plain_text(text: str) -> str:
    """Set a title or a label with proper quotation marks and no markup."""
    return str(Markup(_markdown().renderInline(text)).striptags())  # noqa: S704 - tags are stripped


@lru_cache(maxsize=256)
def parse_document(handout: Handout) -> HandoutDocument:
    """Take a handout apart at its headings and markers."""
    body, closing = handout.body, ""
    head, _, last = body.rpartition("\n\n")
    if CLOSING.fullmatch(last.strip()):
        body, closing = head, last.strip()
    opening, *rest = re.split(r"^## ", body, flags=re.MULTILINE)
    sections = [_parse_section("", opening, handout)]
    for chunk in rest:
        heading, _, text = chunk.partition("\n")
        sections.append(_parse_section(heading, text, handout))
    return HandoutDocument(tuple(sections), render_markdown(closing))


def _parse_section(heading: str, text: str, handout: Handout) -> Section:
    named = CLAIMS_MARKER.findall(heading) or CLAIMS_MARKER.findall(text)
    title = CLAIMS_MARKER.sub("", heading).strip()
    return Section(
        heading=plain_text(title),
        claims=tuple(claim for marker in named for claim in marker.split()),
        blocks=tuple(_parse_blocks(CLAIMS_MARKER.sub("", text), handout)),
        stop=title.startswith(STOP_BOX[handout.language]),
    )


def _parse_blocks(text: str, handout: Handout) -> list[Block]:
    fields = {field.id: field for field in handout.fields}
    found, at = [], 0
    for marker in LINE_MARKER.finditer(text):
        if before := text[at : marker.start()].strip():
            found.append(Block("prose", render_markdown(before)))
        is_field, name = marker.groups()
        if is_field and name in fields:
            found.append(Block("field", field=fields[name]))
        elif not is_field and name in HELP_BLOCKS:
            found.append(Block("help_lines", name=name))
        elif not is_field and name == FAITH:
            found.append(Block("faith"))
        else:
            # Only a draft holds what names nothing; it stands there as it was typed.
            found.append(Block("prose", render_markdown(marker.group())))
        at = marker.end()
    if after := text[at:].strip():
        found.append(Block("prose", render_markdown(after)))
    return found


def find_empty_blocks(handout: Handout, help_lines: HelpLines) -> tuple[str, ...]:
    """Name the help-line blocks of a handout that would stand empty with these numbers."""
    names = dict.fromkeys(
        block.name for section in parse_document(handout).sections for block in section.blocks if block.name
    )
    return tuple(name for name in names if not help_lines.of_kinds(REQUIRED_KINDS[name]))


def describe_empty_block(name: str) -> Reason:
    """Say in words that a help-line block would stand empty."""
    return Reason(
        "help_lines_empty",
        f"This sheet names {BLOCK_NAMES[name]}, and the practice has none on its list.",
        "An admin can add a local number under Settings.",
    )


def list_help_line_entries(name: str, help_lines: HelpLines, language: str) -> list[HelpLineEntry]:
    """List the lines of one block in a reader's words; within a kind those in their language come first."""
    return [
        _describe_help_line(line, LABELS[language], language)
        for kind in BLOCK_KINDS[name]
        for line in sorted(help_lines.of_kinds(kind), key=lambda line: not line.speaks(language))
    ]


def _describe_help_line(line: HelpLine, labels: Labels, language: str) -> HelpLineEntry:
    text = ""
    if line.text_to:
        form = labels.or_text_to if line.phone else labels.text_to
        to = labels.keyword_to if line.text_keyword else labels.just_to
        text = form.format(what=to.format(keyword=line.text_keyword, number=line.text_to))
    spoken = "" if line.speaks(language) else line.languages[0]
    details = ", ".join(
        detail
        for detail in (
            _translate(line.region or "", labels),
            labels.audiences.get(line.audience),
            _translate(line.hours, labels),
            labels.languages.get(spoken),
            None if line.phone or line.text_to else line.web,
        )
        if detail
    )
    notes = (details[:1].upper() + details[1:], _translate(line.hint, labels).rstrip("."))
    return HelpLineEntry(
        phone=line.phone or "",
        dial=re.sub(r"[^\d+]", "", line.phone or ""),
        text=text,
        name=plain_text(line.name),
        note=". ".join(note for note in notes if note),
    )


def _translate(phrase: str, labels: Labels) -> str:
    """Give what a help line says in a reader's words."""
    return keep_numbers_unbroken(labels.phrases.get(phrase, phrase))


def keep_numbers_unbroken(text: str) -> str:
    """Keep every number of a text, and every hour, on one line."""
    return IN_A_NUMBER.sub("\N{NO-BREAK SPACE}", text)


@dataclass(frozen=True)
class CitedClaim:
    """Show one claim that a section rests on, with the article that it stems from."""

    claim: Claim
    source: Source


@cache
def _source_by_prefix() -> dict[str, Source]:
    return {source.prefix: source for source in sources().values()}


def list_cited_claims(section: Section) -> list[CitedClaim]:
    """List the claims of a section with their sources; common clinical sense has none."""
    return [
        CitedClaim(claims()[claim], _source_by_prefix()[claim.partition("-")[0]])
        for claim in section.claims
        if claim in claims()
    ]


def render_page_body(
    handout: Handout, help_lines: HelpLines, *, faith: bool, staff: bool, inputs: FormInputs | None = None
) -> Markup:
    """Give the body of a handout as a page; staff see what each section rests on.

    Its fields are lines to look at, or with `inputs` to write in; the page has to put the form around them. Raises
    RuleBroken when a block of help lines would stand empty.
    """
    values = get_document_values(handout, help_lines, faith=faith, staff=staff) | {"inputs": inputs}
    return Markup(render_text("components/handout_body.html", values))  # noqa: S704 - a template of ours, escaped


def get_document_values(
    handout: Handout, help_lines: HelpLines, *, faith: bool, staff: bool
) -> dict[str, object]:
    """Give what the templates of a sheet ask for, on a page and on paper.

    Raises RuleBroken when a block of help lines would stand empty.
    """
    if empty := find_empty_blocks(handout, help_lines):
        raise RuleBroken(*map(describe_empty_block, empty))
    return {
        "handout": handout,
        "document": parse_document(handout),
        "labels": LABELS[handout.language],
        "lines_of_block": lambda name: list_help_line_entries(name, help_lines, handout.language),
        "faith": plain_text(handout.faith_insert) if faith and handout.faith_insert else "",
        "staff": staff,
        "list_cited_claims": list_cited_claims,
        "clinical": CLINICAL,
        "own": handout.own,
        "plain_text": plain_text,
    }
