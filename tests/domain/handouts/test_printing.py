"""Tests of handout PDFs and packets: content, accessibility, sizes, logo and QR code."""

import io
import re
from collections import Counter
from contextlib import closing
from dataclasses import replace
from datetime import date
from html import unescape
from itertools import cycle
from uuid import UUID

import pikepdf
import pytest
from PIL import Image

from caseapp.core import images, pdf, vault
from caseapp.core.errors import RenderFailed
from caseapp.core.i18n import in_language, variety_of
from caseapp.core.sandbox.pool import SandboxPool
from caseapp.core.sandbox.protocol import JobRefused
from caseapp.domain.handouts import rendering
from caseapp.domain.handouts.drawings import DRAWINGS, name_title_drawing
from caseapp.domain.handouts.library import library
from caseapp.domain.handouts.packets import PacketItem, render_packet_html, render_packet_pdf
from caseapp.domain.handouts.printing import (
    NOT_PERSONALIZED,
    Personalization,
    Written,
    describe_print_inputs,
    get_language_tag,
    get_page_limit,
    render_handout_pdf,
    render_print_html,
)
from caseapp.domain.practice.help_lines import countries
from caseapp.domain.practice.queries import HelpLines, Letterhead, Logo
from tests.domain.handouts.sample_fields import handout_with
from tests.support.pdf_checks import (
    extract_text,
    list_handout_problems,
    read_outline,
    read_qr_codes,
    run_poppler,
)

pytestmark = pytest.mark.pdf

LIBRARY = library()
PORTAL = "https://desk.example.org/portal"
LETTERHEAD = Letterhead("Harbour Lane", "Separation and relationship coaching", "0131 496 0142")
ANA = Personalization("Ana", "Ines", "Read the first part before Thursday.")
KEY = vault.DataKey(UUID(int=1), b"k" * 32)
SIZES: tuple[dict, ...] = (
    {},
    {"paper": "Letter"},
    {"large": True},
    {"paper": "Letter", "large": True},
)
# Every handout in one of the four sizes in turn; the shortest and the longest in all of them.
SAMPLE = [
    *zip(LIBRARY, cycle(SIZES)),
    *((key, size) for key in (("help-right-now", "en"), ("my-year-ahead", "en")) for size in SIZES),
]


@pytest.fixture(scope="module")
def full_letterhead(session_app):
    """Return a letterhead with logo, QR code, tagline and contact."""
    drawn = io.BytesIO()
    Image.new("RGB", (900, 240), "#1d5b55").save(drawn, "PNG")
    logo = Logo(images.make_logo(drawn.getvalue()), "Harbour Lane, a lighthouse")
    return replace(LETTERHEAD, logo=logo, portal=PORTAL)


def help_lines():
    return HelpLines(countries()["GB"].lines, None, stale=True)


def pages_of(content):
    return int(run_poppler("pdfinfo", content).partition("Pages:")[2].split()[0])


def render(handout, letterhead, *, personalization=ANA, large=False, paper="A4"):
    letterhead = replace(letterhead, paper=paper)
    key = KEY if personalization else None
    return render_handout_pdf(
        handout,
        letterhead,
        help_lines(),
        faith=True,
        large=large,
        personalization=personalization,
        key=key,
    )


def render_packet(keys, letterhead, *, personalization=ANA, large=False, week=None, message=""):
    items = [
        PacketItem(LIBRARY[key], position, week, message)
        for position, key in enumerate(keys, start=3)
    ]
    return render_packet_pdf(
        items,
        letterhead,
        help_lines(),
        KEY,
        faith=False,
        large=large,
        personalization=personalization,
    )


