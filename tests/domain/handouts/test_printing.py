"""What stands on paper, and whether everybody can read it: every text, every size, alone and in packs."""

import io
import re
from collections import Counter
from dataclasses import replace
from datetime import date
from itertools import cycle
from uuid import UUID

import pikepdf
import pytest
from PIL import Image

from caseapp.core import images as pictures
from caseapp.core import pdf, vault
from caseapp.core.errors import RenderFailed
from caseapp.core.sandbox import supervisor
from caseapp.domain.handouts import rendering
from caseapp.domain.handouts.library import library
from caseapp.domain.handouts.packets import PacketItem, render_packet_html, render_packet_pdf
from caseapp.domain.handouts.printing import (
    NOT_PERSONALIZED,
    Personalization,
    describe_print_inputs,
    get_language_tag,
    render_handout_pdf,
    render_print_html,
)
from caseapp.domain.practice.help_lines import countries
from caseapp.domain.practice.queries import HelpLines, Letterhead, Logo
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
PLAIN = Letterhead("Harbour Lane", "Separation and relationship coaching", "0131 496 0142")
ANA = Personalization("Ana", "Ines", "Read the first part before Thursday.")
KEY = vault.DataKey(UUID(int=1), b"k" * 32)
SIZES: tuple[dict, ...] = (
    {},
    {"paper": "Letter"},
    {"large": True},
    {"paper": "Letter", "large": True},
)
# Every text once, in one of the four sizes after the other; the shortest and the longest in all of them.
SAMPLE = [
    *zip(LIBRARY, cycle(SIZES)),
    *((key, size) for key in (("help-right-now", "en"), ("my-year-ahead", "en")) for size in SIZES),
]


@pytest.fixture(scope="module")
def dressed(the_app):
    """Give a letterhead with everything: logo, QR code, tagline, contact."""
    drawn = io.BytesIO()
    Image.new("RGB", (900, 240), "#1d5b55").save(drawn, "PNG")
    logo = Logo(pictures.make_logo(drawn.getvalue()), "Harbour Lane, a lighthouse")
    return replace(PLAIN, logo=logo, portal=PORTAL)


def numbers():
    return HelpLines(countries()["GB"].lines, None, stale=True)


def pages_of(content):
    return int(run_poppler("pdfinfo", content).partition("Pages:")[2].split()[0])


def made(handout, letterhead, *, personalization=ANA, large=False, paper="A4"):
    letterhead = replace(letterhead, paper=paper)
    key = KEY if personalization else None
    return render_handout_pdf(
        handout, letterhead, numbers(), faith=True, large=large, personalization=personalization, key=key
    )


def pack(keys, letterhead, *, personalization=ANA, large=False, week=None, line=""):
    parts = [PacketItem(LIBRARY[key], place, week, line) for place, key in enumerate(keys, start=3)]
    return render_packet_pdf(parts, letterhead, numbers(), KEY, faith=False, large=large, personalization=personalization)


def test_whatever_decides_about_a_paper_makes_another_file_of_it(dressed):
    """What is kept is found by its ingredients, so that none of them may be forgotten."""
    ours = numbers()
    first = {
        "letter": dressed,
        "numbers": ours,
        "faith": False,
        "large": False,
        "personal": ANA,
    }
    others = [
        *(
            {"letter": replace(dressed, **{name: "other"})}
            for name in ("name", "tagline", "contact")
        ),
        {"letter": replace(dressed, paper="Letter")},
        {"letter": dressed.without_qr_code()},
        {"letter": replace(dressed, logo=None)},
        {"letter": replace(dressed, logo=replace(dressed.logo, picture=b"other"))},
        {"letter": replace(dressed, logo=replace(dressed.logo, alternative="other"))},
        {"numbers": replace(ours, lines=ours.lines[1:])},
        {"numbers": replace(ours, lines=(replace(ours.lines[0], hours="other"), *ours.lines[1:]))},
        {"faith": True},
        {"large": True},
        *({"personal": replace(ANA, **{name: "other"})} for name in ("preferred_name", "coach", "message")),
        {"personal": NOT_PERSONALIZED},
    ]
    named = {describe_print_inputs(**(first | other)) for other in [{}, *others]}
    assert len(named) == 1 + len(others)
    assert describe_print_inputs(**first) == describe_print_inputs(**(first | {"letter": replace(dressed)}))


