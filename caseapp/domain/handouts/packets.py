"""Packets: several handouts of one client as one PDF with a cover that lists them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from caseapp.core import pdf, pdf_cache
from caseapp.core.i18n import current_language, format_day, gettext, in_language
from caseapp.core.templating import render_text
from caseapp.domain.handouts.printing import (
    Personalization,
    describe_print_inputs,
    get_language_tag,
    get_letterhead_values,
    get_logo_image,
    get_style_classes,
    render_print_body,
)
from caseapp.domain.handouts.rendering import list_help_line_entries, plain_text
from caseapp.domain.handouts.variants import find_variety, for_reader

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from caseapp.core.vault import DataKey
    from caseapp.domain.handouts.library import Handout
    from caseapp.domain.practice.queries import HelpLines, Letterhead

MAX_HANDOUTS = 12
MAX_PAGES = 120
"""Twelve handouts in large print take about eighty pages."""
PACKET_FIELD_NAME = re.compile(r"(\d{1,9})_(.+)", re.DOTALL | re.ASCII)
"""Name of a field in a packet; never matches a field of a single handout, whose name begins with a letter."""


@dataclass(frozen=True)
class PacketItem:
    """A handout in a packet with its position in the client's list, its week and the coach's message.

    `reviewed` says that a licensed clinician has reviewed this version.
    """

    handout: Handout
    position: int
    week: date | None = None
    message: str = ""
    reviewed: bool = False


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
    """Render several handouts as one PDF, cached and sealed under the client's key, since the list itself is personal.

    Raises RuleBroken when a help-line block would be empty, and what `core.pdf` raises.
    """

    def make() -> bytes:
        html = render_packet_html(
            items, letterhead, help_lines, faith=faith, large=large, personalization=personalization
        )
        return pdf.render(html, logo=get_logo_image(letterhead), max_pages=MAX_PAGES)

    described = [
        (
            item.handout.sha256,
            find_variety(item.handout.language),
            item.position,
            item.week,
            item.message,
            item.reviewed,
        )
        for item in items
    ]
    source = describe_print_inputs(
        letterhead, help_lines, faith=faith, large=large, personalization=personalization
    )
    return pdf_cache.get_or_render(f"packet {described} {source}", make, key=key)


def render_packet_html(
    items: Sequence[PacketItem],
    letterhead: Letterhead,
    help_lines: HelpLines,
    *,
    faith: bool,
    large: bool = False,
    personalization: Personalization,
) -> str:
    """Render the HTML document of a packet.

    Each handout begins on a new page. Its field names begin with its position, so that `split_field_name` can tell them
    apart in an uploaded file. Logo and QR code are on the cover only, and left out when a handout has a neutral title.
    The cover is in the language of the handouts where they have one in common, else in the current one.
    """
    languages = {item.handout.language for item in items}
    cover = find_variety(languages.pop()) if len(languages) == 1 else current_language()
    with in_language(cover):
        return _render_in_language(
            items, letterhead, help_lines, faith=faith, large=large, personalization=personalization
        )


def _render_in_language(
    items: Sequence[PacketItem],
    letterhead: Letterhead,
    help_lines: HelpLines,
    *,
    faith: bool,
    large: bool,
    personalization: Personalization,
) -> str:
    discreet = any(item.handout.alias for item in items)
    return render_text(
        "pdf/packet.html",
        {
            **get_letterhead_values(letterhead, bare=discreet),
            "language": current_language(),
            "look": f"{letterhead.paper.lower()}{' large' if large else ''}",
            "discreet": discreet,
            "crisis": [] if discreet else list_help_line_entries("crisis_block", help_lines),
            "personalization": personalization,
            "items": [
                {
                    "title": plain_text(for_reader(item.handout).neutral_title),
                    "about": _about(item),
                    "look": get_style_classes(item.handout, letterhead, large=large),
                    "language": get_language_tag(item.handout.language),
                    "body": render_print_body(
                        item.handout,
                        letterhead.without_images(),
                        help_lines,
                        faith=faith,
                        personalization=Personalization(message=item.message),
                        prefix=f"{item.position}_",
                        reviewed=item.reviewed,
                    ),
                }
                for item in items
            ],
        },
    )


def split_field_name(name: str) -> tuple[int, str]:
    """Split a PDF field name into the handout's position and the field's name; 0 for a PDF with a single handout."""
    match = PACKET_FIELD_NAME.fullmatch(name)
    return (int(match[1]), match[2]) if match else (0, name)


def _about(item: PacketItem) -> str:
    minutes = gettext("About %(minutes)s minutes.", minutes=item.handout.minutes)
    if item.week is None:
        return minutes
    return f"{gettext('For the week of %(day)s.', day=format_day(item.week))} {minutes}"
