"""Sheets: an edition's Markdown turned into a page and into a PDF, with today's help lines in it."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING

import nh3
from markdown_it import MarkdownIt
from markupsafe import Markup

from caseapp.cases.stages import stage_by_id
from caseapp.core import pdf
from caseapp.core.codes import code_svg
from caseapp.core.documents import text_of
from caseapp.core.errors import Reason, RuleBroken
from caseapp.handouts.library import (
    ANY_STAGE,
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

    from caseapp.core.vault import DataKey
    from caseapp.practice.helplines import HelpLine
    from caseapp.practice.queries import Letterhead, Numbers

ALLOWED_TAGS = {"p", "h3", "ul", "ol", "li", "strong", "em", "br", "blockquote"}
CLINICAL = "clinical"
FAITH = "faith_insert"
# A sheet this short is set to fit on one page.
ONE_PAGE_WORDS = 420
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
    "crisis_block": "crisis line",
    "dv_block": "domestic abuse service",
    "substance_block": "drink and drugs service",
    "ed_block": "eating disorder service",
}


@dataclass(frozen=True)
class Words:
    """Hold the few words that a sheet says around its text, in one language."""

    any_stage: str
    stage: str
    minutes: str
    version: str
    written: str
    draft: str
    drawn: str
    others: str
    and_: str
    months: tuple[str, ...]
    page: str
    of: str
    one: str
    blank: str
    so_far: str
    text_to: str
    or_text_to: str
    dedication: str
    week: str
    pack: str
    code: str
    code_spoken: str
    audiences: dict[str, str]
    languages: dict[str, str]


WORDS = {
    "en": Words(
        any_stage="For any time.",
        stage="Stage {number}, {title}.",
        minutes="About {minutes} minutes.",
        version="Version {number}, {month} {year}.",
        written="Written by {practice}.",
        draft="Draft, not published.",
        drawn="Drawn in part from articles by {authors}, in our own words.",
        others="others",
        and_="and",
        months=(
            "January",
            "February",
            "March",
            "April",
            "May",
            "June",
            "July",
            "August",
            "September",
            "October",
            "November",
            "December",
        ),
        page="Page",
        of="of",
        one="Choose one.",
        blank="No answer",
        so_far="Saved so far:",
        text_to="Text {keyword} to {number}",
        or_text_to="or text {keyword} to {number}",
        dedication="For {called}, from {coach}",
        week="For the week of {day} {month}.",
        pack="Your reading",
        code="More to read",
        code_spoken="QR code that opens {address}",
        audiences={"women": "for women"},
        languages={"es": "in Spanish", "en": "in English"},
    ),
    "es": Words(
        any_stage="Para cualquier momento.",
        stage="Etapa {number}, {title}.",
        minutes="Unos {minutes} minutos.",
        version="Versión {number}, {month} de {year}.",
        written="Escrito por {practice}.",
        draft="Borrador, sin publicar.",
        drawn="Se basa en parte en artículos de {authors}, con nuestras palabras.",
        others="otras personas",
        and_="y",
        months=(
            "enero",
            "febrero",
            "marzo",
            "abril",
            "mayo",
            "junio",
            "julio",
            "agosto",
            "septiembre",
            "octubre",
            "noviembre",
            "diciembre",
        ),
        page="Página",
        of="de",
        one="Elige una.",
        blank="Sin respuesta",
        so_far="Guardado hasta ahora:",
        text_to="Escribe {keyword} al {number}",
        or_text_to="o escribe {keyword} al {number}",
        dedication="Para {called}, de {coach}",
        week="Para la semana del {day} de {month}.",
        pack="Tus lecturas",
        code="Más para leer",
        code_spoken="Código QR que abre {address}",
        audiences={"women": "para mujeres"},
        languages={"es": "en español", "en": "en inglés"},
    ),
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
        f"This sheet names a {BLOCK_NAMES[name]}, and the practice has none on its list.",
        "An admin can add a local number under Settings.",
    )


def number_lines(name: str, numbers: Numbers, language: str) -> list[NumberLine]:
    """List the lines of one block in a reader's words."""
    return [
        _number_line(line, WORDS[language], language) for line in numbers.of(*KINDS_OF_BLOCK[name])
    ]


def _number_line(line: HelpLine, words: Words, language: str) -> NumberLine:
    text = ""
    if line.text_to:
        form = words.or_text_to if line.phone else words.text_to
        text = form.format(keyword=line.text_keyword or "", number=line.text_to).replace("  ", " ")
    spoken = "" if not line.languages or language in line.languages else line.languages[0]
    details = ", ".join(
        detail
        for detail in (
            line.region,
            words.audiences.get(line.audience),
            line.hours,
            words.languages.get(spoken),
            None if line.phone or line.text_to else line.web,
        )
        if detail
    )
    notes = (details[:1].upper() + details[1:], line.hint.rstrip("."))
    return NumberLine(
        phone=line.phone or "",
        dial=re.sub(r"[^\d+]", "", line.phone or ""),
        text=text,
        name=plain(line.name),
        note=". ".join(note for note in notes if note),
    )


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
    values = _values(handout, numbers, faith=faith, staff=staff) | {"inputs": inputs}
    return Markup(text_of("parts/sheet.html", values))  # noqa: S704 - a template of ours, escaped


@dataclass(frozen=True)
class Personal:
    """Hold what a PDF says to one client; `called` and `coach` stand there together or not at all."""

    called: str = ""
    coach: str = ""
    line: str = ""

    def __bool__(self) -> bool:
        """Tell whether there is anything."""
        return bool(self.called or self.line)


