"""Paper: a sheet as a PDF to print or fill in, with the practice's letterhead and, for one client, a few words."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING

from markupsafe import Markup

from caseapp.core import pdf
from caseapp.core.qr import render_qr_svg
from caseapp.core.templating import render_text
from caseapp.core.text import fold
from caseapp.domain.cases.stages import stage_by_id
from caseapp.domain.handouts.labels import WORDS, Words
from caseapp.domain.handouts.library import ANY_STAGE, Handout, sources
from caseapp.domain.handouts.rendering import plain, sheet_values, unbroken

if TYPE_CHECKING:
    from caseapp.core.vault import DataKey
    from caseapp.domain.practice.queries import Letterhead, Numbers


# A sheet this short is set to fit on one page.
ONE_PAGE_WORDS = 420


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

    def make() -> bytes:
        html = sheet_html(handout, letter, numbers, faith=faith, large=large, personal=personal)
        return pdf.render(html, picture=picture_of(letter))

    source = paper_source(letter, numbers, faith=faith, large=large, personal=personal)
    return pdf.kept(f"sheet {handout.sha256} {source}", make, key=key)


def paper_source(
    letter: Letterhead, numbers: Numbers, *, faith: bool, large: bool, personal: Personal
) -> str:
    """Name all that decides about a piece of paper but the sheets on it."""
    logo = letter.logo and (letter.logo.alternative, sha256(letter.logo.picture).hexdigest())
    return repr((replace(letter, logo=None), logo, numbers.lines, faith, large, personal))


def picture_of(letter: Letterhead) -> bytes:
    """Give the logo's picture, or nothing."""
    return letter.logo.picture if letter.logo else b""


def draft_pdf(handout: Handout, letter: Letterhead, numbers: Numbers) -> bytes:
    """Give a draft as the PDF that it would become, marked as a draft on every page and kept nowhere.

    Raises RuleBroken when a block of help lines would stand empty, or what `core.pdf` raises.
    """
    html = sheet_html(handout, letter, numbers, faith=True, draft=True)
    return pdf.render(html, picture=picture_of(letter))


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
    return render_text(
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
        sheet_values(handout, numbers, faith=faith, staff=False)
        | adornments(letter, words, bare=bool(handout.alias))
        | own
    )
    return Markup(render_text("pdf/sheet.html", values))  # noqa: S704 - a template of ours, escaped


def adornments(letter: Letterhead, words: Words, *, bare: bool) -> dict[str, object]:
    """Give the letterhead to a page of paper, with logo and QR code unless it has to be bare."""
    code = letter.portal and not bare
    return {
        "letter": replace(letter, contact=unbroken(letter.contact)),
        "logo": None if bare else letter.logo,
        "logo_address": pdf.LOGO_URL,
        "code": render_qr_svg(letter.portal, words.code_spoken.format(address=letter.portal))
        if code
        else "",
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
    letters = fold(handout.outside_title)
    name = re.sub(r"[^a-z0-9]+", "-", letters).strip("-")
    return f"{name}-{handout.version}{'-large' if large else ''}.pdf"
