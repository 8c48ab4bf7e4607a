"""Tests that text in PDFs never becomes a tag, an address, a style or a template (SEC-33, SEC-34)."""

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
from caseapp.domain.authoring.source import STARTER_BODY, DraftContent, HandoutKey, build_source
from caseapp.domain.handouts import printing
from caseapp.domain.handouts.library import CONTENTS, library, parse_draft
from caseapp.domain.handouts.packets import PacketItem, render_packet_html
from caseapp.domain.handouts.printing import Personalization
from caseapp.domain.handouts.rendering import ALLOWED_TAGS, render_page_body
from caseapp.domain.practice.help_lines import HelpLine, countries
from caseapp.domain.practice.queries import HelpLines, Letterhead, Logo
from caseapp.domain.reports.pdf_tables import build_table
from caseapp.domain.reports.pdf_tables import render_page as render_report
from tests.domain.handouts.test_payloads import CORES, CORPUS, without_whitespace
from tests.support.pdf_checks import extract_text, list_handout_problems

DAY = date(2026, 11, 21)
NAME = HandoutKey("own-01", "en", None)
WORD = "Quetzalcoatl"
PICTURE = b"\x89PNG"
FIELDS = """::: text ftext
Where text
:::

::: long flong {lines=2}
Where long
:::

::: ticks fticks
Where ticks
- One
- Two
:::"""
DRAFT = DraftContent(
    title="A walk",
    stage="steady",
    kind="worksheet",
    summary="A short walk each evening.",
    minutes=10,
    involves=dict.fromkeys(CONTENTS, False),
    review_date=DAY,
    change="First edition.",
    body=STARTER_BODY["en"].replace("Write here.", FIELDS),
)
# Server-side template injection, for every engine that a payload list knows.
TEMPLATE_PAYLOADS = (
    "{{7*7}}", "{{ config }}", "{{ self.__init__.__globals__ }}", "{{''.__class__.__mro__[1].__subclasses__()}}",
    "{% for x in (1,2) %}x{% endfor %}", "{% include '/etc/passwd' %}", "{%print(7*7)%}", "{# gone #}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}", "{{request.application}}", "{{lipsum}}", "${7*7}",
    "#{7*7}", "*{7*7}", "@(7*7)", "<%= 7*7 %>", "<% import os %>", "%{7*7}", "[[7*7]]", "[(7*7)]", "{7*7}", "{{{7*7}}}",
    "{0.__class__}", "{called}", "%(called)s", "$called", "${T(java.lang.Runtime)}", "#set($x=7*7)$x", "{php}x{/php}",
    "{{constructor.constructor('x')()}}", "__import__('os').system('id')", "!!python/object/apply:os.system [id]",
    "&#123;&#123;7*7&#125;&#125;", "{{\n7*7\n}}", "{% raw %}{{7*7}}{% endraw %}",
)  # fmt: skip


def help_lines_with(text="Somebody"):
    """Return a country's help lines with one added by the practice."""
    line = HelpLine(
        "crisis", text, "01632 960123", None, None, None, text, text, None, "anyone", (), None, ""
    )
    return HelpLines((line, *countries()["GB"].lines), None, stale=True)


def letterhead_with(text):
    return Letterhead(text, text, text, logo=Logo(PICTURE, text), portal="https://desk.example.org")


def practice_handout(text, body=DRAFT.body):
    """Build a practice handout with a text in every field except the body."""
    written = replace(
        DRAFT,
        title=f"A walk {text}"[:120],
        faith_insert=text,
        body=re.sub(
            r"^(Where \w+|- (?:One|Two))$",
            lambda line: f"{line[0]} {' '.join(text.split())}"[:90].rstrip(),
            body,
            flags=re.MULTILINE,
        ),
    )
    # Unknown markers are refused in what is published; here they are shown as they were typed.
    return parse_draft(build_source(written, NAME, DAY, None))