@pytest.mark.parametrize(
    ("key", "size"), SAMPLE, ids=lambda v: ".".join(v) if isinstance(v, tuple) else "-".join(v)
)
def test_every_text_can_be_read_aloud_in_order_and_holds_nothing_else(dressed, key, size):
    handout = LIBRARY[key]
    content = made(handout, dressed, **size)
    language, title = get_language_tag(handout.language), rendering.plain_text(handout.outside_title)
    assert list_handout_problems(content, language=language, title=title) == []
    pictures_told = {"Harbour Lane, a lighthouse", f"QR code that opens {PORTAL}"}
    with pikepdf.open(io.BytesIO(content)) as document:
        told = {
            str(one.Alt)
            for one in document.objects
            if isinstance(one, pikepdf.Dictionary) and one.get("/S") == "/Figure"
        }
    if handout.language == "en":
        assert told == (set() if handout.alias else pictures_told)
    text = extract_text(content)
    order = [title, "Ana", ANA.message]
    order += [part.heading for part in rendering.parse_document(handout).sections if part.heading]
    at = 0
    for words in order:
        at = text.index(words, at)
    page = rendering.render_page_body(handout, numbers(), faith=True, staff=False).striptags()
    assert set(re.findall(r"\w+", page)) - set(re.findall(r"\w+", text)) == set()


ONE_LEAF = [
    *((key, "Letter") for key in LIBRARY),
    *((key, "A4") for key in sorted(LIBRARY, key=lambda key: -len(LIBRARY[key].body))[:8]),
]


@pytest.mark.parametrize(
    ("key", "paper"), ONE_LEAF, ids=lambda v: v if isinstance(v, str) else ".".join(v)
)
def test_a_sheet_with_everything_on_it_is_one_leaf_of_paper(dressed, key, paper):
    """Two pages, and the numbers of a crisis on one: with logo, code, faith line, names and a line of 120 signs."""
    line = (
        "Mornings are hardest for you just now. Begin with the first part, "
        "and leave all the rest of it till we meet on Thursday."
    )
    assert len(line) == 120
    personalization = Personalization("Priya", "Maya Lindqvist", line)
    most = 1 if key == ("help-right-now", "en") else 2
    assert pages_of(made(LIBRARY[key], dressed, personalization=personalization, paper=paper)) <= most


def test_the_names_and_the_line_stand_in_the_text_and_nowhere_else(dressed):
    content = made(LIBRARY["better-nights", "en"], dressed)
    assert "For Ana, from Ines Read the first part before Thursday." in extract_text(content)
    assert "Para Ana, de Ines" in extract_text(made(LIBRARY["better-nights", "es"], dressed))
    with pikepdf.open(io.BytesIO(content)) as document:
        told = " ".join(str(value) for value in document.docinfo.values())
        told += document.Root.Metadata.read_bytes().decode()
    assert "Ana" not in told
    assert "Ines" not in told


def test_nobody_is_named_where_nobody_is_given(dressed):
    text = extract_text(made(LIBRARY["better-nights", "en"], dressed, personalization=NOT_PERSONALIZED))
    assert "For Ana" not in text
    assert "from Ines" not in text


def test_a_picture_can_be_told_apart_in_black_and_white_and_is_there_once(dressed):
    content = made(LIBRARY["better-nights", "en"], dressed)
    with pikepdf.open(io.BytesIO(content)) as document:
        images = [
            one
            for one in document.objects
            if isinstance(one, pikepdf.Stream) and one.get("/Subtype") == "/Image"
        ]
    assert len(images) == 1
    assert "/SMask" not in images[0]


def test_a_picture_that_was_not_given_cannot_be_shown(the_app, dressed):
    shown = render_print_html(LIBRARY["better-nights", "en"], dressed, numbers(), faith=False)
    renderer = pdf.Renderer(pdf.get_font_files())
    assert b"/Image" in renderer.render_document(shown, "handout.css", dressed.logo.picture)
    with pytest.raises(RenderFailed) as refused:
        pdf.render(shown)
    assert refused.value.cause == "outside"
    with pytest.raises(supervisor.JobRefused, match="outside"):
        renderer.render_document(shown, "handout.css")


def test_a_code_is_drawn_only_where_the_practice_wants_one(dressed):
    handout = LIBRARY["better-nights", "en"]
    assert "More to read" in extract_text(made(handout, dressed))
    assert "More to read" not in extract_text(made(handout, dressed.without_qr_code()))
    assert "More to read" not in extract_text(made(LIBRARY["help-right-now", "en"], dressed))


@pytest.mark.parametrize("size", SIZES, ids=lambda size: "-".join(map(str, size.values())) or "a4")
def test_a_camera_reads_the_address_from_the_printed_code(dressed, size):
    assert read_qr_codes(made(LIBRARY["better-nights", "en"], dressed, **size)) == [PORTAL]