def test_describe_print_inputs_differs_for_every_input(full_letterhead):
    """Cached PDFs are found by this description, so it must contain every input."""
    current = help_lines()
    first = {
        "letterhead": full_letterhead,
        "help_lines": current,
        "faith": False,
        "large": False,
        "personalization": ANA,
    }
    others = [
        *(
            {"letterhead": replace(full_letterhead, **{name: "other"})}
            for name in ("name", "tagline", "contact")
        ),
        {"letterhead": replace(full_letterhead, paper="Letter")},
        {"letterhead": full_letterhead.without_qr_code()},
        {"letterhead": replace(full_letterhead, logo=None)},
        {
            "letterhead": replace(
                full_letterhead, logo=replace(full_letterhead.logo, picture=b"other")
            )
        },
        {
            "letterhead": replace(
                full_letterhead, logo=replace(full_letterhead.logo, alternative="other")
            )
        },
        {"help_lines": replace(current, lines=current.lines[1:])},
        {
            "help_lines": replace(
                current, lines=(replace(current.lines[0], hours="other"), *current.lines[1:])
            )
        },
        {"faith": True},
        {"large": True},
        *(
            {"personalization": replace(ANA, **{name: "other"})}
            for name in ("preferred_name", "coach", "message")
        ),
        {"personalization": NOT_PERSONALIZED},
    ]
    named = {describe_print_inputs(**(first | other)) for other in [{}, *others]}
    with in_language("en-US"):
        named.add(describe_print_inputs(**first))
    assert len(named) == 2 + len(others)
    assert describe_print_inputs(**first) == describe_print_inputs(
        **(first | {"letterhead": replace(full_letterhead)})
    )


@pytest.mark.parametrize(
    ("key", "size"), SAMPLE, ids=lambda v: ".".join(v) if isinstance(v, tuple) else "-".join(v)
)
def test_handout_pdf_is_accessible_and_complete(full_letterhead, key, size):
    handout = LIBRARY[key]
    content = render(handout, full_letterhead, **size)
    language, title = (
        get_language_tag(handout.language),
        rendering.plain_text(handout.neutral_title),
    )
    assert list_handout_problems(content, language=language, title=title) == []
    alternatives = {"Harbour Lane, a lighthouse", f"QR code that opens {PORTAL}"}
    with pikepdf.open(io.BytesIO(content)) as document:
        told = {
            str(one.Alt)
            for one in document.objects
            if isinstance(one, pikepdf.Dictionary) and one.get("/S") == "/Figure"
        }
    if handout.language == "en":
        drawn = told & {str(one) for one in DRAWINGS.values()}
        assert told - drawn == (set() if handout.alias else alternatives)
        assert len(drawn) <= 1
        assert bool(drawn) or not name_title_drawing(handout)
    text = extract_text(content)
    at = 0
    for words in (title, "Ana", ANA.message):
        at = text.index(words, at)
    # Headings in the margin stand beside text, so their order is that of the outline.
    ((_, below),) = read_outline(content)
    assert [heading for heading, _ in below] == [
        section.heading for section in rendering.parse_document(handout).sections if section.heading
    ]
    page = rendering.render_page_body(handout, help_lines(), faith=True, staff=False)
    said = re.sub("<[^>]*>|_+", " ", unescape(page))
    # A word may be broken at its hyphen.
    shown, printed = (set(re.findall(r"\w+", found.replace("-", ""))) for found in (said, text))
    assert shown - printed == set()


def test_only_a_copy_from_the_practice_shows_the_stage(session_app):
    """Somebody who finds a client's own copy learns nothing about a stage, in words or from the drawing of its path."""
    handout = LIBRARY["my-reasons", "en"]
    assert not name_title_drawing(handout)
    path = str(DRAWINGS["stage-path"])
    for letterhead, said in ((LETTERHEAD, True), (LETTERHEAD.discreet(), False)):
        html = render_print_html(handout, letterhead, help_lines(), faith=False)
        assert (path in html) is said
        assert ("Stage " in html) is said


