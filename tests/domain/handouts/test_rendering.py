"""Every sheet of the library, as a page and as a PDF."""

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
from hypothesis import settings as how
from hypothesis import strategies as st

from caseapp.core.errors import RuleBroken
from caseapp.domain.handouts import labels as words
from caseapp.domain.handouts import printing as paper
from caseapp.domain.handouts import rendering
from caseapp.domain.handouts.library import library
from caseapp.domain.practice.help_lines import countries
from caseapp.domain.practice.queries import Letterhead, HelpLines
from tests.support.depth import times

PRACTICE = Letterhead(
    name="Harbour Lane",
    tagline="Separation and relationship coaching",
    contact="0131 496 0142",
    paper="A4",
)
LIBRARY = library()
ALL = pytest.mark.parametrize("key", [*LIBRARY], ids=".".join)
BIGGEST_PAGES = 2


def numbers(country="GB"):
    return HelpLines(countries()[country].lines, None, stale=True)


def made(handout, *, faith=True, practice=PRACTICE, country="GB", large=False):
    return paper.render_handout_pdf(handout, practice, numbers(country), faith=faith, large=large)


def poppler(tool, content, tmp_path, *options):
    file = tmp_path / "sheet.pdf"
    file.write_bytes(content)
    done = subprocess.run(  # noqa: S603 - a tool of the system, on a file of ours
        [f"/usr/bin/{tool}", *options, str(file), *(["-"] if tool == "pdftotext" else [])],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def read_form_fields(content):
    with pikepdf.open(io.BytesIO(content)) as document:
        form = document.Root.AcroForm
        return {
            str(field.T): (str(field.FT), str(field.TU), len(field.get("/Kids", [])))
            for field in form.Fields
        }, [str(field.T) for field in form.Fields]


@pytest.mark.pdf
@ALL
def test_a_sheet_is_tagged_titled_and_at_most_two_pages(the_app, key, tmp_path):
    handout = LIBRARY[key]
    content = made(handout)
    info = dict(
        line.split(":", 1)
        for line in poppler("pdfinfo", content, tmp_path).splitlines()
        if ":" in line
    )
    assert info["Tagged"].strip() == "yes"
    assert info["Form"].strip() == "AcroForm"
    assert info["JavaScript"].strip() == "no"
    assert info["Title"].strip() == rendering.plain_text(handout.outside_title)
    assert int(info["Pages"]) <= BIGGEST_PAGES
    assert info["Page size"].strip().startswith("595.276 x 841.89")


@pytest.mark.pdf
@ALL
def test_a_sheet_is_clean_inside(the_app, key):
    handout = LIBRARY[key]
    content = made(handout)
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
@ALL
def test_every_field_is_there_once_with_its_label_as_tooltip(the_app, key):
    handout = LIBRARY[key]
    found, names = read_form_fields(made(handout))
    assert all(count == 1 for count in Counter(names).values())
    wanted = {}
    for field in handout.fields:
        label = rendering.plain_text(field.label)
        if field.type == "checkboxes":
            for place, option in enumerate(field.options, start=1):
                wanted[f"{field.id}_{place}"] = ("/Btn", f"{label}: {rendering.plain_text(option)}", 0)
        elif field.type == "choice":
            wanted[field.id] = ("/Btn", label, len(field.options))
        else:
            wanted[field.id] = ("/Tx", label, 0)
    assert found == wanted


@pytest.mark.pdf
@ALL
def test_text_comes_out_in_reading_order(the_app, key, tmp_path):
    handout = LIBRARY[key]
    text = " ".join(poppler("pdftotext", made(handout), tmp_path).split())
    at = text.index(rendering.plain_text(handout.outside_title))
    for part in rendering.parse_document(handout).sections:
        if part.heading:
            at = text.index(part.heading, at)
    assert "{{" not in text
    assert f"{handout.version}, " in text
    assert PRACTICE.name in text
    pages = words.LABELS[handout.language]
    assert f"{pages.page} 1 {pages.page_of} " in text


@pytest.mark.pdf
@pytest.mark.parametrize("key", [key for key, handout in LIBRARY.items() if handout.alias])
def test_a_sensitive_sheet_never_names_itself(the_app, key, tmp_path):
    handout = LIBRARY[key]
    content = made(handout)
    text = " ".join(poppler("pdftotext", content, tmp_path).split())
    assert handout.title not in text
    assert handout.title.encode() not in content
    assert handout.title.lower().split()[0] not in paper.file_name(handout).split("-")[:1]
    with pikepdf.open(io.BytesIO(content)) as document:
        assert handout.title not in str(document.docinfo.get("/Title"))
        assert handout.title.encode() not in document.Root.Metadata.read_bytes()


@pytest.mark.pdf
def test_the_same_inputs_give_the_same_file_and_other_numbers_another(the_app):
    handout = LIBRARY["better-nights", "en"]
    first = made(handout)
    assert made(handout) == first
    assert made(handout, country="AU") != first
    assert made(handout, practice=replace(PRACTICE, name="Elm Row")) != first


LETTER = replace(PRACTICE, paper="Letter")
US_LETTER = {"practice": LETTER, "country": "US"}
SIZES = {"A4": "595.276 x 841.89", "Letter": "612 x 792"}


@pytest.mark.pdf
@ALL
def test_letter_paper_takes_no_more_pages(the_app, key, tmp_path):
    handout = LIBRARY[key]
    where = {"practice": LETTER} if key[0] == "enough-to-eat" else US_LETTER
    told = poppler("pdfinfo", made(handout, **where), tmp_path, "-l", "9").splitlines()
    sizes = [
        line.partition("size:")[2].strip() for line in told if re.match(r"Page +\d+ size:", line)
    ]
    assert 1 <= len(sizes) <= (1 if key == ("help-right-now", "en") else BIGGEST_PAGES)
    assert all(size.startswith(SIZES["Letter"]) for size in sizes)


@pytest.mark.pdf
@pytest.mark.parametrize("practice", [PRACTICE, LETTER], ids=lambda practice: practice.paper)
@pytest.mark.parametrize("slug", ["help-right-now", "my-safety-plan", "my-year-ahead"])
def test_large_print_is_large_and_says_the_same(the_app, slug, practice, tmp_path):
    handout = LIBRARY[slug, "en"]
    usual, large = (made(handout, practice=practice, large=large) for large in (False, True))
    assert read_form_fields(large) == read_form_fields(usual)
    said = [
        {word for word in poppler("pdftotext", content, tmp_path).split() if not word.isdigit()}
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
    # The body's 18 pt to the footer's 14 pt, whatever a line of either measures.
    assert usual_height / smallest == pytest.approx(18 / 14, rel=0.01)
    assert usual_height > 18


def test_the_faith_insert_stands_only_where_it_was_asked_for(the_app):
    handout = LIBRARY["small-joys-journal", "en"]
    words = rendering.plain_text(handout.faith_insert)
    asked = rendering.render_page_body(handout, numbers(), faith=True, staff=False)
    assert words in asked.striptags()
    assert (
        words not in rendering.render_page_body(handout, numbers(), faith=False, staff=False).striptags()
    )


@ALL
def test_a_page_shows_the_sources_to_staff_alone(the_app, key):
    handout = LIBRARY[key]
    client = rendering.render_page_body(handout, numbers(), faith=False, staff=False)
    staff = rendering.render_page_body(handout, numbers(), faith=False, staff=True)
    for claim in handout.claims:
        assert f"<strong>{claim}</strong>" in staff
        assert claim not in client
    assert "{{" not in staff
    for field in handout.fields:
        assert rendering.plain_text(field.label) in client.striptags()
    assert " style=" not in staff
    assert "<script" not in staff


def test_no_html_of_a_text_comes_through(the_app):
    handout = LIBRARY["better-nights", "en"]
    body = handout.body.replace(
        "At three", "<script>alert(1)</script> <img src=x onerror=a> [x](javascript:a) <b>At</b>", 1
    )
    page = rendering.render_page_body(replace(handout, body=body), numbers(), faith=False, staff=False)
    assert "<script" not in page
    assert "<img" not in page
    assert 'href="javascript' not in page


@pytest.mark.soak
@how(
    max_examples=times(200),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.text(st.sampled_from("<>&\"'/=![]()*_`#-\\n abimgsvgonerrorstyle{}%"), max_size=80))
def test_what_was_made_safe_once_stays_as_it_is(the_app, text):
    safe = str(rendering.render_markdown(text))
    assert nh3.clean(safe, tags=rendering.ALLOWED_TAGS, attributes={}) == safe


def test_lines_are_shown_in_the_readers_words(the_app):
    lines = rendering.list_help_line_entries("crisis_block", numbers("US"), "es")
    assert [line.phone for line in lines] == ["911", "988"]
    assert lines[0].note.endswith("en inglés")
    shout = next(
        line
        for line in rendering.list_help_line_entries("crisis_block", numbers(), "en")
        if line.name == "Shout"
    )
    assert (shout.phone, shout.text) == ("", "Text SHOUT to 85258")


def test_everything_that_a_line_says_has_words_in_every_language():
    lines = [line for country in countries().values() for line in country.lines]
    assert {line.audience for line in lines} - {"anyone"} <= words.LABELS["en"].audiences.keys()
    for language, known in words.LABELS.items():
        assert known.audiences.keys() == words.LABELS["en"].audiences.keys()
        if language != "en":
            said = {said for line in lines for said in (line.region, line.hours, line.hint) if said}
            assert said == known.phrases.keys()


def test_a_line_is_told_whole_in_spanish(the_app):
    [service, _] = rendering.list_help_line_entries("dv_block", numbers("ES"), "es")
    assert service.name == "Servicio contra la violencia de género"
    assert "bórrala ahí" in service.note
    assert "600\N{NO-BREAK SPACE}000\N{NO-BREAK SPACE}016" in service.note


def test_where_to_write_is_told_with_and_without_a_keyword(the_app):
    texts = {
        line.text
        for country in countries()
        for line in rendering.list_help_line_entries("crisis_block", numbers(country), "en")
        if line.text
    }
    assert {"Text SHOUT to 85258", "or text 988"} <= texts
    assert not [text for text in texts if "text to" in text.lower()]


@pytest.mark.pdf
def test_an_empty_block_of_help_lines_refuses(the_app):
    handout = LIBRARY["enough-to-eat", "en"]
    assert rendering.find_empty_blocks(handout, numbers("US")) == ("ed_block",)
    for attempt in (
        lambda: made(handout, country="US"),
        lambda: rendering.render_page_body(handout, numbers("US"), faith=False, staff=True),
    ):
        with pytest.raises(RuleBroken) as refused:
            attempt()
        assert refused.value.reasons[0].code == "help_lines_empty"


def test_a_label_keeps_its_quotation_marks_and_nothing_else(the_app):
    assert (
        rendering.plain_text('I can\'t say "yes" <b>now</b>')
        == "I can\u2019t say \u201cyes\u201d <b>now</b>"
    )