NOBODY = Personal()


def sheet_pdf(
    handout: Handout,
    letter: Letterhead,
    numbers: Numbers,
    *,
    faith: bool,
    large: bool = False,
    personal: Personal = NOBODY,
    key: DataKey | None = None,
) -> bytes:
    """Give a handout as a PDF to print or fill in, kept by the hash of everything in it.

    What it says to one client asks for that client's `key`. Raises RuleBroken when a block of help lines would stand
    empty, or what `core.pdf` raises.
    """
    html = sheet_html(handout, letter, numbers, faith=faith, large=large, personal=personal)
    return pdf.kept(html, key=key, picture=letter.logo.picture if letter.logo else b"")


def draft_pdf(handout: Handout, letter: Letterhead, numbers: Numbers) -> bytes:
    """Give a draft as the PDF that it would become, marked as a draft on every page and kept nowhere.

    Raises RuleBroken when a block of help lines would stand empty, or what `core.pdf` raises.
    """
    html = sheet_html(handout, letter, numbers, faith=True, draft=True)
    return pdf.render(html, picture=letter.logo.picture if letter.logo else b"")


def sheet_html(
    handout: Handout,
    letter: Letterhead,
    numbers: Numbers,
    *,
    faith: bool,
    large: bool = False,
    personal: Personal = NOBODY,
    draft: bool = False,
) -> str:
    """Give the whole HTML document that becomes a handout's PDF; large print takes the pages that it needs."""
    return text_of(
        "pdf/handout.html",
        {
            "language": spoken(handout.language),
            "title": plain(handout.outside_title),
            "look": look_of(handout, letter, large=large),
            "body": paper_body(
                handout, letter, numbers, faith=faith, personal=personal, draft=draft
            ),
        },
    )


def look_of(handout: Handout, letter: Letterhead, *, large: bool) -> str:
    """Name the classes by which a sheet's print is styled."""
    size = "large" if large else "compact" if len(handout.body.split()) <= ONE_PAGE_WORDS else ""
    return f"{letter.paper.lower()} {size}".strip()


def spoken(language: str) -> str:
    """Name a language as a document does that is read aloud: our English is British."""
    return "en-GB" if language == "en" else language


def paper_body(
    handout: Handout,
    letter: Letterhead,
    numbers: Numbers,
    *,
    faith: bool,
    personal: Personal,
    prefix: str = "",
    draft: bool = False,
) -> Markup:
    """Give what stands on a handout's paper; the names of its fields begin with `prefix`, a draft says that it is one.

    A sheet with a neutral title bears neither the logo nor the QR code, which could say what the practice does.
    Raises RuleBroken when a block of help lines would stand empty.
    """
    words = WORDS[handout.language]
    marked = f"{words.draft} " if draft else ""
    own = {
        "title": plain(handout.outside_title),
        "kicker": f"{marked}{_kicker(handout)}",
        "footer": f"{marked}{_footer(handout, letter)}",
        "personal": personal,
        "prefix": prefix,
    }
    values = (
        _values(handout, numbers, faith=faith, staff=False)
        | adornments(letter, words, bare=bool(handout.alias))
        | own
    )
    return Markup(text_of("pdf/sheet.html", values))  # noqa: S704 - a template of ours, escaped


def adornments(letter: Letterhead, words: Words, *, bare: bool) -> dict[str, object]:
    """Give the letterhead to a page of paper, with logo and QR code unless it has to be bare."""
    code = letter.portal and not bare
    return {
        "letter": letter,
        "logo": None if bare else letter.logo,
        "logo_address": pdf.PICTURE,
        "code": code_svg(letter.portal, words.code_spoken.format(address=letter.portal))
        if code
        else "",
    }


def _values(handout: Handout, numbers: Numbers, *, faith: bool, staff: bool) -> dict[str, object]:
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


def _kicker(handout: Handout) -> str:
    words = WORDS[handout.language]
    if handout.stage == ANY_STAGE:
        where = words.any_stage
    else:
        stage = stage_by_id()[handout.stage]
        where = words.stage.format(number=stage.number, title=stage.client_title)
    return f"{where} {words.minutes.format(minutes=handout.minutes)}"


def _footer(handout: Handout, letter: Letterhead) -> str:
    words = WORDS[handout.language]
    _, day, _ = handout.history[-1]
    version = words.version.format(
        number=handout.version, month=words.months[day.month - 1], year=day.year
    )
    title = plain(handout.outside_title)
    stop = "" if title.endswith(("?", "!")) else "."
    return " ".join(
        (
            f"{title}{stop}",
            version,
            words.written.format(practice=letter.name),
            words.drawn.format(authors=_authors(handout, words)) if handout.sources else "",
        )
    ).strip()


def _authors(handout: Handout, words: Words) -> str:
    named = [sources()[source].author for source in handout.sources]
    names = [*dict.fromkeys(name for name in named if name)]
    if not all(named):
        names.append(words.others)
    *first, last = names
    return f"{', '.join(first)} {words.and_} {last}" if first else last


def file_name(handout: Handout, *, large: bool = False) -> str:
    """Name a handout's file by its outside title, in letters that every system can keep."""
    folded = unicodedata.normalize("NFKD", handout.outside_title.lower())
    letters = "".join(sign for sign in folded if not unicodedata.combining(sign))
    name = re.sub(r"[^a-z0-9]+", "-", letters).strip("-")
    return f"{name}-{handout.version}{'-large' if large else ''}.pdf"