def test_card_to_cut_out_has_the_steps_and_whom_to_call(session_app):
    """It has no field: a file that is filled in has the fields of the text alone."""
    handout = replace(LIBRARY["reaching-out", "en"], two_minutes=("One.", "Two.", "Three."))
    html = render_print_html(handout, LETTERHEAD, help_lines(), faith=False)
    card = html.partition('class="wallet"')[2].partition("</section>")[0]
    assert all(step in card for step in handout.two_minutes)
    assert "<b>999</b>" in card
    assert "<b>116 123</b>" in card.replace("\xa0", " ")
    assert "<input" not in card
    other = render_print_html(replace(handout, code="H18"), LETTERHEAD, help_lines(), faith=False)
    assert 'class="wallet"' not in other
    title = rendering.plain_text(handout.title)
    assert list_handout_problems(pdf.render(html), language="en-GB", title=title) == []


def test_full_table_with_long_answers_begins_on_the_page_of_its_heading(session_app):
    """It used to leave the first page blank, since nothing in a field could go over a page."""
    rows = "\n".join(f"| Row {n} | | | | | | |" for n in range(10))
    table = f"::: table grid\nMy days\n| Day | A | B | C | D | E | F |\n|---|---|---|---|---|---|---|\n{rows}\n:::"
    handout = handout_with(f"Words.\n\n## The grid\n\n{table}")
    (field,) = handout.fields
    written = Written({"grid": {one.key: "long words " * 18 for one in field.inputs}}, "As of now.")
    html = render_print_html(handout, LETTERHEAD, help_lines(), faith=False, written=written)
    made = pdf.render(html)
    assert "Row 0" in extract_text(made, "-l", "1")
    assert extract_text(made).count("words") == 18 * 60


PAPER_SAMPLE = [
    *((key, "Letter") for key in LIBRARY),
    *((key, "A4") for key in sorted(LIBRARY, key=lambda key: -len(LIBRARY[key].body))[:8]),
]


@pytest.mark.parametrize(
    ("key", "paper"), PAPER_SAMPLE, ids=lambda v: v if isinstance(v, str) else ".".join(v)
)
def test_handout_pdf_with_all_details_is_not_too_long(full_letterhead, key, paper):
    """With a logo, QR code, faith insert, names and a long message, a handout has no more pages than it may."""
    message = (
        "Mornings are hardest for you just now. Begin with the first part, "
        "and leave all the rest of it till we meet on Thursday."
    )
    assert len(message) == 120
    personalization = Personalization("Priya", "Maya Lindqvist", message)
    most = get_page_limit(LIBRARY[key])
    assert (
        pages_of(
            render(LIBRARY[key], full_letterhead, personalization=personalization, paper=paper)
        )
        <= most
    )


def test_personal_details_are_in_text_but_not_in_metadata(full_letterhead):
    content = render(LIBRARY["better-nights", "en"], full_letterhead)
    assert "For Ana, from Ines Read the first part before Thursday." in extract_text(content)
    assert "Para Ana, de Ines" in extract_text(
        render(LIBRARY["better-nights", "es"], full_letterhead)
    )
    with pikepdf.open(io.BytesIO(content)) as document:
        told = " ".join(str(value) for value in document.docinfo.values())
        told += document.Root.Metadata.read_bytes().decode()
    assert "Ana" not in told
    assert "Ines" not in told


def test_handout_pdf_without_personalization_names_nobody(full_letterhead):
    text = extract_text(
        render(LIBRARY["better-nights", "en"], full_letterhead, personalization=NOT_PERSONALIZED)
    )
    assert "For Ana" not in text
    assert "from Ines" not in text


def test_logo_is_embedded_once_without_mask(full_letterhead):
    content = render(LIBRARY["better-nights", "en"], full_letterhead)
    with pikepdf.open(io.BytesIO(content)) as document:
        embedded = [
            one
            for one in document.objects
            if isinstance(one, pikepdf.Stream) and one.get("/Subtype") == "/Image"
        ]
    assert len(embedded) == 1
    assert "/SMask" not in embedded[0]


