"""Rendering of handouts: parse the Markdown into sections and blocks and fill in the current help lines."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import nh3
from markdown_it import MarkdownIt
from markupsafe import Markup

from caseapp.core.errors import Reason, RuleBroken
from caseapp.core.i18n import (
    current_language,
    gettext,
    in_language,
    language_name,
    lazy_gettext,
)
from caseapp.core.templating import render_text
from caseapp.domain.handouts.blocks import DRAWING, HELP, TALK, split_blocks
from caseapp.domain.handouts.drawings import DRAWINGS, draw
from caseapp.domain.handouts.fields import Draw, Table
from caseapp.domain.handouts.library import (
    CLAIMS_MARKER,
    HELP_BLOCKS,
    LINE_MARKER,
    REVIEWED,
    STOP_BOX,
    Handout,
)
from caseapp.domain.handouts.provenance import Claim, Source, claims, sources
from caseapp.domain.handouts.variants import find_variety, for_reader

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from caseapp.domain.handouts.fields import Field, Input
    from caseapp.domain.practice.help_lines import HelpLine
    from caseapp.domain.practice.queries import HelpLines

ALLOWED_TAGS = {"p", "h3", "ul", "ol", "li", "strong", "em", "br", "blockquote"} | {
    "table", "thead", "tbody", "tr", "th", "td",
}  # fmt: skip
CLINICAL = "clinical"
FAITH = "faith_insert"
IN_A_NUMBER = re.compile(r"(?<=\d) (?=\d|h\b)")
CLOSING = re.compile(r"\*[^*].*[^*]\*", re.DOTALL)
NUMBERED = re.compile(r"(\d+)\. ")
LETTERED = re.compile(r"^\*\*([A-Z])\.", re.MULTILINE)
"""What begins a part that a tick names: a heading with a number, or a paragraph with a letter in bold."""
TO_DIAL = re.compile(r"\+?[\d\s().\-]{3,}", re.ASCII)
TEXT_NAME_LENGTH = 12
"""Characters of the hash that names a text in the fields of its PDF."""
MIN_DIGITS, MAX_DIGITS = 3, 15
"""Digits of a telephone number; ITU-T E.164 allows 15. Two numbers on one line are dialled as neither."""
MAX_NARROW = 4
"""Columns of a table that fits beside headings in the margin."""
SPEAKER = re.compile(r"\*\*([^*:]+):?\*\*")
BLOCK_KINDS = {
    "crisis_block": ("emergency", "crisis", "behaviour"),
    "dv_block": ("dv",),
    "substance_block": ("substance",),
    "ed_block": ("ed",),
    "child_block": ("safeguarding", "children"),
}
REQUIRED_KINDS = {"crisis_block": "crisis"}
"""The blocks that are useless without a line of a kind; the others say what else to do (`_list_advice`)."""
SERVICES = {"substance_block": "substance", "ed_block": "ed", "child_block": "safeguarding"}
"""The blocks for which somebody else is the way to help where a country has no checked line of that kind."""
FOR_WHAT = {
    "safeguarding": lazy_gettext("if you’re worried about a child"),
    "children": lazy_gettext("for children"),
}
"""What the lines of a block with several kinds are for."""
AUDIENCES = {
    "women": lazy_gettext("for women"),
    "men": lazy_gettext("for men"),
    "carers": lazy_gettext("for carers"),
}
BLOCK_NAMES = {"crisis_block": "a crisis line"}


@dataclass(frozen=True)
class Turn:
    """A paragraph of a dialogue: of the first voice, the second one (`b`), or a stage direction without a voice."""

    voice: str
    prose: Markup


@dataclass(frozen=True)
class Block:
    """A block of a section: prose, a field, help lines, the faith insert, a dialogue, or a box of help lines."""

    kind: str
    prose: Markup | None = None
    field: Field | None = None
    name: str = ""
    turns: tuple[Turn, ...] = ()
    blocks: tuple[Block, ...] = ()


@dataclass(frozen=True)
class Section:
    """A section of a handout; the opening has no heading. `anchor` is its id on a page, where ticks link to."""

    heading: str
    claims: tuple[str, ...]
    blocks: tuple[Block, ...]
    stop: bool
    anchor: str = ""

    @property
    def is_wide(self) -> bool:
        """Return whether something in it needs the whole width of paper."""
        return any(
            isinstance(block.field, Draw)
            or (isinstance(block.field, Table) and len(block.field.columns) > MAX_NARROW)
            for block in self.blocks
        )


@dataclass(frozen=True)
class HandoutDocument:
    """A parsed handout: its sections and the caveat at the end; `parts` finds the section of a part named in a tick.

    `help` are the blocks of the help lines that stand before everything else, `card` the steps of the two-minute card.
    """

    sections: tuple[Section, ...]
    closing: Markup
    parts: Mapping[str, str]
    help: tuple[Block, ...] = ()
    card: tuple[str, ...] = ()

    @property
    def blocks(self) -> tuple[Block, ...]:
        """Return all blocks in their order, also those within others."""
        own = (block for section in self.sections for block in section.blocks)
        return (*self.help, *(inner for block in own for inner in (block, *block.blocks)))


@dataclass(frozen=True)
class FormInputs:
    """Values and errors for a handout's form fields; each is named by `prefix` and the field's id.

    `saved` holds the saved answer as text for a field that shows another value, `replaced` what the client has saved
    another answer over after a conflict. `language` is that of the errors.
    """

    prefix: str
    values: Mapping[str, str | list[str]]
    errors: Mapping[str, list[str]]
    saved: Mapping[str, str]
    replaced: Mapping[str, str]
    language: str


@dataclass(frozen=True)
class HelpLineEntry:
    """A help line as printed: what to call or text, and who answers; advice below the lines has only a name.

    `dial` and `sms` are what comes behind `tel:` and `sms:` in a link, empty for none.
    """

    phone: str
    dial: str
    text: str
    sms: str
    name: str
    note: str


@cache
def _markdown() -> MarkdownIt:
    return MarkdownIt("js-default", {"typographer": True, "linkify": False}).enable("smartquotes")


def render_markdown(text: str) -> Markup:
    """Render Markdown to safe HTML: HTML in the input is escaped and only a few tags are allowed."""
    html = _markdown().render(text)
    return Markup(nh3.clean(html, tags=ALLOWED_TAGS, attributes={}))  # noqa: S704 - cleaned


@lru_cache(maxsize=1024)
def plain_text(text: str) -> str:
    """Render a title or label as text with typographic quotation marks and without markup."""
    return str(Markup(_markdown().renderInline(text)).striptags())  # noqa: S704 - tags are stripped


@lru_cache(maxsize=256)
def parse_document(handout: Handout) -> HandoutDocument:
    """Parse a handout into sections and blocks at its headings and markers."""
    body, closing = handout.body, ""
    head, _, last = body.rpartition("\n\n")
    if CLOSING.fullmatch(last.strip()):
        body, closing = head, last.strip()
    opening, *rest = re.split(r"^## ", body, flags=re.MULTILINE)
    first = _parse_section("", opening, handout)
    lines = tuple(
        inner for block in first.blocks[:1] if block.kind == HELP for inner in block.blocks
    )
    sections = [replace(first, blocks=first.blocks[1:]) if lines else first]
    parts: dict[str, str] = {}
    for number, chunk in enumerate(rest, start=1):
        heading, _, text = chunk.partition("\n")
        section = replace(_parse_section(heading, text, handout), anchor=f"part-{number}")
        named = [found[1] for found in [NUMBERED.match(heading)] if found]
        parts |= dict.fromkeys((*named, *LETTERED.findall(text)), section.anchor)
        sections.append(section)
    card = tuple(map(plain_text, handout.two_minutes))
    return HandoutDocument(tuple(sections), render_markdown(closing), parts, lines, card)


def name_pdf_field(handout: Handout, field: Field, found: Input) -> str:
    """Name a field of the PDF by the text that it stands in, the field and, where it has several inputs, the input.

    The text is a handout in one language and version, since an answer belongs to that version's words. It is named by a
    hash: a program that lists the fields would show the handout's id, which says what a neutral title does not. A part
    of a name can come from words, so every variant takes it from the written text.
    """
    text = f"{handout.id} {handout.language} {handout.version}"
    name = "w" + hashlib.sha256(text.encode()).hexdigest()[:TEXT_NAME_LENGTH]
    own = next((one for one in handout.original.fields if one.id == field.id), field)
    found = own.find_input(found.key) or found
    return ".".join(filter(None, (name, field.id, found.pdf_key or "")))


def find_lost_parts(handout: Handout) -> list[str]:
    """Find the parts to which a tick leads and that the handout doesn’t have."""
    parts = parse_document(handout).parts
    named = [
        item.part for field in handout.fields for item in getattr(field, "items", ()) if item.part
    ]
    return sorted({part for part in named if part not in parts})


def _parse_section(heading: str, text: str, handout: Handout) -> Section:
    named = CLAIMS_MARKER.findall(heading) or CLAIMS_MARKER.findall(text)
    title = CLAIMS_MARKER.sub("", heading).strip()
    return Section(
        heading=plain_text(title),
        claims=tuple(claim for marker in named for claim in marker.split()),
        blocks=tuple(_parse_blocks(CLAIMS_MARKER.sub("", text))),
        stop=title.startswith(STOP_BOX[handout.language]),
    )


def _parse_blocks(text: str) -> Iterator[Block]:
    for block in split_blocks(text):
        if block.field:
            yield Block("field", field=block.field)
        elif block.kind == HELP:
            yield Block(HELP, blocks=tuple(_parse_prose(block.text)))
        elif block.kind == DRAWING and block.text in DRAWINGS:
            yield Block(DRAWING, name=block.text)
        elif block.kind == TALK:
            yield Block(TALK, turns=tuple(_parse_turns(block.text)))
        else:
            # Only a draft can hold a broken block; show it as typed.
            yield from _parse_prose(block.text)


def _parse_turns(text: str) -> Iterator[Turn]:
    """Parse a dialogue: a paragraph is a turn of whom its first bold words name, the others are stage directions."""
    voices: list[str] = []
    for paragraph in filter(None, map(str.strip, text.split("\n\n"))):
        found = SPEAKER.match(paragraph)
        if found and found[1] not in voices:
            voices.append(found[1])
        voice = "" if not found else "b" if voices.index(found[1]) else "a"
        yield Turn(voice, render_markdown(paragraph))


def _parse_prose(text: str) -> Iterator[Block]:
    at = 0
    for marker in LINE_MARKER.finditer(text):
        if before := text[at : marker.start()].strip():
            yield Block("prose", render_markdown(before))
        name = marker[1]
        if name in HELP_BLOCKS:
            yield Block("help_lines", name=name)
        elif name == FAITH:
            yield Block("faith")
        else:
            # Only a draft can hold an unknown marker; show it as typed.
            yield Block("prose", render_markdown(marker.group()))
        at = marker.end()
    if after := text[at:].strip():
        yield Block("prose", render_markdown(after))


def find_empty_blocks(handout: Handout, help_lines: HelpLines) -> tuple[str, ...]:
    """Find the help-line blocks of a handout that would be empty with these help lines."""
    names = dict.fromkeys(
        block.name for block in parse_document(handout).blocks if block.name in REQUIRED_KINDS
    )
    return tuple(name for name in names if not help_lines.of_kinds(REQUIRED_KINDS[name]))


def describe_empty_block(name: str) -> Reason:
    """Give the reason why a handout with an empty help-line block can't be used."""
    return Reason(
        "help_lines_empty",
        f"This handout needs {BLOCK_NAMES[name]}, but the practice hasn’t listed one.",
        "An admin can add a local help line under Settings.",
    )


