"""Every handout in every country: whom to call, and what a client's copy says about where the text comes from."""

from __future__ import annotations

import re
from html import unescape

import pytest

from caseapp.core.i18n import in_language, language_name, variety_of
from caseapp.domain.handouts import rendering
from caseapp.domain.handouts.library import HELP_BLOCKS, library
from caseapp.domain.handouts.packets import PacketItem, render_packet_html
from caseapp.domain.handouts.printing import NOT_PERSONALIZED, render_print_html
from caseapp.domain.handouts.provenance import sources
from caseapp.domain.practice.help_lines import HelpLine, countries
from caseapp.domain.practice.queries import HelpLines, Letterhead

LIBRARY = library()
LETTERHEAD = Letterhead("Harbour Lane", "Separation and relationship coaching", "0131 496 0142")
PLACES = [
    (code, region) for code, country in countries().items() for region in (None, *country.regions)
]
PLACE = pytest.mark.parametrize(("country", "region"), PLACES)
ANYONE = {
    "en": "may not help men or same-sex couples",
    "es": "puede no servir a hombres ni a parejas del mismo sexo",
}
DOCTOR = {
    "en": "We don’t have a checked number for this here. Ask your doctor",
    "es": "Para esto aún no tenemos aquí un número comprobado. Pregunta a tu médico",
}
UNREVIEWED = {
    "en": "No doctor or therapist has reviewed this text yet.",
    "es": "Ningún médico ni terapeuta ha revisado aún este texto.",
}


def help_lines(country, region=None):
    """Give the help lines of a practice in a country, or in one region of it, as `PracticeInfo` chooses them."""
    lines = tuple(
        line
        for line in countries()[country].lines
        if region is None or line.region in {None, region}
    )
    return HelpLines(lines, None, stale=False, region=region)


def blocks_of(handout):
    return {block.name for block in rendering.parse_document(handout).blocks if block.name}


def client_copies(handout, lines, *, reviewed=False):
    """Render what a client gets: the page, a PDF with letterhead, the discreet copy, and a packet."""
    yield str(
        rendering.render_page_body(handout, lines, faith=True, staff=False, reviewed=reviewed)
    )
    for letterhead in (LETTERHEAD, LETTERHEAD.discreet()):
        yield render_print_html(handout, letterhead, lines, faith=True, reviewed=reviewed)
    yield render_packet_html(
        [PacketItem(handout, 1, reviewed=reviewed)],
        LETTERHEAD,
        lines,
        faith=True,
        personalization=NOT_PERSONALIZED,
    )


def read(html):
    return " ".join(unescape(re.sub("<[^>]*>", "", html)).split())


def digits(number):
    return re.sub(r"\D", "", number)


@PLACE
def test_every_handout_says_whom_anybody_can_call_in_every_place(session_app, country, region):
    """A block without a line for everybody says so, and what to do instead; no handout is missing."""
    lines = help_lines(country, region)
    local = [line for line in lines.lines if line.region in {None, region}]
    abuse = {line.audience for line in local if line.kind == "dv"}
    for_all = "anyone" in abuse or {"women", "men"} <= abuse
    treated = {line.kind for line in lines.lines if line.audience != "carers"}
    for key, handout in LIBRARY.items():
        page = rendering.render_page_body(handout, lines, faith=False, staff=False)
        text, language = read(page), handout.language
        assert "crisis_block" in blocks_of(handout), key
        assert f'href="tel:{lines.emergency.phone}"' in page, key
        assert any(
            f'href="tel:{digits(line.phone)}"' in page
            for line in local
            if line.kind == "crisis" and line.phone and line.audience == "anyone"
        ), key
        if "dv_block" in blocks_of(handout):
            assert (ANYONE[language] in text) is not for_all, key
        for block, kind in (("substance_block", "substance"), ("ed_block", "ed")):
            if block in blocks_of(handout):
                assert (DOCTOR[language] in text) is (kind not in treated), (key, block)


