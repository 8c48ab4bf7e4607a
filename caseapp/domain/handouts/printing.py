"""Handout PDFs to print or fill in, with the practice's letterhead and, for one client, personal details."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from hashlib import sha256
from math import ceil
from typing import TYPE_CHECKING

from markupsafe import Markup

from caseapp.core import pdf, pdf_cache
from caseapp.core.i18n import (
    current_language,
    format_month,
    gettext,
    in_language,
)
from caseapp.core.qr import render_qr_svg
from caseapp.core.templating import render_text
from caseapp.core.text import fold_for_search
from caseapp.domain.cases.stages import stage_by_id
from caseapp.domain.handouts.blocks import DRAWING, count_words, split_blocks
from caseapp.domain.handouts.drawings import name_title_drawing
from caseapp.domain.handouts.fields import Draw, Long, Scale, Table, Text, Ticks
from caseapp.domain.handouts.library import ANY_STAGE, Handout
from caseapp.domain.handouts.rendering import (
    HelpLineEntry,
    describe_missing_review,
    get_document_values,
    keep_numbers_unbroken,
    list_help_line_entries,
    parse_document,
    plain_text,
)
from caseapp.domain.handouts.variants import find_variety, for_reader

if TYPE_CHECKING:
    from collections.abc import Mapping

    from caseapp.core.vault import DataKey
    from caseapp.domain.handouts.fields import Answer, Field
    from caseapp.domain.practice.queries import HelpLines, Letterhead


# A handout this short is styled to fit on one page.
ONE_PAGE_WORDS = 420
WALLET_CODES, WALLET_LINES = frozenset({"H01", "H02", "H07", "H17"}), 2
"""The handouts with a card to cut out, and how many help lines are on it."""
MAX_PAGES, MAX_PAGES_WITH_TABLES = 2, 3
"""Pages that a handout may take, without a table to fill in or with one; large print takes as many as it needs."""
LINE_SIGNS = 74
ROOMY = {MAX_PAGES: (range(70, 93),), MAX_PAGES_WITH_TABLES: (range(70, 93), range(116, 136))}
"""With how many lines of so many signs headings hang in the margin, by the page limit: as many pages as without."""
SNUG = {MAX_PAGES: 100, MAX_PAGES_WITH_TABLES: 138}
"""From how many lines on a text is set smaller, so that it fits with a name, a message and a logo too."""
TITLE_LINES, CARD_LINES, HELP_LINES, SHORT_ITEM = 6, 6, 6, 36
"""Lines of the title, the card and a list of help lines; signs of an item with room for another beside it."""


def get_page_limit(handout: Handout) -> int:
    """Return how many pages a handout may take in usual print."""
    # The card to cut out may need a page of its own, so that the text in front of it stays as it is.
    has_card = handout.code in WALLET_CODES and bool(handout.two_minutes)
    return _get_text_limit(handout) + has_card


def _get_text_limit(handout: Handout) -> int:
    has_table = any(isinstance(field, Table) for field in handout.fields)
    return MAX_PAGES_WITH_TABLES if has_table else MAX_PAGES


@dataclass(frozen=True)
class Personalization:
    """Personal details in a PDF for one client; `preferred_name` and `coach` are both set or both empty."""

    preferred_name: str = ""
    coach: str = ""
    message: str = ""

    def __bool__(self) -> bool:
        """Return whether any detail is set."""
        return bool(self.preferred_name or self.message)


NOT_PERSONALIZED = Personalization()


@dataclass(frozen=True)
class Written:
    """A client's answers by field, and the line that says of when they are."""

    answers: Mapping[str, Answer]
    mark: str


def render_handout_pdf(
    handout: Handout,
    letterhead: Letterhead,
    help_lines: HelpLines,
    *,
    faith: bool,
    large: bool = False,
    personalization: Personalization = NOT_PERSONALIZED,
    key: DataKey | None = None,
    reviewed: bool = False,
) -> bytes:
    """Render a handout as a PDF to print or fill in, cached by the hash of everything in it.

    `reviewed` says that a licensed clinician has reviewed this version. With personal details, `key` must be the
    client's key: the cached file is sealed under it. Raises RuleBroken when a help-line block would be empty, and what
    `core.pdf` raises.
    """

    def make() -> bytes:
        html = render_print_html(
            handout,
            letterhead,
            help_lines,
            faith=faith,
            large=large,
            personalization=personalization,
            reviewed=reviewed,
        )
        return pdf.render(html, logo=get_logo_image(letterhead))

    source = describe_print_inputs(
        letterhead, help_lines, faith=faith, large=large, personalization=personalization
    )
    version = f"{handout.sha256} {find_variety(handout.language)} {reviewed}"
    return pdf_cache.get_or_render(f"handout {version} {source}", make, key=key)