def list_help_line_entries(name: str, help_lines: HelpLines) -> list[HelpLineEntry]:
    """List the help lines of a block, and below them what to do where none of them may fit.

    Within a kind, lines that are known to answer in the current language come first.
    """
    language = current_language().partition("-")[0]
    found = [
        line
        for kind in BLOCK_KINDS[name]
        for line in sorted(help_lines.of_kinds(kind), key=lambda line: not line.speaks(language))
    ]
    return [
        *(_describe_help_line(line, language) for line in found),
        *(
            HelpLineEntry("", "", "", "", text, "")
            for text in _list_advice(name, found, help_lines, language)
        ),
    ]


def _list_advice(
    name: str, lines: Sequence[HelpLine], help_lines: HelpLines, language: str
) -> Iterator[str]:
    """Yield what to do where a block has no line that is known to be for this reader.

    Whom a line is for and in which languages it answers is said only as far as a source confirms it; help-lines.yaml
    and `HelpLine`.
    """
    if name == "dv_block" and not help_lines.has_abuse_line_for_everybody:
        yield _describe_missing_abuse_line(help_lines)
    if name in SERVICES and not any(
        line.kind == SERVICES[name] and line.audience != "carers" for line in lines
    ):
        if name == "child_block":
            yield gettext(
                "We don’t have a checked number for children here. Ask the child’s doctor or school who can help. If a "
                "child isn’t safe now, call %(emergency)s.",
                emergency=help_lines.emergency.phone,
            )
        else:
            yield gettext(
                "We don’t have a checked number for this here. Ask your doctor, who can treat it or send you to "
                "someone who does."
            )
    if not all(line.speaks(language) for line in lines):
        yield gettext(
            "Ask whether someone there speaks %(language)s.", language=language_name(language)
        )


