"""What a person is called and what a coach writes is text on paper and nothing else (SEC-33)."""

import io
import re
from itertools import product

import pikepdf
import pytest

from caseapp.core import pdf
from caseapp.domain.assignments.rules import remove_unprintable
from caseapp.domain.handouts import printing
from caseapp.domain.handouts.library import library
from caseapp.domain.handouts.printing import Personalization
from caseapp.domain.practice.help_lines import countries
from caseapp.domain.practice.queries import Letterhead, HelpLines
from tests.support.pdf_checks import list_handout_problems, extract_text

ADDRESS = "http://127.0.0.1:9/x"
# What somebody would want to smuggle in ...
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
# ... and where it would try to break out.
AROUND = ("{}", "Ana {}", '"> {}', "'> {} <!--", "</p> {} <p>", "</blockquote> {} x")
CORPUS = [around.replace("{}", core) for core, around in product(CORES, AROUND)]
HANDOUT = library()["better-nights", "en"]
PERSONAL = re.compile(r'<p class="for">.*?</blockquote>', re.DOTALL)


def sheet(personalization):
    known = HelpLines(countries()["GB"].lines, None, stale=True)
    return printing.render_print_html(HANDOUT, Letterhead("P"), known, faith=False, personalization=personalization)


def whole(personals):
    """Put the personal words of many sheets into one, each as its own sheet would have shown them."""
    shown = []
    for place, personalization in enumerate(personals):
        found = PERSONAL.search(sheet(personalization))
        shown.append(f"<p>begin{place}end</p>{found[0]}")
    shown.append(f"<p>begin{len(shown)}end</p>")
    return PERSONAL.sub(lambda _: "".join(shown), sheet(Personalization("A", "B", "C")), count=1)


@pytest.mark.pdf
def test_three_hundred_payloads_come_out_as_they_went_in(the_app):
    assert len(set(CORPUS)) >= 300
    personals = [Personalization(text, "Ines", text) for text in CORPUS[::2]]
    personals += [Personalization("Ana", text, text) for text in CORPUS[1::2]]
    assert [remove_unprintable(personalization) for personalization in personals] == [(p, ()) for p in personals]
    content = pdf.render(whole(personals), max_pages=80)
    assert list_handout_problems(content, language="en-GB", title="When sleep will not come") == []
    # As it was written, for poppler takes a dash at a line's end for a hyphen; and within the margins of the page.
    text = extract_text(content, "-nopgbrk", *["-raw", "-x", "0", "-y", "65", "-W", "595", "-H", "720"])
    for place, personalization in enumerate(personals):
        [found] = re.findall(rf"begin{place}end (.*?)begin\d+end", text)[:1]
        wanted = f"For {personalization.preferred_name}, from {personalization.coach} {personalization.message}"
        assert plain_text(found) == plain_text(wanted)


def plain_text(text):
    """Leave out the blanks that setting a line adds and takes."""
    return re.sub(r"\s+", "", text)


def head_of(personalization):
    with pikepdf.open(io.BytesIO(pdf.render(sheet(personalization)))) as document:
        return dict(document.docinfo), document.Root.Metadata.read_bytes()


@pytest.mark.pdf
def test_no_payload_reaches_the_head_of_the_file(the_app):
    bare = head_of(printing.NOT_PERSONALIZED)
    for text in ("Mallory", CORES[7], CORES[8]):
        assert head_of(Personalization(text, text, text)) == bare


@pytest.mark.parametrize(
    "text", ["Ana 🙂", "安娜", "ענת", "Ana\u202egnp", "Ana\x07", "A\u200dna", "Ана", "\ufeffAna"]
)
def test_what_our_fonts_lack_is_left_out_before_anything_is_laid_out(the_app, text):
    left, told = remove_unprintable(Personalization(text, "Ines", "A line."))
    assert left == Personalization("", "", "A line.")
    assert "names" in told[0].message
    left, told = remove_unprintable(Personalization("Ana", "Ines", text))
    assert left == Personalization("Ana", "Ines", "")
    assert "line" in told[0].message
    assert told[0].code == "missing_glyphs"