def printed_report(text):
    practice = {"name": text, "tagline": text, "contact": text, "zone": text, "paper": "A4"}
    return render_report(
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


def documents(text):
    """Render every kind of PDF document with one text in all plain fields."""
    handout = library()["help-right-now", "en"]
    calm = library()["keep-the-day-running", "en"]
    letterhead, personalization = letterhead_with(text), Personalization(text, text, text)
    yield printing.render_print_html(
        calm, letterhead, help_lines_with(), faith=True, personalization=personalization
    )
    yield render_packet_html(
        [PacketItem(calm, 1, DAY, text), PacketItem(handout, 2, None, text)],
        letterhead,
        help_lines_with(),
        faith=False,
        personalization=personalization,
    )
    yield printed_report(text)


def tree(html):
    """Parse a document as the PDF engine does; return every tag with its attributes and text, in order."""
    # A no-break space within a number counts as a space.
    html = html.replace("\N{NO-BREAK SPACE}", " ")
    return [
        (str(node.tag), sorted(node.attrib.items()), node.text or "", node.tail or "")
        for node in tinyhtml5.parse(html, namespace_html_elements=False).iter()
    ]


def replace_word(found, text):
    """Replace the marker word in a tree by a text."""

    def put(words):
        return words.replace(WORD, text)

    return [
        (tag, [(name, put(value)) for name, value in attributes], put(inner), put(after))
        for tag, attributes, inner, after in found
    ]


@pytest.mark.slow
def test_payloads_in_plain_fields_leave_document_tree_unchanged(session_app):
    """The PDF engine parses the same tree with other text in it, for every field of every document."""
    wanted = [tree(html) for html in documents(WORD)]
    assert [sum(WORD in inner + after for _, _, inner, after in found) for found in wanted] == [
        5,
        10,
        12,
    ]
    assert len({*CORPUS}) >= 300
    for text in (*CORPUS, *TEMPLATE_PAYLOADS):
        for html, expected in zip(documents(text), wanted, strict=True):
            assert tree(html) == replace_word(expected, text), text


def tags_and_attributes(html):
    """Return tags and attributes only, without the text of a tooltip, and wherever short items stand in two columns."""
    return [
        (
            tag,
            [
                (name, (value or "").removesuffix(" pairs"))
                for name, value in attributes
                if name not in {"title", "value"}
            ],
        )
        for tag, attributes, _, _ in tree(html)
    ]


@pytest.mark.slow
def test_payloads_in_practice_handout_leave_document_tree_unchanged(session_app):
    """Titles, labels, options and help lines get typographic quotation marks, so only their text may differ."""
    letterhead = Letterhead("P")
    wanted = tags_and_attributes(
        printing.render_print_html(practice_handout("x"), letterhead, help_lines_with(), faith=True)
    )
    page = tags_and_attributes(
        render_page_body(practice_handout("x"), help_lines_with(), faith=True, staff=True)
    )
    for text in (*CORES, *TEMPLATE_PAYLOADS):
        handout = practice_handout(text)
        made = printing.render_print_html(handout, letterhead, help_lines_with(text), faith=True)
        assert tags_and_attributes(made) == wanted, text
        assert (
            tags_and_attributes(
                render_page_body(handout, help_lines_with(text), faith=True, staff=True)
            )
            == page
        ), text


PROSE_TAGS = ALLOWED_TAGS


@pytest.mark.slow
@pytest.mark.parametrize("context", ["inline", "block"])
def test_payloads_in_body_add_only_prose_tags_and_no_attributes(session_app, context):
    bare = {
        tag
        for tag, _ in tags_and_attributes(
            render_page_body(practice_handout("x"), help_lines_with(), faith=False, staff=False)
        )
    }
    for text in (*CORES, *TEMPLATE_PAYLOADS):
        around = f"A walk {text} home." if context == "inline" else f"\n\n{text}\n\n"
        handout = replace(
            practice_handout("x"), body=DRAFT.body.replace("Say in two", f"{around}\n\nSay in two")
        )
        found = tree(render_page_body(handout, help_lines_with(), faith=False, staff=False))
        assert {tag for tag, *_ in found} <= bare | PROSE_TAGS, text
        allowed = {"class", "href", "id", "aria-hidden"}
        assert {name for _, attributes, *_ in found for name, _ in attributes} <= allowed, text
        leading = [
            value for _, attributes, *_ in found for name, value in attributes if name == "href"
        ]
        assert all(value.startswith(("tel:", "sms:")) for value in leading), text


@pytest.mark.pdf
def test_template_payloads_are_printed_as_text(session_app):
    """One page with all of them: the printed text is what was written, and 49 appears nowhere."""
    list_of = "\n".join(
        f"- begin{n}end {text}" for n, text in enumerate(TEMPLATE_PAYLOADS) if "\n" not in text
    )
    handout = replace(
        practice_handout("x"), body=DRAFT.body.replace("Say in two", f"{list_of}\n\nSay in two")
    )
    content = pdf.render(
        printing.render_print_html(handout, Letterhead("P"), help_lines_with(), faith=False)
    )
    assert list_handout_problems(content, language="en-GB", title="A walk x") == []
    text = extract_text(content)
    assert not re.search(r"(?<!\d)49(?!\d)", text)
    text = without_whitespace(text)
    for n, written in enumerate(TEMPLATE_PAYLOADS):
        # Payloads with Markdown syntax are tested above.
        if written.isprintable() and not re.search(r"[<&*]|__", written):
            assert without_quotes(f"begin{n}end{written}") in without_quotes(text), written


def without_quotes(text):
    """Remove quotation marks, which Markdown rendering changes, and whitespace."""
    return re.sub(r"[\u2018\u2019'\u201c\u201d\"\s\\]", "", text)


@pytest.mark.parametrize("text", [text for text in TEMPLATE_PAYLOADS if "{{" in text])
def test_body_with_unknown_marker_has_a_problem(session_app, text):
    body = DRAFT.body.replace("Say in two", f"Walk {text} on.\n\nSay in two")
    found = find_problems(build_source(replace(DRAFT, body=body), NAME, DAY, None), DAY)
    assert "unknown marker" in " ".join(found["body"]).lower()


@pytest.mark.slow
def test_no_code_builds_templates_from_text():
    """Jinja reads only our files; there is no eval and no second template language (VULN-32)."""
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


@pytest.mark.parametrize(
    "template", ["pdf/handout.html", "pdf/packet.html", "pdf/case_report.html"]
)
def test_pdf_template_with_missing_value_raises(session_app, template):
    with pytest.raises(UndefinedError):
        render_text(template, {})


@pytest.mark.pdf
def test_packet_with_payloads_in_every_field_has_no_active_content(session_app):
    """All payloads in every field at once, a few per handout, in one file."""
    calm = library()["keep-the-day-running", "en"]
    groups = [" ".join(CORES[n : n + 5]) for n in range(0, len(CORES), 5)]
    items = [PacketItem(calm, n, DAY, text) for n, text in enumerate(groups)]
    letterhead = Letterhead(CORES[0], CORES[3], CORES[12])
    html = render_packet_html(
        items,
        letterhead,
        help_lines_with(CORES[2]),
        faith=False,
        personalization=Personalization(CORES[4], CORES[8]),
    )
    content = pdf.render(html, max_pages=120)
    assert list_handout_problems(content, language="en-GB", title="Your reading") == []
    text = without_whitespace(extract_text(content, "-raw"))
    for words in (CORES[0], CORES[3], CORES[4], CORES[8]):
        assert without_whitespace(words) in text
    with pikepdf.open(io.BytesIO(content)) as document:
        assert dict(document.attachments) == {}
        told = str(dict(document.docinfo)) + document.Root.Metadata.read_bytes().decode()
    assert not any(core in told for core in CORES)
    assert "Mallory" not in told