def _describe_missing_abuse_line(help_lines: HelpLines) -> str:
    emergency = help_lines.emergency.phone
    for line in help_lines.of_kinds("crisis"):
        if line.phone and line.audience == "anyone" and help_lines.is_local(line):
            return gettext(
                "A line “for women” may not help men or same-sex couples, and we don’t have another checked number for "
                "you yet. In danger, call %(emergency)s, otherwise %(phone)s (%(name)s). Your coach can look for a "
                "service with you.",
                emergency=emergency,
                phone=keep_numbers_unbroken(line.phone),
                name=plain_text(line.name),
            )
    return gettext(
        "A line “for women” may not help men or same-sex couples, and we don’t have another checked number for you "
        "yet. In danger, call %(emergency)s. Your coach can look for a service with you.",
        emergency=emergency,
    )


def _describe_help_line(line: HelpLine, language: str) -> HelpLineEntry:
    also = ""
    if language in line.languages[1:]:
        also = gettext("also in %(language)s", language=language_name(language))
    details = ", ".join(
        str(detail)
        for detail in (
            line.region,
            FOR_WHAT.get(line.kind),
            AUDIENCES.get(line.audience),
            keep_numbers_unbroken(str(line.hours)),
            also,
            None if line.phone or line.text_to else line.web,
        )
        if detail
    )
    notes = (
        details[:1].upper() + details[1:],
        keep_numbers_unbroken(str(line.hint)).rstrip("."),
    )
    return HelpLineEntry(
        phone=line.phone or "",
        dial=_make_dialable(line.phone),
        text=_how_to_text(line),
        sms=_address_text(line),
        name=plain_text(line.name),
        note=". ".join(note for note in notes if note),
    )