def test_render_with_missing_logo_file_fails(session_app, full_letterhead):
    shown = render_print_html(
        LIBRARY["better-nights", "en"], full_letterhead, help_lines(), faith=False
    )
    renderer = pdf.Renderer(pdf.get_font_files())
    assert b"/Image" in renderer.render_document(shown, "handout.css", full_letterhead.logo.picture)
    with pytest.raises(RenderFailed) as refused:
        pdf.render(shown)
    assert refused.value.cause == "outside"
    with pytest.raises(JobRefused, match="outside"):
        renderer.render_document(shown, "handout.css")


def test_qr_code_is_printed_only_when_enabled_and_not_on_neutral_titles(full_letterhead):
    handout = LIBRARY["better-nights", "en"]
    assert "More to read" in extract_text(render(handout, full_letterhead))
    assert "More to read" not in extract_text(render(handout, full_letterhead.without_qr_code()))
    assert "More to read" not in extract_text(
        render(LIBRARY["help-right-now", "en"], full_letterhead)
    )


@pytest.mark.parametrize("size", SIZES, ids=lambda size: "-".join(map(str, size.values())) or "a4")
def test_qr_code_decodes_to_portal_address(full_letterhead, size):
    content = render(LIBRARY["better-nights", "en"], full_letterhead, **size)
    # It stands beside the title, which help lines in large print move to the second page.
    assert read_qr_codes(content, page=2 if size.get("large") else 1) == [PORTAL]


def test_no_qr_code_decodes_when_disabled(full_letterhead):
    assert (
        read_qr_codes(render(LIBRARY["better-nights", "en"], full_letterhead.without_qr_code()))
        == []
    )
    assert read_qr_codes(render(LIBRARY["help-right-now", "en"], full_letterhead)) == []


FOUR = [
    ("first-days-pause", "en"),
    ("better-nights", "en"),
    ("my-limits", "en"),
    ("better-nights", "es"),
]
FOUR = [key for key in FOUR if key in LIBRARY]


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("paper", ["A4", "Letter"])
def test_packet_has_cover_and_separate_pages_for_each_handout(full_letterhead, paper, large):
    content = render_packet(
        FOUR, replace(full_letterhead, paper=paper), large=large, week=date(2027, 3, 1)
    )
    assert list_handout_problems(content, language="en-GB", title="Your reading") == []
    text = extract_text(content)
    titles = [rendering.plain_text(LIBRARY[key].neutral_title) for key in FOUR]
    assert "For Ana, from Ines" in text
    for title, key in zip(titles, FOUR, strict=True):
        assert f"{title} For the week of 1 March. About {LIBRARY[key].minutes} minutes." in text
    pages = [" ".join(page.split()) for page in run_poppler("pdftotext", content).split("\f")[:-1]]
    assert f"Page 1 of {len(pages)}" in pages[0]
    # The footer names the handout of a page, so no page belongs to two.
    owners = [
        [place for place, title in enumerate(titles) if re.search(rf"{title}[.?!]? Versi", page)]
        for page in pages[1:]
    ]
    assert all(len(owner) == 1 for owner in owners)
    assert sorted(owners) == owners
    assert {place for (place,) in owners} == set(range(len(FOUR)))
    told = read_outline(content)
    assert [title for title, _ in told] == ["Your reading", *titles]
    for (_, below), key in zip(told[1:], FOUR, strict=True):
        sections = rendering.parse_document(LIBRARY[key]).sections
        assert [title for title, _ in below] == [
            section.heading for section in sections if section.heading
        ]


def test_packet_has_qr_code_on_cover_only(full_letterhead):
    content = render_packet(FOUR[:2], full_letterhead)
    assert read_qr_codes(content) == [PORTAL]
    pages = pages_of(content)
    assert pages > 2
    assert [
        code for page in range(2, pages + 1) for code in read_qr_codes(content, page=page)
    ] == []


