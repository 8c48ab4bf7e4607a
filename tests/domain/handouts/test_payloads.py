"""Tests that names and messages are printed as text and nothing else (SEC-33)."""

import io
import re
from dataclasses import replace
from itertools import product

import pikepdf
import pytest

from caseapp.core import pdf
from caseapp.domain.assignments.rules import remove_unprintable
from caseapp.domain.handouts import printing
from caseapp.domain.handouts.library import library
from caseapp.domain.handouts.printing import Personalization
from caseapp.domain.practice.help_lines import countries
from caseapp.domain.practice.queries import HelpLines, Letterhead
from tests.support.pdf_checks import extract_text, list_handout_problems

ADDRESS = "http://127.0.0.1:9/x"
# Injection attempts ...
CORES = (
    "<script>alert(1)</script>",
    "<b>bold</b>",
    f'<img src="{ADDRESS}.png">',
    f'<a href="{ADDRESS}">click</a>',
    f'<a rel="attachment" href="{ADDRESS}">file</a>',
    f'<link rel="stylesheet" href="{ADDRESS}.css">',
    "<style>p { display: none }</style>",
    '<meta name="author" content="Mallory">',
    "<title>Mallory</title>",
    '<input name="more" value="1">',
    f'<object data="{ADDRESS}"></object>',
    '<svg onload="alert(1)"><text>x</text></svg>',
    f"<iframe src='{ADDRESS}'></iframe>",
    "<!-- comment -->",
    "<![CDATA[ x ]]>",
    "&lt;b&gt; &amp; &#60;i&#62; &copy;",
    "{{ 7 * 7 }}",
    "{% include 'pdf/handout_body.html' %}",
    "{{ config.items() }}",
    "{called} {0} {coach.__class__}",
    "%(name)s %s %n ${7*7} #{7*7}",
    f"url({ADDRESS})",
    "expression(alert(1))",
    "@import url(x.css);",
    "position: running(footer)",
    "javascript:alert(1)",
    "data:text/html,x",
    "/JavaScript /JS (app.alert(1)) /OpenAction",
    "endobj 9 0 obj << /S /URI >> stream",
    "(text) Tj ET Q BT",
    "${jndi:ldap://x}",
    "'; DROP TABLE client; --",
    "=cmd|' /C calc'!A0",
    "../../../etc/passwd",
    "[link](javascript:alert(1)) **bold** # head",
    '" autofocus onfocus="alert(1)',
    "' style='display:none",
    "</p></blockquote></body></html>",
    "<p class=letterhead>Mallory</p>",
    "&#x202e;gnp.exe",
    "<bdo dir=rtl>abc</bdo>",
    "caseapp-picture:logo",
    "fi fl ffi ffl To Te Va",
    "Zoë Ñandú Łukasz Đặng Þór Œuvre",
    "a < b > c & d \" e ' f",
    "\\u0041 \\x41 \\n %41 %00",
    "1/2 x^2 50 % - \u2013 \u2014 …",
    "€ £ ¥ § ¶ © ®",
    "<x:include href='file'/>",
    "<?xml version='1.0'?><!DOCTYPE x [<!ENTITY e SYSTEM 'f'>]>",
)
# ... and the contexts from which they would try to break out.
AROUND = ("{}", "Ana {}", '"> {}', "'> {} <!--", "</p> {} <p>", "</blockquote> {} x")
CORPUS = [around.replace("{}", core) for core, around in product(CORES, AROUND)]
# Without the card: its numbers would come between the details and the next mark.
HANDOUT = replace(library()["better-nights", "en"], two_minutes=())
PERSONAL_DETAILS = re.compile(r'<p class="for">.*?</blockquote>', re.DOTALL)


def render(personalization):
    help_lines = HelpLines(countries()["GB"].lines, None, stale=True)
    return printing.render_print_html(
        HANDOUT, Letterhead("P"), help_lines, faith=False, personalization=personalization
    )


def render_all(personalizations):
    """Put the personal details of many documents into one, each as its own document shows them."""
    shown = []
    for place, personalization in enumerate(personalizations):
        found = PERSONAL_DETAILS.search(render(personalization))
        shown.append(f"<p>begin{place}end</p>{found[0]}")
    shown.append(f"<p>begin{len(shown)}end</p>")
    return PERSONAL_DETAILS.sub(
        lambda _: "".join(shown), render(Personalization("A", "B", "C")), count=1
    )


@pytest.mark.pdf
def test_personal_details_with_payloads_are_printed_as_text(session_app):
    assert len(set(CORPUS)) >= 300
    personalizations = [Personalization(text, "Ines", text) for text in CORPUS[::2]]
    personalizations += [Personalization("Ana", text, text) for text in CORPUS[1::2]]
    assert [remove_unprintable(personalization) for personalization in personalizations] == [
        (p, ()) for p in personalizations
    ]
    content = pdf.render(render_all(personalizations), max_pages=80)
    assert list_handout_problems(content, language="en-GB", title="When sleep won’t come") == []
    # In raw order, since poppler takes a dash at the end of a line for a hyphen; and within the margins of the page.
    text = extract_text(
        content, "-nopgbrk", *["-raw", "-x", "0", "-y", "65", "-W", "595", "-H", "720"]
    )
    for place, personalization in enumerate(personalizations):
        [found] = re.findall(rf"begin{place}end (.*?)begin\d+end", text)[:1]
        wanted = f"For {personalization.preferred_name}, from {personalization.coach} {personalization.message}"
        assert without_whitespace(found) == without_whitespace(wanted)


def without_whitespace(text):
    """Remove whitespace, which line breaking adds and removes."""
    return re.sub(r"\s+", "", text)


def metadata_of(personalization):
    with pikepdf.open(io.BytesIO(pdf.render(render(personalization)))) as document:
        return dict(document.docinfo), document.Root.Metadata.read_bytes()


@pytest.mark.pdf
def test_personal_details_do_not_reach_pdf_metadata(session_app):
    bare = metadata_of(printing.NOT_PERSONALIZED)
    for text in ("Mallory", CORES[7], CORES[8]):
        assert metadata_of(Personalization(text, text, text)) == bare


@pytest.mark.parametrize(
    "text", ["Ana 🙂", "安娜", "ענת", "Ana\u202egnp", "Ana\x07", "A\u200dna", "Ана", "\ufeffAna"]
)
def test_remove_unprintable_removes_characters_missing_in_fonts(session_app, text):
    printable, reasons = remove_unprintable(Personalization(text, "Ines", "A line."))
    assert printable == Personalization("", "", "A line.")
    assert "names" in reasons[0].message
    printable, reasons = remove_unprintable(Personalization("Ana", "Ines", text))
    assert printable == Personalization("Ana", "Ines", "")
    assert "message" in reasons[0].message
    assert reasons[0].code == "missing_glyphs"