def _make_dialable(number: str | None) -> str:
    return re.sub(r"[^\d+]", "", number or "")


def _address_text(line: HelpLine) -> str:
    """Return the address of a text message with the keyword as its text; RFC 5724."""
    body = f"?{urlencode({'body': line.text_keyword})}" if line.text_keyword else ""
    return f"{_make_dialable(line.text_to)}{body}" if line.text_to else ""


def find_number_to_dial(text: str | list[str]) -> str:
    """Return the digits of a text that is one telephone number and nothing else; empty if it isn't.

    A form that sends a field several times has a list of texts for it, which is no number.
    """
    if isinstance(text, list):
        return ""
    number = text.strip()
    if number.startswith("+"):
        number = number.replace("(0)", "")
    digits = _make_dialable(number)
    is_one = TO_DIAL.fullmatch(number) and MIN_DIGITS <= len(digits.lstrip("+")) <= MAX_DIGITS
    return digits if is_one else ""


def _how_to_text(line: HelpLine) -> str:
    if not line.text_to:
        return ""
    values = {"number": line.text_to, "keyword": line.text_keyword}
    if line.text_keyword:
        if line.phone:
            return gettext("or text %(keyword)s to %(number)s", **values)
        return gettext("Text %(keyword)s to %(number)s", **values)
    if line.phone:
        return gettext("or text %(number)s", **values)
    return gettext("Text %(number)s", **values)


