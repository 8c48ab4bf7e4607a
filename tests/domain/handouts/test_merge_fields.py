"""Whatever is put into a printed page stays words: no tag, no address, no style, no template (SEC-33, SEC-34)."""

from __future__ import annotations

import ast
import io
import re
from dataclasses import replace
from datetime import date

import pikepdf
import pytest
import tinyhtml5
from jinja2 import UndefinedError

from caseapp.core import pdf
from caseapp.core.settings import ROOT
from caseapp.core.templating import TEMPLATES, render_text
from caseapp.domain.authoring.rules import find_problems
from caseapp.domain.authoring.source import STARTER_BODY, HandoutKey, DraftContent, build_source
from caseapp.domain.handouts import printing
from caseapp.domain.handouts.library import Field, library, parse_handout
from caseapp.domain.handouts.packets import PacketItem, render_packet_html
from caseapp.domain.handouts.printing import Personalization
from caseapp.domain.handouts.rendering import render_page_body
from caseapp.domain.practice.help_lines import HelpLine, countries
from caseapp.domain.practice.queries import Letterhead, Logo, HelpLines
from caseapp.domain.reports.pdf_tables import build_table
from caseapp.domain.reports.pdf_tables import render_page as render_report
from tests.domain.handouts.test_payloads import CORES, CORPUS, plain_text
from tests.support.pdf_checks import list_handout_problems
from tests.support.pdf_checks import extract_text as printed

DAY = date(2026, 11, 21)
NAME = HandoutKey("own-01", "en", None)
WORD = "Quetzalcoatl"
PICTURE = b"\x89PNG"
PLACES = tuple(
    Field(f"f{kind}", f"Where {kind}", kind, options, 200, 2, required=False, sensitive=False)
    for kind, options in (
        ("text", ()),
        ("textarea", ()),
        ("checkboxes", ("One", "Two")),
        ("choice", ("Red", "Blue")),
        ("date", ()),
    )
)
OWN = DraftContent(
    title="A walk",
    stage="steady",
    kind="worksheet",
    summary="A short walk each evening.",
    minutes=10,
    answer_fields=PLACES,
    review_date=DAY,
    change="First edition.",
    body=STARTER_BODY["en"].replace(
        "Write here.", "\n\n".join(f"{{{{field:{place.id}}}}}" for place in PLACES)
    ),
)
# Server-side template injection, for every engine that a payload list knows.
TEMPLATE_WORDS = (
    "{{7*7}}", "{{ config }}", "{{ self.__init__.__globals__ }}", "{{''.__class__.__mro__[1].__subclasses__()}}",
    "{% for x in (1,2) %}x{% endfor %}", "{% include '/etc/passwd' %}", "{%print(7*7)%}", "{# gone #}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}", "{{request.application}}", "{{lipsum}}", "${7*7}",
    "#{7*7}", "*{7*7}", "@(7*7)", "<%= 7*7 %>", "<% import os %>", "%{7*7}", "[[7*7]]", "[(7*7)]", "{7*7}", "{{{7*7}}}",
    "{0.__class__}", "{called}", "%(called)s", "$called", "${T(java.lang.Runtime)}", "#set($x=7*7)$x", "{php}x{/php}",
    "{{constructor.constructor('x')()}}", "__import__('os').system('id')", "!!python/object/apply:os.system [id]",
    "&#123;&#123;7*7&#125;&#125;", "{{\n7*7\n}}", "{% raw %}{{7*7}}{% endraw %}",
)  # fmt: skip


def helps(text="Somebody"):
    """Give a country's numbers with one line that the practice added."""
    line = HelpLine(
        "crisis", text, "01632 960123", None, None, None, text, text, None, "anyone", (), None, ""
    )
    return HelpLines((line, *countries()["GB"].lines), None, stale=True)


def letter_of(text):
    return Letterhead(text, text, text, logo=Logo(PICTURE, text), portal="https://desk.example.org")


