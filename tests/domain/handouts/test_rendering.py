"""Tests of handouts rendered as pages and PDFs."""

import io
import re
import statistics
import subprocess
from collections import Counter
from dataclasses import replace

import nh3
import pikepdf
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from caseapp.core.errors import RuleBroken
from caseapp.core.i18n import in_language
from caseapp.domain.handouts import printing, rendering
from caseapp.domain.handouts.library import library
from caseapp.domain.practice.help_lines import countries
from caseapp.domain.practice.queries import HelpLines, Letterhead
from tests.support.depth import sample, times
from tests.support.pdf_checks import read_outline

PRACTICE = Letterhead(
    name="Harbour Lane",
    tagline="Separation and relationship coaching",
    contact="0131 496 0142",
    paper="A4",
)
LIBRARY = library()
ALL = pytest.mark.parametrize("key", [*LIBRARY], ids=".".join)


def help_lines(country="GB"):
    return HelpLines(countries()[country].lines, None, stale=True)


def render(handout, *, faith=True, practice=PRACTICE, country="GB", large=False):
    return printing.render_handout_pdf(
        handout, practice, help_lines(country), faith=faith, large=large
    )


def poppler(tool, content, tmp_path, *options):
    file = tmp_path / "handout.pdf"
    file.write_bytes(content)
    done = subprocess.run(  # noqa: S603 - a tool of the system, on a file of ours
        [f"/usr/bin/{tool}", *options, str(file), *(["-"] if tool == "pdftotext" else [])],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def read_form_fields(content):
    """Return the kind and the tooltip of each field of a PDF by its full name, and the names as they come."""
    with pikepdf.open(io.BytesIO(content)) as document:
        found = [*walk_fields(document.Root.AcroForm.Fields)]
        return {name: (str(field.FT), str(field.TU)) for name, field in found}, [
            name for name, _field in found
        ]


def walk_fields(nodes, path=()):
    for node in nodes:
        here = (*path, str(node.T))
        kids = [kid for kid in node.get("/Kids", []) if "/T" in kid]
        if kids:
            yield from walk_fields(kids, here)
        else:
            yield ".".join(here), node


@pytest.fixture(scope="module", params=[*LIBRARY], ids=".".join)
def printed(request, session_app):
    """Give each handout and its PDF: tests of one handout follow each other, so that it is rendered once."""
    handout = LIBRARY[request.param]
    return handout, render(handout)


@pytest.mark.pdf
def test_handout_pdf_is_tagged_titled_and_not_too_long(printed, tmp_path):
    handout, content = printed
    info = dict(
        line.split(":", 1)
        for line in poppler("pdfinfo", content, tmp_path).splitlines()
        if ":" in line
    )
    assert info["Tagged"].strip() == "yes"
    assert info["Form"].strip() == "AcroForm"
    assert info["JavaScript"].strip() == "no"
    assert info["Title"].strip() == rendering.plain_text(handout.neutral_title)
    assert int(info["Pages"]) <= printing.get_page_limit(handout)
    assert info["Page size"].strip().startswith("595.276 x 841.89")


@pytest.mark.pdf
def test_handout_pdf_has_metadata_fonts_and_no_actions(printed):
    handout, content = printed
    with pikepdf.open(io.BytesIO(content)) as document:
        root = document.Root
        assert str(root.Lang) == ("en-GB" if handout.language == "en" else handout.language)
        assert bool(root.MarkInfo.Marked)
        assert bool(root.ViewerPreferences.DisplayDocTitle)
        assert "/OpenAction" not in root
        assert "/AA" not in root
        assert "/EmbeddedFiles" not in root.get("/Names", {})
        assert b"pdfuaid:part" in root.Metadata.read_bytes()
        assert "/Author" not in document.docinfo
        for found in document.objects:
            if isinstance(found, pikepdf.Dictionary):
                assert "/JS" not in found
                assert found.get("/S") not in {"/JavaScript", "/Launch", "/URI", "/SubmitForm"}
                assert found.get("/Type") not in {"/Filespec", "/EmbeddedFile"}
                if found.get("/Type") == "/Font" and "/FontDescriptor" in found:
                    descriptor = found.FontDescriptor
                    assert {"/FontFile2", "/FontFile3"} & set(descriptor.keys())


@pytest.mark.pdf
def test_every_field_is_in_pdf_once_with_label_as_tooltip(printed):
    handout, content = printed
    found, names = read_form_fields(content)
    assert all(count == 1 for count in Counter(names).values())
    wanted = {}
    with in_language(printing.get_language_tag(handout.language)):
        for field in handout.fields:
            label = rendering.plain_text(field.label)
            between = ", " if field.kind in {"scale", "table"} else ": "
            for one in field.inputs:
                if one.pdf_key is not None:
                    tooltip = f"{label}{between}{one.label}" if one.key else label
                    wanted[rendering.name_pdf_field(handout, field, one)] = (
                        "/Tx" if one.kind == "text" else "/Btn",
                        rendering.plain_text(tooltip),
                    )
    assert found == wanted


@pytest.mark.pdf
def test_pdf_text_is_in_reading_order(printed, tmp_path):
    handout, content = printed
    text = " ".join(poppler("pdftotext", content, tmp_path).split())
    assert rendering.plain_text(handout.neutral_title) in text
    # Headings in the margin stand beside text, so their order is that of the outline.
    ((_, below),) = read_outline(content)
    assert [heading for heading, _ in below] == [
        section.heading for section in rendering.parse_document(handout).sections if section.heading
    ]
    assert "{{" not in text
    assert f"{handout.version}, " in text
    assert PRACTICE.name in text
    assert {"en": "Page 1 of ", "es": "Página 1 de "}[handout.language] in text


@pytest.mark.pdf
@pytest.mark.parametrize("key", [key for key, handout in LIBRARY.items() if handout.alias])
def test_sensitive_handout_pdf_never_contains_its_title(session_app, key, tmp_path):
    handout = LIBRARY[key]
    content = render(handout)
    text = " ".join(poppler("pdftotext", content, tmp_path).split())
    assert handout.title not in text
    assert handout.title.encode() not in content
    assert handout.title.lower().split()[0] not in printing.file_name(handout).split("-")[:1]
    with pikepdf.open(io.BytesIO(content)) as document:
        assert handout.title not in str(document.docinfo.get("/Title"))
        assert handout.title.encode() not in document.Root.Metadata.read_bytes()


@pytest.mark.pdf
def test_pdf_is_same_for_same_inputs_and_differs_for_others(session_app):
    handout = LIBRARY["better-nights", "en"]
    first = render(handout)
    assert render(handout) == first
    assert render(handout, country="AU") != first
    assert render(handout, practice=replace(PRACTICE, name="Elm Row")) != first


LETTER = replace(PRACTICE, paper="Letter")
US_LETTER = {"practice": LETTER, "country": "US"}
SIZES = {"A4": "595.276 x 841.89", "Letter": "612 x 792"}


@pytest.mark.pdf
@pytest.mark.soak
@pytest.mark.parametrize("key", sample([*LIBRARY], 12), ids=".".join)
def test_letter_paper_has_no_more_pages(session_app, key, tmp_path):
    """With the help lines of the US; that each handout fits such paper with all details is a test of its own."""
    handout = LIBRARY[key]
    where = {"practice": LETTER} if key[0] == "enough-to-eat" else US_LETTER
    info = poppler("pdfinfo", render(handout, **where), tmp_path, "-l", "9").splitlines()
    sizes = [
        line.partition("size:")[2].strip() for line in info if re.match(r"Page +\d+ size:", line)
    ]
    assert 1 <= len(sizes) <= printing.get_page_limit(handout)
    assert all(size.startswith(SIZES["Letter"]) for size in sizes)


@pytest.mark.pdf
@pytest.mark.parametrize("practice", [PRACTICE, LETTER], ids=lambda practice: practice.paper)
@pytest.mark.parametrize("slug", ["help-right-now", "my-safety-plan", "my-year-ahead"])
def test_large_print_is_larger_with_same_text(session_app, slug, practice, tmp_path):
    handout = LIBRARY[slug, "en"]
    usual, large = (render(handout, practice=practice, large=large) for large in (False, True))
    assert read_form_fields(large) == read_form_fields(usual)
    said = [
        {
            word
            for word in re.split(r"[\s–]+", poppler("pdftotext", content, tmp_path))
            if not word.isdigit()
        }
        for content in (usual, large)
    ]
    assert said[0] == said[1]
    assert f"Page size:       {SIZES[practice.paper]}" in poppler("pdfinfo", large, tmp_path)
    boxes = poppler("pdftotext", large, tmp_path, "-bbox")
    heights = [
        float(bottom) - float(top)
        for top, bottom in re.findall(r'yMin="([\d.]+)" xMax="[\d.]+" yMax="([\d.]+)"', boxes)
    ]
    smallest, usual_height = min(heights), statistics.mode(round(height, 1) for height in heights)
    # The ratio of the body's 18 pt to the footer's 14 pt, whatever the line height.
    assert usual_height / smallest == pytest.approx(18 / 14, rel=0.01)
    assert usual_height > 18


def test_faith_insert_is_shown_only_when_requested(session_app):
    handout = LIBRARY["small-joys-journal", "en"]
    insert = rendering.plain_text(handout.faith_insert)
    requested = rendering.render_page_body(handout, help_lines(), faith=True, staff=False)
    assert insert in requested.striptags()
    assert (
        insert
        not in rendering.render_page_body(
            handout, help_lines(), faith=False, staff=False
        ).striptags()
    )


@ALL
def test_page_body_shows_sources_to_staff_only(session_app, key):
    handout = LIBRARY[key]
    client = rendering.render_page_body(handout, help_lines(), faith=False, staff=False)
    staff = rendering.render_page_body(handout, help_lines(), faith=False, staff=True)
    for claim in handout.claims:
        assert f"<strong>{claim}</strong>" in staff
        assert claim not in client
    assert "{{" not in staff
    for field in handout.fields:
        assert rendering.plain_text(field.label) in client.striptags()
    assert " style=" not in staff
    assert "<script" not in staff


def test_html_in_body_is_escaped(session_app):
    handout = LIBRARY["better-nights", "en"]
    body = handout.body.replace(
        "If you", "<script>alert(1)</script> <img src=x onerror=a> [x](javascript:a) <b>At</b>", 1
    )
    page = rendering.render_page_body(
        replace(handout, body=body), help_lines(), faith=False, staff=False
    )
    assert "<script" not in page
    assert "<img" not in page
    assert 'href="javascript' not in page


@pytest.mark.slow
@pytest.mark.soak
@hypothesis_settings(
    max_examples=times(200),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.text(st.sampled_from("<>&\"'/=![]()*_`#-\\n abimgsvgonerrorstyle{}%"), max_size=80))
def test_rendered_markdown_is_already_clean(session_app, text):
    safe = str(rendering.render_markdown(text))
    assert nh3.clean(safe, tags=rendering.ALLOWED_TAGS, attributes={}) == safe


def test_help_line_entries_are_in_readers_language(session_app):
    with in_language("es"):
        lines = rendering.list_help_line_entries("crisis_block", help_lines("US"))
    *lines, asked = lines
    assert [line.phone for line in lines] == ["911", "988"]
    assert not any("inglés" in line.note for line in lines)
    assert asked.name == "Pregunta si hay alguien que hable español."
    shout = next(
        line
        for line in rendering.list_help_line_entries("crisis_block", help_lines())
        if line.name == "Shout"
    )
    assert (shout.phone, shout.text) == ("", "Text SHOUT to 85258")


def test_every_audience_of_a_help_line_has_a_label():
    lines = [line for country in countries().values() for line in country.lines]
    assert {line.audience for line in lines} - {"anyone"} == rendering.AUDIENCES.keys()


def test_help_line_entry_in_spanish_is_complete(session_app):
    with in_language("es"):
        [service, _, advice] = rendering.list_help_line_entries("dv_block", help_lines("ES"))
    assert service.name == "Servicio contra la violencia de género"
    assert "bórrala ahí" in service.note
    assert "024 (Línea 024)" in advice.name
    assert "600\N{NO-BREAK SPACE}000\N{NO-BREAK SPACE}016" in service.note


def test_help_line_entries_show_text_numbers_with_and_without_keyword(session_app):
    texts = {
        line.text
        for country in countries()
        for line in rendering.list_help_line_entries("crisis_block", help_lines(country))
        if line.text
    }
    assert {"Text SHOUT to 85258", "or text 988"} <= texts
    assert not [text for text in texts if "text to" in text.lower()]


@pytest.mark.pdf
def test_render_without_a_crisis_line_raises(session_app):
    handout = LIBRARY["enough-to-eat", "en"]
    none = HelpLines(countries()["US"].lines[:1], None, stale=True)
    assert rendering.find_empty_blocks(handout, none) == ("crisis_block",)
    for attempt in (
        lambda: printing.render_handout_pdf(handout, PRACTICE, none, faith=True),
        lambda: rendering.render_page_body(handout, none, faith=False, staff=True),
    ):
        with pytest.raises(RuleBroken) as refused:
            attempt()
        assert refused.value.reasons[0].code == "help_lines_empty"


def test_plain_text_keeps_quotation_marks_and_escapes_tags(session_app):
    assert (
        rendering.plain_text('I can\'t say "yes" <b>now</b>')
        == "I can\u2019t say \u201cyes\u201d <b>now</b>"
    )