def keep_numbers_unbroken(text: str) -> str:
    """Keep phone numbers and hours on one line with no-break spaces."""
    return IN_A_NUMBER.sub("\N{NO-BREAK SPACE}", text)


@dataclass(frozen=True)
class CitedClaim:
    """A claim that a section cites, with its source article."""

    claim: Claim
    source: Source


@cache
def _source_by_prefix() -> dict[str, Source]:
    return {source.prefix: source for source in sources().values()}


def list_cited_claims(section: Section) -> list[CitedClaim]:
    """List the claims of a section with their sources; ordinary clinical sense has none."""
    return [
        CitedClaim(claims()[claim], _source_by_prefix()[claim.partition("-")[0]])
        for claim in section.claims
        if claim in claims()
    ]


def render_page_body(
    handout: Handout,
    help_lines: HelpLines,
    *,
    faith: bool,
    staff: bool,
    inputs: FormInputs | None = None,
    reviewed: bool = False,
) -> Markup:
    """Render the body of a handout for a page; `staff` adds the sources of each section.

    `reviewed` says that a licensed clinician has reviewed this version; without that a client's page says so.
    Fields are shown as empty lines, or with `inputs` as form fields; the page adds the form element. Raises RuleBroken
    when a help-line block would be empty.
    """
    handout = for_reader(handout)
    values = get_document_values(handout, help_lines, faith=faith, staff=staff) | {"inputs": inputs}
    with in_language(find_variety(handout.language)):
        missing = describe_missing_review(handout, reviewed=reviewed)
        values["missing_review"] = "" if staff else missing
        return Markup(render_text("components/handout_body.html", values))  # noqa: S704 - a template of ours, escaped


def describe_missing_review(handout: Handout, *, reviewed: bool) -> str:
    """Tell the client that no clinician has reviewed the text; empty when one has."""
    if reviewed or handout.status == REVIEWED:
        return ""
    return gettext("No doctor or therapist has reviewed this text yet.")


def render_fields(handout: Handout, fields: Iterable[Field], inputs: FormInputs) -> Markup:
    """Render some of a handout's fields as form fields, without its text; the page adds the form element."""
    section = Section("", (), tuple(Block("field", field=field) for field in fields), stop=False)
    values = {
        "document": HandoutDocument((section,), Markup(), {}),
        "inputs": inputs,
        "missing_review": "",
        "staff": False,
        "plain_text": plain_text,
        "dial": find_number_to_dial,
    }
    with in_language(find_variety(handout.language)):
        return Markup(render_text("components/handout_body.html", values))  # noqa: S704 - a template of ours, escaped


def get_document_values(
    handout: Handout, help_lines: HelpLines, *, faith: bool, staff: bool
) -> dict[str, object]:
    """Collect the template variables of a handout, for pages and PDFs.

    Raises RuleBroken when a help-line block would be empty.
    """
    if empty := find_empty_blocks(handout, help_lines):
        raise RuleBroken(*map(describe_empty_block, empty))
    return {
        "handout": handout,
        "document": parse_document(handout),
        "lines_of_block": lambda name: list_help_line_entries(name, help_lines),
        "faith": plain_text(handout.faith_insert) if faith and handout.faith_insert else "",
        "staff": staff,
        "list_cited_claims": list_cited_claims,
        "clinical": CLINICAL,
        "is_practice_handout": handout.is_practice_handout,
        "plain_text": plain_text,
        "dial": find_number_to_dial,
        "name_pdf_field": name_pdf_field,
        "draw": draw,
    }
