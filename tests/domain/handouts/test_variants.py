"""The two-minute card and the American variant of a text."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from caseapp.core.i18n import in_language
from caseapp.domain.authoring.comparison import compare_sources
from caseapp.domain.authoring.rules import find_problems
from caseapp.domain.authoring.source import HandoutKey, build_source, copy_content, read_content
from caseapp.domain.handouts import rendering
from caseapp.domain.handouts.library import InvalidHandoutFile, parse_draft, parse_handout
from caseapp.domain.handouts.packets import PacketItem, render_packet_html
from caseapp.domain.handouts.printing import NOT_PERSONALIZED, file_name, render_print_html
from caseapp.domain.handouts.variants import find_variety, for_reader, make_variant
from caseapp.domain.practice.help_lines import countries
from caseapp.domain.practice.queries import HelpLines, Letterhead
from caseapp.domain.worksheets.pdf_responses import pdf_field_names, read_answers
from tests.domain.handouts.sample_fields import HEAD

BODY = """::: help
{{crisis_block}}
:::

Mum and her mum's Mummy. {{claims:clinical}}

::: ticks mum {private}
Mum says
- colour, Mum
- grey
:::

::: scale pull {before="With Mum" after="After Mum"}
How much colour?
0 = no colour
10 = all colour
:::

::: table week
Our week
| Day | Mum | Us |
|---|---|---|
| eg: Mum | x | y |
| Mum | | |
:::

::: sign agreed {who="Mum, Me"}
Agreed
:::

::: talk
**Mum:** What colour?

**Me:** Grey.
:::

*A walk is a walk.*"""
PAIRS = (("Mum", "Mom"), ("Mum's", "Mama’s"), ("colour", "color"), ("grey", "gray"))
STEPS = ("Ring Mum.", "Look for a colour.", 'Say "not tonight".')
KEY = HandoutKey("own-01", "en", None)


def source_with(**changed):
    content = replace(HEAD, **({"body": BODY, "title": "A grey walk"} | changed))
    return build_source(content, KEY, HEAD.review_date.replace(year=2026), None)


def american(**changed):
    written = parse_draft(source_with(us=PAIRS[:1] + PAIRS[2:], two_minutes=STEPS, **changed))
    return written, make_variant(written, "en-US")


def lines_of(country):
    return HelpLines(countries()[country].lines, None, stale=False)


def copies(handout):
    """Give a page for a client and for staff, a PDF, and a packet."""
    for staff in (False, True):
        yield str(rendering.render_page_body(handout, lines_of("GB"), faith=True, staff=staff))
    letterhead = Letterhead("Harbour Lane")
    yield render_print_html(handout, letterhead, lines_of("GB"), faith=True)
    items = [PacketItem(handout, 1)]
    yield render_packet_html(
        items, letterhead, lines_of("GB"), faith=True, personalization=NOT_PERSONALIZED
    )


def test_american_variant_has_the_same_structure_with_other_words():
    """Whole words in their case alone; names, options and markers stay, and so does every place for an answer."""
    written, variant = american(alias="Colours of Mum", faith_insert="Pray with Mum.")
    assert written.body.replace("Mum", "Mom") != variant.body
    assert "Mom and her mum's Mummy. {{claims:clinical}}" in variant.body
    assert "::: ticks mum {private}" in variant.body
    assert '{before="With Mom" after="After Mom"}' in variant.body
    assert (variant.title, variant.alias) == ("A gray walk", "Colours of Mom")
    assert variant.faith_insert == "Pray with Mom."
    assert variant.two_minutes == ("Ring Mom.", "Look for a color.", STEPS[2])
    assert [[one.key for one in field.inputs] for field in variant.fields] == [
        [one.key for one in field.inputs] for field in written.fields
    ]
    assert (variant.sha256, variant.original) == (written.sha256, written)
    assert make_variant(written, "en-GB") is written
    assert pdf_field_names(variant) == pdf_field_names(written)
    names = {name.partition(".")[2]: name for name in pdf_field_names(variant)}
    assert "week.mum.us" in names
    filled = dict.fromkeys(pdf_field_names(written), "") | {names["week.mum.mum"]: "at six"}
    assert read_answers({0: filled}, variant, 1) == read_answers({0: filled}, written, 1)


def test_longer_phrase_wins_and_what_it_puts_in_place_is_not_changed_again():
    written = parse_draft(source_with(us=(("Mum", "Mom"), ("and her mum's", "and Mum's"))))
    assert make_variant(written, "en-US").body.startswith("::: help")
    assert "Mom and Mum's Mummy." in make_variant(written, "en-US").body


def test_reader_gets_the_variant_of_their_language_else_of_the_practices_country(app):
    """Nothing of a British text is left in any copy for an American reader, nor the other way round."""
    written, _ = american()
    for language, other, own in (("en-US", "colour", "color"), ("en-GB", "color", "colour")):
        with in_language(language):
            assert find_variety("en") == language
            for copy in copies(written):
                assert own in copy, language
                assert other not in re.sub(r"\bcolor(?=[:=])", "", copy), language
                assert copy.index("Only two minutes?") < copy.index("Look for a")
            assert file_name(written) == f"a-gr{'e' if language == 'en-GB' else 'a'}y-walk-1.pdf"
            # A text that was already made for another reader follows the one who reads now.
            assert for_reader(make_variant(written, "en-US")) == for_reader(written)
    with in_language("es"):
        assert find_variety("en") == "en-GB"
        assert find_variety("es") == "es"


@pytest.mark.parametrize(
    ("changed", "field", "said"),
    [
        ({"two_minutes": STEPS[:2]}, "two_minutes", "Two-minute card: write exactly 3 steps."),
        ({"two_minutes": (*STEPS[:2], "x" * 241)}, "two_minutes", "Two-minute card 3: enter 3 to"),
        ({"us": (("Mam", "Mom"),)}, "us", "“Mam” doesn’t stand in the text."),
        ({"us": (("mum", "mum"),)}, "us", "“mum” is the same in both."),
        ({"us": (("Mum", "a"), ("Mum", "b"))}, "us", "“Mum” is listed twice."),
        ({"us": (("Mum", ""),)}, "us.0.us", "American wording: write 1 to 120"),
        ({"us": (("Mum", "a | b"),)}, "us.0.us", "American wording: write 1 to 120"),
        ({"us": (("grey", "colour, Mum"),)}, "us", "In the American variant the block “ticks mum”"),
        ({"us": (("claims", "x"),)}, "us", "“claims” doesn’t stand in the text."),
    ],
)
def test_card_or_pair_that_cannot_be_used_names_its_field(session_app, changed, field, said):
    source = source_with(**changed)
    found = find_problems(source, HEAD.review_date)
    assert found[field][0].startswith(said), found
    with pytest.raises(InvalidHandoutFile):
        parse_handout(source)


def test_card_and_pairs_are_kept_compared_and_copied(session_app):
    source = source_with(us=PAIRS[2:], two_minutes=STEPS)
    assert find_problems(source, HEAD.review_date) == {}
    content = read_content(source)
    assert (content.us, content.two_minutes) == (PAIRS[2:], STEPS)
    assert copy_content(parse_draft(source), "x").us == PAIRS[2:]
    told = "".join(
        piece for line in compare_sources(source_with(), source) for piece, _ in line.pieces
    )
    assert "Ring Mum. / Look for a colour." in told
    assert "colour → color" in told
    american_steps = find_problems(
        source_with(two_minutes=("I promise not to hurt myself.", *STEPS[1:])), HEAD.review_date
    )
    assert american_steps["two_minutes"][0].startswith("Remove the promise")
