"""Tests of every payload in every merge field, with text extracted from real PDFs (SEC-33).

tests.domain.handouts.test_merge_fields compares the documents of all payloads before rendering. Here many payloads
share a field and many pages a document, each small enough that a slow machine renders it within the ten-second limit. A
normal run renders some of the documents, `make soak` all of them. No database is used.
"""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pikepdf
import pytest
from markupsafe import Markup
from PIL import Image

from caseapp.core import pdf
from caseapp.core.errors import RuleBroken
from caseapp.core.templating import render_text
from caseapp.domain.handouts import printing, rendering
from caseapp.domain.handouts.packets import PacketItem, render_packet_html
from caseapp.domain.handouts.printing import Personalization
from caseapp.domain.practice.queries import HelpLines, Letterhead, Logo
from caseapp.domain.reports.pdf_tables import build_table
from caseapp.domain.reports.pdf_tables import render_page as render_report
from tests.domain.handouts.test_merge_fields import (
    DAY,
    TEMPLATE_PAYLOADS,
    help_lines_with,
    practice_handout,
    without_quotes,
)
from tests.domain.handouts.test_payloads import CORPUS, without_whitespace
from tests.support.depth import sample
from tests.support.pdf_checks import list_handout_problems, run_poppler

PAYLOADS = tuple(dict.fromkeys((*CORPUS, *TEMPLATE_PAYLOADS)))
PAGES_PER_DOCUMENT = 12
"""Pages in one document."""
# Running headers and footers need room for several payloads.
PAGE_STYLE = Markup(
    "<style>@page { size: 210mm 900mm; margin-top: 150mm; margin-bottom: 100mm }"
    " article { break-before: page }</style>"
)
# Markdown resolves this entity to a character that reverses the writing direction, which our fonts lack.
UNPRINTABLE = "&#x202e;gnp.exe"
PRINTABLE_PAYLOADS = tuple(text for text in PAYLOADS if UNPRINTABLE not in text)
# The validator's advice about table headers without scope, which the PDF engine does not pass on.
TABLE_ADVICE = "UA-15-003"


def join_payloads(longest, payloads=PAYLOADS):
    """Join payloads, as many as fit into a field of `longest` characters."""
    joined = [""]
    for text in payloads:
        if joined[-1] and len(joined[-1]) + 1 + len(text) > longest:
            joined.append("")
        joined[-1] = f"{joined[-1]} {text}".strip()
    return joined


def split_into_groups(found, size):
    return [found[n : n + size] for n in range(0, len(found), size)]


@pytest.fixture(scope="module")
def picture():
    found = io.BytesIO()
    Image.new("RGB", (60, 20), "black").save(found, "PNG")
    return found.getvalue()


def body_content(html, end="</body>"):
    """Return the body of a document, up to a mark."""
    return re.search(rf"<body[^>]*>(.*?){end}", html, re.DOTALL)[1]


def pages_of(bodies, *, style="handout.css", picture=b""):
    """Render many bodies as one document, one per page; return the text of each page and the file.

    Also checks that it has no active content and that its metadata is neutral.
    """
    articles = Markup("").join(
        Markup(f'<article class="handout-text">{body}</article>')  # noqa: S704 - made by our templates
        for body in bodies
    )
    values = {
        "language": "en-GB",
        "title": "Every field",
        "look": "a4",
        "body": PAGE_STYLE + articles,
    }
    content = pdf.render(render_text("pdf/handout.html", values), style=style, logo=picture)
    found = check_and_extract(content, "Every field")
    assert len(found) == len(bodies)
    return found, content


def check_and_extract(content, title):
    problems = list_handout_problems(content, language="en-GB", title=title)
    assert [problem for problem in problems if not problem.startswith(TABLE_ADVICE)] == []
    with pikepdf.open(io.BytesIO(content)) as document:
        assert dict(document.attachments) == {}
        told = f"{dict(document.docinfo)}{document.Root.Metadata.read_bytes().decode()}"
    assert "Mallory" not in told
    assert "127.0.0.1" not in told
    return run_poppler("pdftotext", content, "-raw").split("\f")[:-1]


def accessible_texts(content, name):
    """Return all texts that screen readers get under a key: alternative texts or tooltips."""
    with pikepdf.open(io.BytesIO(content)) as document:
        return [
            str(found[name])
            for found in document.objects
            if isinstance(found, pikepdf.Dictionary) and name in found
        ]


def test_join_payloads_keeps_every_payload():
    assert len(PAYLOADS) >= 330
    assert max(len(text) for text in PAYLOADS) <= 110
    for longest in (110, 250):
        assert without_whitespace("".join(join_payloads(longest))) == without_whitespace(
            "".join(PAYLOADS)
        )


