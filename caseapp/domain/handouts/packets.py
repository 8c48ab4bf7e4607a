"""Packs: several handouts of one client as one PDF, behind a cover that lists them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from caseapp.core import pdf
from caseapp.core.templating import render_text
from caseapp.domain.handouts.labels import WORDS
from caseapp.domain.handouts.printing import (
    Personal,
    adornments,
    look_of,
    paper_body,
    paper_source,
    picture_of,
    spoken,
)
from caseapp.domain.handouts.rendering import number_lines, plain

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from caseapp.core.vault import DataKey
    from caseapp.domain.handouts.labels import Words
    from caseapp.domain.handouts.library import Handout
    from caseapp.domain.practice.queries import Letterhead, Numbers

MOST_SHEETS = 12
MAX_PAGES = 120
"""Twelve sheets in large print take some eighty pages."""
OF_A_PACK = re.compile(r"(\d{1,9})_(.+)", re.DOTALL | re.ASCII)
"""What the fields of a pack are called, and none of a single sheet: a field's own name begins with a letter."""


@dataclass(frozen=True)
class PackPart:
    """Be one sheet of a pack: its place on the client's list, for which week, and what the coach wrote with it."""

    handout: Handout
    place: int
    week: date | None = None
    line: str = ""


def pack_pdf(
    parts: Sequence[PackPart],
    letter: Letterhead,
    numbers: Numbers,
    key: DataKey,
    *,
    faith: bool,
    large: bool = False,
    personal: Personal,
) -> bytes:
    """Give several handouts as one PDF, kept sealed under the client's key: which sheets somebody has is told of them.

    Raises RuleBroken when a block of help lines would stand empty, or what `core.pdf` raises.
    """

    def make() -> bytes:
        html = pack_html(parts, letter, numbers, faith=faith, large=large, personal=personal)
        return pdf.render(html, picture=picture_of(letter), most_pages=MAX_PAGES)

    sheets = [(part.handout.sha256, part.place, part.week, part.line) for part in parts]
    source = paper_source(letter, numbers, faith=faith, large=large, personal=personal)
    return pdf.kept(f"pack {sheets} {source}", make, key=key)


def pack_html(
    parts: Sequence[PackPart],
    letter: Letterhead,
    numbers: Numbers,
    *,
    faith: bool,
    large: bool = False,
    personal: Personal,
) -> str:
    """Give the HTML document of a pack.

    Each sheet begins a page and prefixes the names of its fields with its place, by which `place_and_name` tells them
    apart when the file comes back; logo and QR code stand on the cover alone, and not even there when a sheet goes by a
    neutral title.
    """
    languages = {part.handout.language for part in parts}
    language = languages.pop() if len(languages) == 1 else "en"
    words = WORDS[language]
    discreet = any(part.handout.alias for part in parts)
    return render_text(
        "pdf/pack.html",
        {
            **adornments(letter, words, bare=discreet),
            "language": spoken(language),
            "words": words,
            "look": f"{letter.paper.lower()}{' large' if large else ''}",
            "discreet": discreet,
            "crisis": [] if discreet else number_lines("crisis_block", numbers, language),
            "personal": personal,
            "sheets": [
                {
                    "title": plain(part.handout.outside_title),
                    "about": _about(part, words),
                    "look": look_of(part.handout, letter, large=large),
                    "language": spoken(part.handout.language),
                    "body": paper_body(
                        part.handout,
                        letter.describe_reason(),
                        numbers,
                        faith=faith,
                        personal=Personal(line=part.line),
                        prefix=f"{part.place}_",
                    ),
                }
                for part in parts
            ],
        },
    )


def place_and_name(name: str) -> tuple[int, str]:
    """Tell to which sheet's place a field of a PDF belongs and what it is called there; 0 in a sheet by itself."""
    found = OF_A_PACK.fullmatch(name)
    return (int(found[1]), found[2]) if found else (0, name)


def _about(part: PackPart, words: Words) -> str:
    minutes = words.minutes.format(minutes=part.handout.minutes)
    if part.week is None:
        return minutes
    return f"{words.week.format(day=words.day_of(part.week))} {minutes}"
