"""Packs: several handouts of one client as one PDF, behind a cover that lists them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from caseapp.core import pdf
from caseapp.core.templating import render_text
from caseapp.domain.handouts.labels import LABELS
from caseapp.domain.handouts.printing import (
    Personalization,
    get_letterhead_values,
    get_style_classes,
    render_print_body,
    describe_print_inputs,
    get_logo_image,
    get_language_tag,
)
from caseapp.domain.handouts.rendering import list_help_line_entries, plain_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from caseapp.core.vault import DataKey
    from caseapp.domain.handouts.labels import Labels
    from caseapp.domain.handouts.library import Handout
    from caseapp.domain.practice.queries import Letterhead, HelpLines

MAX_HANDOUTS = 12
MAX_PAGES = 120
"""Twelve sheets in large print take some eighty pages."""
PACKET_FIELD_NAME = re.compile(r"(\d{1,9})_(.+)", re.DOTALL | re.ASCII)
"""What the fields of a pack are called, and none of a single sheet: a field's own name begins with a letter."""


@dataclass(frozen=True)
class PacketItem:
    """Be one sheet of a pack: its place on the client's list, for which week, and what the coach wrote with it."""

    handout: Handout
    position: int
    week: date | None = None
    message: str = ""


def render_packet_pdf(
    items: Sequence[PacketItem],
    letterhead: Letterhead,
    help_lines: HelpLines,
    key: DataKey,
    *,
    faith: bool,
    large: bool = False,
    personalization: Personalization,
) -> bytes:
    """Give several handouts as one PDF, kept sealed under the client's key: which sheets somebody has is told of them.

    Raises RuleBroken when a block of help lines would stand empty, or what `core.pdf` raises.
    """

    def make() -> bytes:
        html = render_packet_html(items, letterhead, help_lines, faith=faith, large=large, personalization=personalization)
        return pdf.render(html, logo=get_logo_image(letterhead), max_pages=MAX_PAGES)

    sheets = [(item.handout.sha256, item.position, item.week, item.message) for item in items]
    source = describe_print_inputs(letterhead, help_lines, faith=faith, large=large, personalization=personalization)
    return pdf.get_or_render(f"pack {sheets} {source}", make, key=key)


def render_packet_html(
    items: Sequence[PacketItem],
    letterhead: Letterhead,
    help_lines: HelpLines,
    *,
    faith: bool,
    large: bool = False,
    personalization: Personalization,
) -> str:
    """Give the HTML document of a pack.

    Each sheet begins a page and prefixes the names of its fields with its place, by which `place_and_name` tells them
    apart when the file comes back; logo and QR code stand on the cover alone, and not even there when a sheet goes by a
    neutral title.
    """
    languages = {item.handout.language for item in items}
    language = languages.pop() if len(languages) == 1 else "en"
    labels = LABELS[language]
    discreet = any(item.handout.alias for item in items)
    return render_text(
        "pdf/packet.html",
        {
            **get_letterhead_values(letterhead, labels, bare=discreet),
            "language": get_language_tag(language),
            "labels": labels,
            "look": f"{letterhead.paper.lower()}{' large' if large else ''}",
            "discreet": discreet,
            "crisis": [] if discreet else list_help_line_entries("crisis_block", help_lines, language),
            "personalization": personalization,
            "items": [
                {
                    "title": plain_text(item.handout.outside_title),
                    "about": _about(item, labels),
                    "look": get_style_classes(item.handout, letterhead, large=large),
                    "language": get_language_tag(item.handout.language),
                    "body": render_print_body(
                        item.handout,
                        letterhead.without_images(),
                        help_lines,
                        faith=faith,
                        personalization=Personalization(message=item.message),
                        prefix=f"{item.position}_",
                    ),
                }
                for item in items
            ],
        },
    )


def split_field_name(name: str) -> tuple[int, str]:
    """Tell to which sheet's place a field of a PDF belongs and what it is called there; 0 in a sheet by itself."""
    found = PACKET_FIELD_NAME.fullmatch(name)
    return (int(found[1]), found[2]) if found else (0, name)


def _about(item: PacketItem, labels: Labels) -> str:
    minutes = labels.minutes.format(minutes=item.handout.minutes)
    if item.week is None:
        return minutes
    return f"{labels.week.format(day=labels.format_day(item.week))} {minutes}"