def test_a_camera_finds_no_code_where_none_may_be(dressed):
    assert read_qr_codes(made(LIBRARY["better-nights", "en"], dressed.without_qr_code())) == []
    assert read_qr_codes(made(LIBRARY["help-right-now", "en"], dressed)) == []


FOUR = [
    ("first-days-pause", "en"),
    ("better-nights", "en"),
    ("my-limits", "en"),
    ("better-nights", "es"),
]
FOUR = [key for key in FOUR if key in LIBRARY]


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("paper", ["A4", "Letter"])
def test_a_pack_is_one_file_with_a_cover_and_a_page_of_its_own_for_each(dressed, paper, large):
    content = pack(FOUR, replace(dressed, paper=paper), large=large, week=date(2027, 3, 1))
    assert list_handout_problems(content, language="en-GB", title="Your reading") == []
    text = extract_text(content)
    titles = [rendering.plain_text(LIBRARY[key].outside_title) for key in FOUR]
    assert "For Ana, from Ines" in text
    for title, key in zip(titles, FOUR, strict=True):
        assert f"{title} For the week of 1 March. About {LIBRARY[key].minutes} minutes." in text
    pages = [" ".join(page.split()) for page in run_poppler("pdftotext", content).split("\f")[:-1]]
    assert f"Page 1 of {len(pages)}" in pages[0]
    # The footer names the sheet that a page belongs to, so no page belongs to two.
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
        parts = rendering.parse_document(LIBRARY[key]).sections
        assert [title for title, _ in below] == [part.heading for part in parts if part.heading]


def test_a_pack_has_its_code_on_the_cover_alone(dressed):
    content = pack(FOUR[:2], dressed)
    assert read_qr_codes(content) == [PORTAL]
    pages = pages_of(content)
    assert pages > 2
    assert [code for page in range(2, pages + 1) for code in read_qr_codes(content, page=page)] == []


def test_the_same_sheet_twice_in_a_pack_keeps_its_fields_apart(dressed):
    content = pack([FOUR[0]] * 3, dressed)
    with pikepdf.open(io.BytesIO(content)) as document:
        names = [str(one.T) for one in document.Root.AcroForm.Fields]
    assert max(Counter(names).values()) == 1
    alone = {name.partition("_")[2] for name in names}
    assert len(names) == 3 * len(alone)


def test_the_same_sheet_at_another_place_is_another_pack(dressed):
    """Else a kept file would bear a place at which the sheet is not any more, and its answers would not be found."""
    first, other = (
        render_packet_pdf(
            [PacketItem(LIBRARY[FOUR[0]], place)],
            dressed,
            numbers(),
            KEY,
            faith=False,
            personalization=NOT_PERSONALIZED,
        )
        for place in (1, 2)
    )
    with pikepdf.open(io.BytesIO(first)) as one, pikepdf.open(io.BytesIO(other)) as two:
        places = [{str(f.T)[:2] for f in document.Root.AcroForm.Fields} for document in (one, two)]
    assert places == [{"1_"}, {"2_"}]


def test_a_pack_with_a_sensitive_sheet_has_a_cover_that_tells_nothing(dressed):
    cover = run_poppler("pdftotext", pack([FOUR[0], ("help-right-now", "en")], dressed), "-l", "1")
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
def test_the_cover_of_a_pack_gives_the_numbers_for_a_crisis(dressed, keys, heading):
    language = "es" if heading.startswith("Si") else "en"
    cover = " ".join(run_poppler("pdftotext", pack(keys, dressed), "-l", "1").split())
    _, _, below = cover.partition(heading)
    lines = rendering.list_help_line_entries("crisis_block", numbers(), language)
    assert len(lines) > 2
    for line in lines:
        assert f"{line.phone or line.text} {line.name}" in below


def test_a_pack_in_one_language_speaks_it(dressed):
    content = pack([("better-nights", "es"), ("help-right-now", "es")], dressed, personalization=NOT_PERSONALIZED)
    assert list_handout_problems(content, language="es", title="Tus lecturas") == []


def test_the_largest_pack_in_large_print_fits(dressed):
    longest = sorted(LIBRARY, key=lambda key: -len(LIBRARY[key].body))[:12]
    parts = [
        PacketItem(LIBRARY[key], place, None, "word " * 100)
        for place, key in enumerate(longest, start=1)
    ]
    html = render_packet_html(parts, dressed, numbers(), faith=True, large=True, personalization=ANA)
    assert 50 < pages_of(pdf.render(html, logo=dressed.logo.picture, max_pages=120)) < 120