def describe_print_inputs(
    letterhead: Letterhead,
    help_lines: HelpLines,
    *,
    faith: bool,
    large: bool,
    personalization: Personalization,
) -> str:
    """Describe everything that decides how a PDF looks except its handouts, as part of the cache key."""
    logo = letterhead.logo and (
        letterhead.logo.alternative,
        sha256(letterhead.logo.picture).hexdigest(),
    )
    return repr(
        (
            current_language(),
            replace(letterhead, logo=None),
            logo,
            (help_lines.lines, help_lines.region),
            faith,
            large,
            personalization,
        )
    )


def get_logo_image(letterhead: Letterhead) -> bytes:
    """Return the logo's PNG; empty when there is none."""
    return letterhead.logo.picture if letterhead.logo else b""


def render_draft_pdf(handout: Handout, letterhead: Letterhead, help_lines: HelpLines) -> bytes:
    """Render a draft as a PDF, marked as a draft on every page and never cached.

    Raises RuleBroken when a help-line block would be empty, and what `core.pdf` raises.
    """
    html = render_print_html(handout, letterhead, help_lines, faith=True, draft=True)
    return pdf.render(html, logo=get_logo_image(letterhead))


def render_print_html(
    handout: Handout,
    letterhead: Letterhead,
    help_lines: HelpLines,
    *,
    faith: bool,
    large: bool = False,
    personalization: Personalization = NOT_PERSONALIZED,
    reviewed: bool = False,
    draft: bool = False,
    written: Written | None = None,
) -> str:
    """Render the HTML document of a handout's PDF; large print may take more pages.

    With a discreet letterhead the document says neither where it comes from nor, in its title, what it is about.
    """
    handout = for_reader(handout)
    with in_language(find_variety(handout.language)):
        title = (
            gettext("Your reading") if letterhead.is_discreet else plain_text(handout.neutral_title)
        )
    return render_text(
        "pdf/handout.html",
        {
            "language": get_language_tag(handout.language),
            "title": title,
            "look": get_style_classes(handout, letterhead, large=large),
            "body": render_print_body(
                handout,
                letterhead,
                help_lines,
                faith=faith,
                personalization=personalization,
                reviewed=reviewed,
                draft=draft,
                written=written,
            ),
        },
    )


def get_style_classes(handout: Handout, letterhead: Letterhead, *, large: bool) -> str:
    """Return the CSS classes for paper size and print size."""
    words = count_words(handout.body) + sum(len(step.split()) for step in handout.two_minutes)
    if large or words <= ONE_PAGE_WORDS:
        return f"{letterhead.paper.lower()} {'large' if large else 'compact'}"
    lines, limit = round(estimate_lines(handout)), _get_text_limit(handout)
    has_room = any(lines in roomy for roomy in ROOMY[limit])
    look = "aside" if has_room else "snug" if lines > SNUG[limit] else ""
    return f"{letterhead.paper.lower()} {look}".strip()


def estimate_lines(handout: Handout) -> float:
    """Estimate how many lines a handout takes with its headings in the margin, about 5 mm each."""
    lines: float = TITLE_LINES + (CARD_LINES if handout.two_minutes else 0)
    for block in split_blocks(handout.body):
        lines += _estimate_field(block.field) if block.field else _estimate_text(block.text)
    return lines


def _estimate_text(text: str) -> float:
    paragraphs = [line for line in text.split("\n") if line.strip() and not line.startswith("#")]
    blocks = sum(line.startswith("{{") for line in paragraphs)
    return HELP_LINES * blocks + sum(ceil(len(line) / LINE_SIGNS) + 0.3 for line in paragraphs)


def _estimate_field(field: Field) -> float:
    match field:
        case Text() | Long():
            return 1.4 + 1.6 * field.lines
        case Ticks():
            is_short = max(len(item.words) for item in field.items) <= SHORT_ITEM
            return 1.4 + len(field.items) * (0.6 if is_short else 1.3)
        case Scale():
            return 3 + 1.5 * len(field.inputs)
        case Table():
            return 3.4 + 1.7 * len(field.rows)
        case Draw():
            return 1.4 + field.height / 5
    return 1.4 + 1.6 * len(field.inputs)


def get_language_tag(language: str) -> str:
    """Return the language tag that screen readers use."""
    return find_variety(language)