def own_sheet(text, body=OWN.body):
    """Write one of the practice's own sheets with a text in everything that is not the body, checked like any other."""
    answer_fields = tuple(
        replace(
            place,
            label=f"{place.label} {text}"[:160],
            options=tuple(f"{o} {text}" for o in place.options),
        )
        for place in PLACES
    )
    written = replace(
        OWN, title=f"A walk {text}"[:120], answer_fields=answer_fields, faith_insert=text, body=body
    )
    return parse_handout(build_source(written, NAME, DAY, None))


def printed_report(text):
    practice = {"name": text, "tagline": text, "contact": text, "zone": text, "paper": "A4"}
    return render_report(
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


def documents(text):
    """Give every kind of printed document with one text in all places that take words as they are."""
    sheet = library()["help-right-now", "en"]
    calm = library()["keep-the-day-running", "en"]
    letterhead, personalization = letter_of(text), Personalization(text, text, text)
    yield printing.render_print_html(calm, letterhead, helps(), faith=True, personalization=personalization)
    yield render_packet_html(
        [PacketItem(calm, 1, DAY, text), PacketItem(sheet, 2, None, text)],
        letterhead,
        helps(),
        faith=False,
        personalization=personalization,
    )
    yield printed_report(text)


def tree(html):
    """Read a document as the engine does; give every tag with its attributes and words, in order."""
    # A blank that holds the parts of a number together is a blank.
    html = html.replace("\N{NO-BREAK SPACE}", " ")
    return [
        (str(node.tag), sorted(node.attrib.items()), node.text or "", node.tail or "")
        for node in tinyhtml5.parse(html, namespace_html_elements=False).iter()
    ]


def put_in(found, text):
    """Put a text where the word stood in a tree."""

    def put(words):
        return words.replace(WORD, text)

    return [
        (tag, [(name, put(value)) for name, value in attributes], put(inner), put(after))
        for tag, attributes, inner, after in found
    ]


@pytest.mark.slow
def test_three_hundred_payloads_change_no_tag_of_any_document(the_app):
    """What the engine reads is the same tree each time, with other words in it: in every field of every document."""
    wanted = [tree(html) for html in documents(WORD)]
    assert [sum(WORD in inner + after for _, _, inner, after in found) for found in wanted] == [
        6,
        13,
        10,
    ]
    assert len({*CORPUS}) >= 300
    for text in (*CORPUS, *TEMPLATE_WORDS):
        for html, expected in zip(documents(text), wanted, strict=True):
            assert tree(html) == put_in(expected, text), text


def skeleton(html):
    """Give tags and attributes alone, without the words that a field's label puts into a tooltip."""
    return [
        (tag, [(name, value) for name, value in attributes if name not in {"title", "value"}])
        for tag, attributes, _, _ in tree(html)
    ]


@pytest.mark.slow
def test_nor_does_what_staff_write_in_a_sheet_of_their_own(the_app):
    """Titles, labels, options and help lines are set with proper quotation marks, so only their words may differ."""
    letterhead = Letterhead("P")
    wanted = skeleton(printing.render_print_html(own_sheet("x"), letterhead, helps(), faith=True))
    page = skeleton(render_page_body(own_sheet("x"), helps(), faith=True, staff=True))
    for text in (*CORES, *TEMPLATE_WORDS):
        sheet = own_sheet(text)
        made = printing.render_print_html(sheet, letterhead, helps(text), faith=True)
        assert skeleton(made) == wanted, text
        assert skeleton(render_page_body(sheet, helps(text), faith=True, staff=True)) == page, text


LEFT = {"p", "h3", "ul", "ol", "li", "strong", "em", "br", "blockquote"}


@pytest.mark.slow
@pytest.mark.parametrize("place", ["in a line", "as a block"])
def test_a_body_brings_no_tag_but_those_of_plain_prose_and_no_attribute(the_app, place):
    bare = {
        tag for tag, _ in skeleton(render_page_body(own_sheet("x"), helps(), faith=False, staff=False))
    }
    for text in (*CORES, *TEMPLATE_WORDS):
        around = f"A walk {text} home." if place == "in a line" else f"\n\n{text}\n\n"
        sheet = replace(
            own_sheet("x"), body=OWN.body.replace("Say in two", f"{around}\n\nSay in two")
        )
        found = tree(render_page_body(sheet, helps(), faith=False, staff=False))
        assert {tag for tag, *_ in found} <= bare | LEFT, text
        allowed = {"class", "href", "aria-hidden"}
        assert {name for _, attributes, *_ in found for name, _ in attributes} <= allowed, text
        leading = [
            value for _, attributes, *_ in found for name, value in attributes if name == "href"
        ]
        assert all(value.startswith("tel:") for value in leading), text


@pytest.mark.pdf
def test_what_looks_like_a_template_is_printed_as_it_stands(the_app):
    """One page with all of them: the text that comes out is what was written, and 49 is nowhere."""
    list_of = "\n".join(
        f"- begin{n}end {text}" for n, text in enumerate(TEMPLATE_WORDS) if "\n" not in text
    )
    sheet = replace(own_sheet("x"), body=OWN.body.replace("Say in two", f"{list_of}\n\nSay in two"))
    content = pdf.render(printing.render_print_html(sheet, Letterhead("P"), helps(), faith=False))
    assert list_handout_problems(content, language="en-GB", title="A walk x") == []
    text = printed(content)
    assert not re.search(r"(?<!\d)49(?!\d)", text)
    text = plain_text(text)
    for n, written in enumerate(TEMPLATE_WORDS):
        # What means something in Markdown is asked about above.
        if written.isprintable() and not re.search(r"[<&*]|__", written):
            assert straight(f"begin{n}end{written}") in straight(text), written


def straight(text):
    """Forget which way quotation marks lean, which prose sets by itself."""
    return re.sub(r"[\u2018\u2019'\u201c\u201d\"\s\\]", "", text)


@pytest.mark.parametrize("text", [text for text in TEMPLATE_WORDS if "{{" in text])
def test_a_marker_that_is_none_of_ours_keeps_a_text_from_being_published(the_app, text):
    body = OWN.body.replace("Say in two", f"Walk {text} on.\n\nSay in two")
    found = find_problems(build_source(replace(OWN, body=body), NAME, DAY, None), DAY)
    assert "unknown marker" in " ".join(found["body"]).lower()


def test_no_template_is_ever_made_from_words_that_somebody_wrote():
    """Jinja reads files of ours and nothing else; there is no eval and no second template language (VULN-32)."""
    making = {
        "from_string",
        "render_template_string",
        "Template",
        "eval",
        "exec",
        "compile_expression",
    }
    found = [
        f"{path.relative_to(ROOT)}: {ast.unparse(node.func)}"
        for path in (ROOT / "caseapp").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in making
    ]
    assert found == []
    naming = re.compile(r"\{%-?\s*(include|import|extends|from)\s+[^\"']")
    assert [p for p in TEMPLATES.rglob("*.html") if naming.search(p.read_text())] == []


@pytest.mark.parametrize("template", ["pdf/handout.html", "pdf/packet.html", "pdf/case_report.html"])
def test_a_missing_value_stops_a_document_before_it_is_laid_out(the_app, template):
    with pytest.raises(UndefinedError):
        render_text(template, {})


@pytest.mark.pdf
def test_a_file_with_every_payload_holds_text_and_nothing_that_acts(the_app):
    """The cores in every field at once, a few to a sheet, all as one file."""
    calm = library()["keep-the-day-running", "en"]
    groups = [" ".join(CORES[n : n + 5]) for n in range(0, len(CORES), 5)]
    parts = [PacketItem(calm, n, DAY, text) for n, text in enumerate(groups)]
    letterhead = Letterhead(CORES[0], CORES[3], CORES[12])
    html = render_packet_html(
        parts, letterhead, helps(CORES[2]), faith=False, personalization=Personalization(CORES[4], CORES[8])
    )
    content = pdf.render(html, max_pages=120)
    assert list_handout_problems(content, language="en-GB", title="Your reading") == []
    text = plain_text(printed(content, "-raw"))
    for words in (CORES[0], CORES[3], CORES[4], CORES[8]):
        assert plain_text(words) in text
    with pikepdf.open(io.BytesIO(content)) as document:
        assert dict(document.attachments) == {}
        told = str(dict(document.docinfo)) + document.Root.Metadata.read_bytes().decode()
    assert not any(core in told for core in CORES)
    assert "Mallory" not in told