def test_packet_with_same_handout_twice_has_unique_field_names(full_letterhead):
    content = render_packet([FOUR[0]] * 3, full_letterhead)
    with pikepdf.open(io.BytesIO(content)) as document:
        names = [str(one.T) for one in document.Root.AcroForm.Fields]
    assert max(Counter(names).values()) == 1
    alone = {name.partition("_")[2] for name in names}
    assert len(names) == 3 * len(alone)


def test_packet_with_other_position_has_other_field_names(full_letterhead):
    """Otherwise a cached file would have field names of an old position, and its answers would be lost."""
    first, other = (
        render_packet_pdf(
            [PacketItem(LIBRARY[FOUR[0]], position)],
            full_letterhead,
            help_lines(),
            KEY,
            faith=False,
            personalization=NOT_PERSONALIZED,
        )
        for position in (1, 2)
    )
    with pikepdf.open(io.BytesIO(first)) as one, pikepdf.open(io.BytesIO(other)) as two:
        places = [{str(f.T)[:2] for f in document.Root.AcroForm.Fields} for document in (one, two)]
    assert places == [{"1_"}, {"2_"}]


def test_packet_with_neutral_title_has_discreet_cover(full_letterhead):
    cover = run_poppler(
        "pdftotext", render_packet([FOUR[0], ("help-right-now", "en")], full_letterhead), "-l", "1"
    )
    assert "coaching" not in cover.lower()
    assert "More to read" not in cover
    assert LIBRARY["help-right-now", "en"].title not in cover
    assert "If you need help now" not in cover
    assert "116 123" not in cover


@pytest.mark.parametrize(
    ("keys", "heading"),
    [
        (FOUR[:1], "If you need help now"),
        (FOUR, "If you need help now"),
        ([("better-nights", "es")], "Si necesitas ayuda ahora"),
    ],
)
def test_packet_cover_lists_crisis_help_lines(full_letterhead, keys, heading):
    language = "es" if heading.startswith("Si") else "en"
    cover = " ".join(
        run_poppler("pdftotext", render_packet(keys, full_letterhead), "-l", "1").split()
    )
    _, _, below = cover.partition(heading)
    with in_language(variety_of(language)):
        entries = rendering.list_help_line_entries("crisis_block", help_lines())
    assert len(entries) > 2
    for entry in entries:
        assert f"{entry.phone or entry.text} {entry.name}" in below


def test_packet_in_one_language_has_that_language(full_letterhead):
    content = render_packet(
        [("better-nights", "es"), ("help-right-now", "es")],
        full_letterhead,
        personalization=NOT_PERSONALIZED,
    )
    assert list_handout_problems(content, language="es", title="Tus lecturas") == []


@pytest.fixture
def patient_workers(session_app, monkeypatch):
    """Give workers with three times the processor time: on a slow machine the largest packet needs more than 10 s."""
    limits = replace(pdf._pool.limits, cpu_seconds=30)  # noqa: SLF001 - there is no public way
    codes = frozenset({pdf.OUTSIDE})
    with closing(
        SandboxPool("caseapp.core.pdf", files=pdf.get_font_files, limits=limits, codes=codes)
    ) as made:
        monkeypatch.setattr(pdf, "_pool", made)
        yield


@pytest.mark.usefixtures("patient_workers")
def test_largest_packet_in_large_print_fits_page_limit(full_letterhead):
    longest = sorted(LIBRARY, key=lambda key: -len(LIBRARY[key].body))[:12]
    items = [
        PacketItem(LIBRARY[key], position, None, "word " * 100)
        for position, key in enumerate(longest, start=1)
    ]
    html = render_packet_html(
        items, full_letterhead, help_lines(), faith=True, large=True, personalization=ANA
    )
    assert 50 < pages_of(pdf.render(html, logo=full_letterhead.logo.picture, max_pages=120)) < 120