def render_print_body(
    handout: Handout,
    letterhead: Letterhead,
    help_lines: HelpLines,
    *,
    faith: bool,
    personalization: Personalization,
    prefix: str = "",
    reviewed: bool = False,
    draft: bool = False,
    written: Written | None = None,
) -> Markup:
    """Render the body of a handout's PDF; field names begin with `prefix`, and `draft` marks it as a draft.

    With what was `written` it has the answers instead of fields to fill in.

    A handout with a neutral title gets neither logo nor QR code, which could say what the practice does. Raises
    RuleBroken when a help-line block would be empty.
    """
    handout = for_reader(handout)
    with in_language(find_variety(handout.language)):
        draft_mark = f"{gettext('Draft, not published.')} " if draft else ""
        written_mark = f"{written.mark} " if written else ""
        details = {
            "title": plain_text(handout.neutral_title),
            "kicker": f"{draft_mark}{written_mark}{_kicker(handout, letterhead)}",
            "footer": f"{draft_mark}{_footer(handout, reviewed=reviewed)}",
            "personalization": personalization,
            "prefix": prefix,
            "answers": written.answers if written else None,
            "title_drawing": _choose_drawing(handout, letterhead),
            "wallet": _list_wallet_lines(handout, help_lines, written),
            "stage_number": stage.number if (stage := stage_by_id().get(handout.stage)) else 0,
        }
        values = (
            get_document_values(handout, help_lines, faith=faith, staff=False)
            | get_letterhead_values(letterhead, bare=bool(handout.alias))
            | details
        )
        return Markup(render_text("pdf/handout_body.html", values))  # noqa: S704 - a template of ours, escaped


def _list_wallet_lines(
    handout: Handout, help_lines: HelpLines, written: Written | None
) -> list[HelpLineEntry]:
    """List the help lines of the card to cut out; none where there is no such card.

    It repeats the steps for two minutes, so a handout without them has none.
    """
    if handout.code not in WALLET_CODES or not handout.two_minutes or written:
        return []
    lines = list_help_line_entries("crisis_block", help_lines)
    return [line for line in lines if line.phone][:WALLET_LINES]


def _choose_drawing(handout: Handout, letterhead: Letterhead) -> str:
    """Choose the drawing beside the title, empty for none: of the text or its kind, else the path of stages.

    A text that begins with a drawing has its own. A copy for a client says nothing about a stage.
    """
    if any(block.kind == DRAWING for block in parse_document(handout).sections[0].blocks[:1]):
        return ""
    path = "" if letterhead.is_discreet or handout.stage == ANY_STAGE else "stage-path"
    return name_title_drawing(handout) or path


def get_letterhead_values(letterhead: Letterhead, *, bare: bool) -> dict[str, object]:
    """Collect the template variables of the letterhead; `bare` leaves out logo and QR code."""
    has_code = letterhead.portal and not bare
    return {
        "letterhead": replace(letterhead, contact=keep_numbers_unbroken(letterhead.contact)),
        "logo": None if bare else letterhead.logo,
        "logo_address": pdf.LOGO_URL,
        "code": render_qr_svg(
            letterhead.portal,
            gettext("QR code that opens %(address)s", address=letterhead.portal),
        )
        if has_code
        else "",
    }


def _kicker(handout: Handout, letterhead: Letterhead) -> str:
    minutes = gettext("About %(minutes)s minutes.", minutes=handout.minutes)
    if letterhead.is_discreet:
        return minutes
    if handout.stage == ANY_STAGE:
        where = gettext("For use at any time.")
    else:
        stage = stage_by_id()[handout.stage]
        where = gettext(
            "Stage %(number)s, %(title)s.", number=stage.number, title=stage.client_title
        )
    return f"{where} {minutes}"


def _footer(handout: Handout, *, reviewed: bool) -> str:
    """Name the text and its version; no author of an article, whose name would lead to advice that we reject."""
    version = gettext(
        "Version %(number)s, %(month)s.",
        number=handout.version,
        month=format_month(handout.history[-1][1]),
    )
    title = plain_text(handout.neutral_title)
    full_stop = "" if title.endswith(("?", "!")) else "."
    return f"{title}{full_stop} {version} {describe_missing_review(handout, reviewed=reviewed)}".strip()


def file_name(handout: Handout, *, large: bool = False) -> str:
    """Make a handout's file name from its outside title, in ASCII letters."""
    letters = fold_for_search(for_reader(handout).neutral_title)
    name = re.sub(r"[^a-z0-9]+", "-", letters).strip("-")
    return f"{name}-{handout.version}{'-large' if large else ''}.pdf"