@PLACE
def test_text_numbers_are_links_and_languages_are_said_only_where_confirmed(
    session_app, country, region
):
    lines = help_lines(country, region)
    for language in ("en", "es"):
        with in_language(variety_of(language)):
            name = language_name(language)
            for block in HELP_BLOCKS:
                entries = rendering.list_help_line_entries(block, lines)
                shown = [
                    line for kind in rendering.BLOCK_KINDS[block] for line in lines.of_kinds(kind)
                ]
                numbers = [entry for entry in entries if entry.phone or entry.text]
                assert {entry.sms.partition("?")[0] for entry in numbers} - {""} == {
                    digits(line.text_to) for line in shown if line.text_to
                }
                assert all(bool(entry.sms) is bool(entry.text) for entry in entries)
                unsure = not all(language in line.languages for line in shown)
                asks = [entry for entry in entries if entry.name.endswith(f" {name}.")]
                assert len(asks) == unsure
                said = " ".join(entry.note for entry in numbers)
                assert not re.search(r"\b(in English|en inglés|en español)\b", said) or any(
                    language in line.languages[1:] for line in shown
                )


@PLACE
def test_block_about_children_says_whom_to_ask_until_a_line_is_added(session_app, country, region):
    """No source confirms such a line in any country yet; a practice adds its own, and both kinds say what for."""
    shipped = help_lines(country, region)
    protection, own = (
        HelpLine(kind, name, "01632 960123", None, None, None, "", "", None, "anyone", (), None, "")
        for kind, name in (("safeguarding", "County line"), ("children", "Listening line"))
    )
    asks = f"school who can help. If a child isn’t safe now, call {shipped.emergency.phone}."
    for added, said in (((), [asks]), ((own,), ["For children", asks]), ((own, protection), None)):
        lines = HelpLines((*added, *shipped.lines), None, stale=False, region=region)
        entries = rendering.list_help_line_entries("child_block", lines)
        found = [entry.note or entry.name[-len(asks) :] for entry in entries]
        assert found == (said or ["If you’re worried about a child", "For children"])


def test_text_link_holds_the_keyword(session_app):
    by_name = {
        entry.name: entry
        for entry in rendering.list_help_line_entries("crisis_block", help_lines("GB"))
    }
    assert by_name["Shout"].sms == "85258?body=SHOUT"
    page = rendering.render_page_body(
        LIBRARY["help-right-now", "en"], help_lines("GB"), faith=False, staff=False
    )
    assert '<a href="sms:85258?body=SHOUT">Text SHOUT to 85258</a>' in page


def test_line_of_the_practice_for_anyone_takes_the_place_of_the_advice(session_app):
    shipped = help_lines("ES")
    own = HelpLine(
        "dv", "Local service", "900 111 222", None, None, None, "", "", None, "anyone", (), None, ""
    )  # fmt: skip
    with_own = HelpLines((own, *shipped.lines), None, stale=False)
    handout = LIBRARY["a-private-check", "en"]
    for lines, said in ((shipped, True), (with_own, False)):
        page = rendering.render_page_body(handout, lines, faith=False, staff=False)
        assert (ANYONE["en"] in read(page)) is said


@pytest.mark.parametrize("key", [*LIBRARY], ids=".".join)
def test_client_copy_names_no_article_and_says_that_no_clinician_has_reviewed_it(session_app, key):
    handout, lines = LIBRARY[key], help_lines("GB")
    names = {source.author for source in sources().values()} - {None}
    names |= {source.title for source in sources().values()} | {*sources(), *handout.claims}
    for copy in client_copies(handout, lines):
        text = unescape(copy)
        assert [name for name in names if name in text] == []
        assert not re.search("written by|escrito por|articles|artículos", text, re.IGNORECASE)
        assert UNREVIEWED[handout.language] in text
    for copy in client_copies(handout, lines, reviewed=True):
        assert UNREVIEWED[handout.language] not in unescape(copy)
    staff = unescape(rendering.render_page_body(handout, lines, faith=True, staff=True))
    assert all(sources()[source].title in staff for source in handout.sources)
    assert UNREVIEWED[handout.language] not in staff