@pytest.mark.pdf
@pytest.mark.soak
@pytest.mark.parametrize("document", ["handout", "cover"])
def test_letterhead_logo_names_and_message_print_payloads_as_text(session_app, picture, document):
    """Markup, links and metadata come out as the letters that were typed (VULN-31)."""
    handout = replace(practice_handout("x"), body="## A walk\n\nAround the lake.")
    # Name, tagline and contact; recipient and sender; a handout also has the message.
    times = {"handout": 6, "cover": 5}[document]

    def body(text):
        letterhead = Letterhead(text, text, text, logo=Logo(picture, text))
        personalization = Personalization(text, text, text)
        if document == "handout":
            return printing.render_print_body(
                handout, letterhead, help_lines_with(), faith=False, personalization=personalization
            )
        items = [PacketItem(handout, 1, DAY, text)]
        packet = render_packet_html(
            items, letterhead, help_lines_with(), faith=False, personalization=personalization
        )
        return body_content(packet, "<article")

    for group in sample(split_into_groups(join_payloads(250), PAGES_PER_DOCUMENT), 2):
        pages, content = pages_of([body(text) for text in group], picture=picture)
        for text, page in zip(group, pages, strict=True):
            assert without_whitespace(page).count(without_whitespace(text)) == times, text
        described = accessible_texts(content, "/Alt")
        assert [found for found in described if found != DRAWN] == group


DRAWN = "A path of seven stones through open country"
"""What a screen reader says of the drawing beside the title."""


def as_rendered(text):
    """Return a text as Markdown renders it, without quotation marks."""
    return without_quotes(rendering.plain_text(text)).lower()


@pytest.mark.pdf
@pytest.mark.soak
def test_local_help_lines_print_payloads_as_text(session_app):
    """The name is rendered as Markdown, hours and hint are printed unchanged."""
    handout = replace(practice_handout("x"), body="{{crisis_block}}")

    def body(number, group):
        added = (
            replace(help_lines_with(text).lines[0], name=f"begin{n}end {text}")
            for n, text in enumerate((*group, "The last"))
        )
        known = HelpLines((*added, *help_lines_with().lines), None, stale=True)
        not_personalized, letterhead = printing.NOT_PERSONALIZED, Letterhead("P")
        return printing.render_print_body(
            handout,
            letterhead,
            known,
            faith=False,
            personalization=not_personalized,
            prefix=f"{number}_",
        )

    groups = sample(split_into_groups(PRINTABLE_PAYLOADS, 20), 6)
    pages, _ = pages_of([body(number, group) for number, group in enumerate(groups)])
    for group, page in zip(groups, pages, strict=True):
        said = without_quotes(page).lower()
        for n, text in enumerate(group):
            [found] = re.findall(rf"begin{n}end(.*?)01632960123begin{n + 1}end", said)
            unchanged = without_quotes(text).lower()
            assert found == f"{as_rendered(text)}.{unchanged}.{unchanged.rstrip('.')}", text


@pytest.mark.pdf
@pytest.mark.soak
def test_practice_handout_fields_print_payloads_as_text(session_app):
    letterhead, not_personalized = Letterhead("P"), printing.NOT_PERSONALIZED
    groups = split_into_groups(join_payloads(110, PRINTABLE_PAYLOADS), PAGES_PER_DOCUMENT)
    for group in sample(groups, 3):
        pages, content = pages_of(
            [
                printing.render_print_body(
                    practice_handout(text),
                    letterhead,
                    help_lines_with(),
                    faith=True,
                    personalization=not_personalized,
                    prefix=f"{n}_",
                )
                for n, text in enumerate(group)
            ]
        )
        told = [without_quotes(one).lower() for one in accessible_texts(content, "/TU")]
        for text, page in zip(group, pages, strict=True):
            # The title in header and footer, three labels, two items, cut to 90 characters.
            shown = as_rendered(text[:70])
            assert without_quotes(page).lower().count(shown) >= 7, text
            # Two labels; two ticks with label and item.
            assert sum(one.count(shown) for one in told) >= 6, text


@pytest.mark.parametrize("place", ["title", "help line"])
def test_text_that_becomes_unprintable_raises_before_rendering(session_app, place):
    texts = ("x", UNPRINTABLE) if place == "help line" else (UNPRINTABLE, "x")
    html = printing.render_print_html(
        practice_handout(texts[0]), Letterhead("P"), help_lines_with(texts[1]), faith=True
    )
    with pytest.raises(RuleBroken, match="cannot print"):
        pdf.render(html)


@pytest.mark.pdf
@pytest.mark.soak
def test_case_report_prints_payloads_as_text(session_app):
    def body(text):
        practice = {"name": text, "tagline": text, "contact": text, "zone": text, "paper": "A4"}
        return body_content(
            render_report(
                {
                    "practice": practice,
                    "made_on": DAY,
                    "filters": [(text, text)],
                    "total": text,
                    "sessions": text,
                    "filed": "",
                    "missed": text,
                    "smallest": 5,
                    "to_share": False,
                    "tables": [build_table("By stage", [(text, 7)], to_share=False)],
                }
            )
        )

    for group in sample(split_into_groups(join_payloads(250), PAGES_PER_DOCUMENT), 2):
        pages, content = pages_of([body(text) for text in group], style="report.css")
        for text, page in zip(group, pages, strict=True):
            # Name, tagline, contact, zone, total, sessions and those missed; the name in the footer; two for a filter,
            # one for a table.
            assert without_whitespace(page).count(without_whitespace(text)) == 11, text
        assert accessible_texts(content, "/Alt") == [f"By stage: {text} 7." for text in group]
