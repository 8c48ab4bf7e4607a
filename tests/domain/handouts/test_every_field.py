"""Every payload through every merge field, read out of real PDFs (SEC-33).

In tests.domain.handouts.test_merge_fields the documents are held against each other before they are laid out. Here many
payloads share a field, many pages a document, and no document is so large that a slow machine could not lay it out in
the ten seconds that the press gives it. No database is asked.
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
from caseapp.domain.handouts.library import library
from caseapp.domain.handouts.packets import PacketItem, render_packet_html
from caseapp.domain.handouts.printing import Personalization
from caseapp.domain.practice.queries import HelpLines, Letterhead, Logo
from caseapp.domain.reports.pdf_tables import build_table
from caseapp.domain.reports.pdf_tables import render_page as render_report
from tests.domain.handouts.test_merge_fields import DAY, TEMPLATE_WORDS, helps, own_sheet, straight
from tests.domain.handouts.test_payloads import CORPUS, plain_text
from tests.support.pdf_checks import list_handout_problems, run_poppler

EVERY = tuple(dict.fromkeys((*CORPUS, *TEMPLATE_WORDS)))
PAGES = 12
"""Pages of one document."""
# What runs at the head and the foot of a page has room there for several payloads.
ROOM = Markup(
    "<style>@page { size: 210mm 900mm; margin-top: 150mm; margin-bottom: 100mm }"
    " article { break-before: page }</style>"
)
# Prose resolves its entity into a sign that turns the direction of writing, which no font of ours has.
UNPRINTABLE = "&#x202e;gnp.exe"
AS_PROSE = tuple(text for text in EVERY if UNPRINTABLE not in text)
# The validator's advice about tables whose header cells carry no scope, which the engine does not hand on.
ADVICE = "UA-15-003"


def together(longest, payloads=EVERY):
    """Join payloads, as many as a field of so many characters takes."""
    joined = [""]
    for text in payloads:
        if joined[-1] and len(joined[-1]) + 1 + len(text) > longest:
            joined.append("")
        joined[-1] = f"{joined[-1]} {text}".strip()
    return joined


def in_groups(found, size):
    return [found[n : n + size] for n in range(0, len(found), size)]


@pytest.fixture(scope="module")
def picture():
    found = io.BytesIO()
    Image.new("RGB", (60, 20), "black").save(found, "PNG")
    return found.getvalue()


def inside(html, end="</body>"):
    """Give what stands in the body of a document, up to some mark."""
    return re.search(rf"<body[^>]*>(.*?){end}", html, re.DOTALL)[1]


def pages_of(bodies, *, style="handout.css", picture=b""):
    """Lay out many bodies as one document, each beginning a page; give the words of each page and the file.

    Nothing acts in it, and its head says nothing.
    """
    articles = Markup("").join(Markup(f'<article class="handout-text">{one}</article>') for one in bodies)  # noqa: S704 - made by our templates
    values = {"language": "en-GB", "title": "Every field", "look": "a4", "body": ROOM + articles}
    content = pdf.render(render_text("pdf/handout.html", values), style=style, logo=picture)
    found = looked_at(content, "Every field")
    assert len(found) == len(bodies)
    return found, content


def looked_at(content, title):
    faults = list_handout_problems(content, language="en-GB", title=title)
    assert [fault for fault in faults if not fault.startswith(ADVICE)] == []
    with pikepdf.open(io.BytesIO(content)) as document:
        assert dict(document.attachments) == {}
        told = f"{dict(document.docinfo)}{document.Root.Metadata.read_bytes().decode()}"
    assert "Mallory" not in told
    assert "127.0.0.1" not in told
    return run_poppler("pdftotext", content, "-raw").split("\f")[:-1]


def spoken_of(content, name):
    """Give all that a file says aloud under one name: the words of a picture, the tooltip of a field."""
    with pikepdf.open(io.BytesIO(content)) as document:
        return [
            str(found[name])
            for found in document.objects
            if isinstance(found, pikepdf.Dictionary) and name in found
        ]


def test_no_payload_is_left_out():
    assert len(EVERY) >= 330
    assert max(len(text) for text in EVERY) <= 110
    for longest in (110, 250):
        assert plain_text("".join(together(longest))) == plain_text("".join(EVERY))


@pytest.mark.pdf
@pytest.mark.parametrize("document", ["sheet", "cover"])
def test_letterhead_logo_names_and_line(the_app, picture, document):
    sheet = replace(own_sheet("x"), body="## A walk\n\nAround the lake.")
    # Name, tagline and contact; the name again at the foot; for whom and from whom; a sheet has the line, too.
    times = {"sheet": 7, "cover": 6}[document]

    def body(text):
        letterhead = Letterhead(text, text, text, logo=Logo(picture, text))
        personalization = Personalization(text, text, text)
        if document == "sheet":
            return printing.render_print_body(sheet, letterhead, helps(), faith=False, personalization=personalization)
        parts = [PacketItem(sheet, 1, DAY, text)]
        whole = render_packet_html(parts, letterhead, helps(), faith=False, personalization=personalization)
        return inside(whole, "<article")

    for group in in_groups(together(250), PAGES):
        pages, content = pages_of([body(text) for text in group], picture=picture)
        for text, page in zip(group, pages, strict=True):
            assert plain_text(page).count(plain_text(text)) == times, text
        assert spoken_of(content, "/Alt") == group


def as_set(text):
    """Give a text as prose sets it: with dashes of its own, whichever way quotation marks lean."""
    return straight(rendering.plain_text(text)).lower()


@pytest.mark.pdf
def test_help_lines_that_a_practice_adds(the_app):
    """Their name is set as prose, their hours and hint as they are."""
    sheet = library()["help-right-now", "en"]

    def body(number, group):
        added = (
            replace(helps(text).lines[0], name=f"begin{n}end {text}")
            for n, text in enumerate((*group, "The last"))
        )
        known = HelpLines((*added, *helps().lines), None, stale=True)
        nobody, letterhead = printing.NOT_PERSONALIZED, Letterhead("P")
        return printing.render_print_body(
            sheet, letterhead, known, faith=False, personalization=nobody, prefix=f"{number}_"
        )

    groups = in_groups(AS_PROSE, 20)
    pages, _ = pages_of([body(number, group) for number, group in enumerate(groups)])
    for group, page in zip(groups, pages, strict=True):
        said = straight(page).lower()
        for n, text in enumerate(group):
            [found] = re.findall(rf"begin{n}end(.*?)01632960123begin{n + 1}end", said)
            as_it_is = straight(text).lower()
            assert found == f"{as_set(text)}.{as_it_is}.{as_it_is.rstrip('.')}", text


@pytest.mark.pdf
def test_titles_labels_and_options_of_a_practices_own_sheet(the_app):
    letterhead, nobody = Letterhead("P"), printing.NOT_PERSONALIZED
    for group in in_groups(together(110, AS_PROSE), PAGES):
        pages, content = pages_of(
            [
                printing.render_print_body(
                    own_sheet(text), letterhead, helps(), faith=True, personalization=nobody, prefix=f"{n}_"
                )
                for n, text in enumerate(group)
            ]
        )
        told = [straight(one).lower() for one in spoken_of(content, "/TU")]
        for text, page in zip(group, pages, strict=True):
            # The title at the head and the foot, five labels, four options.
            assert straight(page).lower().count(as_set(text)) == 11, text
            # Three labels; two boxes and two choices, which say label and option; a label for the choice as a whole.
            assert sum(one.count(as_set(text)) for one in told) >= 12, text


@pytest.mark.parametrize("place", ["title", "help line"])
def test_what_prose_makes_unprintable_is_refused_before_it_is_laid_out(the_app, place):
    texts = ("x", UNPRINTABLE) if place == "help line" else (UNPRINTABLE, "x")
    html = printing.render_print_html(own_sheet(texts[0]), Letterhead("P"), helps(texts[1]), faith=True)
    with pytest.raises(RuleBroken, match="cannot print"):
        pdf.render(html)


@pytest.mark.pdf
def test_the_case_report(the_app):
    def body(text):
        practice = {"name": text, "tagline": text, "contact": text, "zone": text, "paper": "A4"}
        return inside(
            render_report(
                {
                    "practice": practice,
                    "made_on": DAY,
                    "filters": [(text, text)],
                    "total": text,
                    "smallest": 5,
                    "to_share": False,
                    "tables": [build_table("By stage", [(text, 7)], to_share=False)],
                }
            )
        )

    for group in in_groups(together(250), PAGES):
        pages, content = pages_of([body(text) for text in group], style="report.css")
        for text, page in zip(group, pages, strict=True):
            # Name, tagline, contact, zone and total; the name at the foot; two of a filter, one of a table.
            assert plain_text(page).count(plain_text(text)) == 9, text
        assert spoken_of(content, "/Alt") == [f"By stage: {text} 7." for text in group]
