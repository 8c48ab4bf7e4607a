"""Fields of handouts: the blocks in which they are written, their limits, and answers of the first edition."""

from __future__ import annotations

import re

import pytest

from caseapp.domain.authoring.source import read_content
from caseapp.domain.handouts.blocks import convert_earlier, list_block_problems, list_fields
from caseapp.domain.handouts.drawings import BESIDE_TITLE, DRAWINGS, OF_KIND, draw
from caseapp.domain.handouts.fields import Table, Ticks, describe_field, read_answers
from caseapp.domain.handouts.library import InvalidHandoutFile, library, parse_handout
from caseapp.domain.handouts.rendering import find_lost_parts, find_number_to_dial, parse_document
from tests.domain.handouts.sample_fields import EARLIER, EVERY_KIND, handout_with


def keys(name):
    (field,) = [field for field in list_fields(EVERY_KIND) if field.id == name]
    return [(one.key, one.pdf_key) for one in field.inputs]


def test_every_kind_is_read_with_its_inputs():
    assert list_block_problems(EVERY_KIND) == []
    assert [(field.kind, field.id, field.private) for field in list_fields(EVERY_KIND)] == [
        ("text", "my_message", True),
        ("long", "raw_draft", True),
        ("ticks", "ready", False),
        ("scale", "pull", False),
        ("table", "nights", True),
        ("person", "who_helps", True),
        ("sign", "agreed", False),
        ("draw", "our_week", False),
    ]
    assert keys("ready") == [("1", "1"), ("2", "2")]
    assert keys("pull") == [("before", "before"), ("after", "after")]
    # The example isn't filled in; a row without a name counts among those that are.
    assert keys("nights") == [
        ("2.2", "mon.to_bed"),
        ("2.3", "mon.up"),
        ("3.1", "r2.night"),
        ("3.2", "r2.to_bed"),
    ]
    assert keys("who_helps") == [("1.name", "1.name"), ("1.number", "1.number")]
    assert keys("agreed") == [
        ("1.signed", None),
        ("1.date", "me.date"),
        ("2.signed", None),
        ("2.date", "my_coach.date"),
    ]
    assert keys("our_week") == []


def test_column_whose_cells_are_all_filled_is_an_example():
    (table,) = list_fields(
        "::: table monday\nOur Monday\n| | Karim | Ours |\n|---|---|---|\n| After school | Gran | |\n:::"
    )
    assert isinstance(table, Table)
    assert [table.is_example_column(column) for column in range(3)] == [False, True, False]
    assert [one.label for one in table.inputs] == ["After school: Ours"]


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        ("::: choice mine\nMine\n:::", "there is no such kind"),
        ("::: text Mine\nMine\n:::", "its name needs"),
        ("::: text mine\n:::", "it has no label"),
        ("::: text mine\nMine\nMore\n:::", "can’t have any lines after the label"),
        ("::: text mine {max=301}\nMine\n:::", "max has to be 1 to 300"),
        ("::: text mine {max=lots}\nMine\n:::", "max has to be a whole number"),
        (f"::: long mine {{lines={'9' * 5000}}}\nMine\n:::", "lines has to be a whole number"),
        ("::: person mine {rows=3000000}\nMine\n:::", "rows has to be a whole number"),
        ("::: talk\n**A:** Hi.\n\n{{dv_block}}\n:::", "{{dv_block}} can’t stand in"),
        ("::: text mine\n{{dv_block}}\n:::", "{{dv_block}} can’t stand in"),
        ("::: text mine\nMine {{claims:clinical}}\n:::", "{{claims:clinical}} can’t stand in"),
        ("::: text mine {rows=2}\nMine\n:::", "the options are lines, max, private"),
        ("::: long mine {lines=17}\nMine\n:::", "lines has to be 1 to 16"),
        ("::: long mine\nMine", "isn’t closed"),
        ("::: long mine\nMine\n## A heading\n:::", "isn’t closed"),
        ("::: ticks mine\nMine\n- One\n:::", "needs 2 to 9 items"),
        ("::: ticks mine\nMine\n- One\n- one\n:::", "the same item is listed twice"),
        (f"::: ticks mine\nMine\n- One\n- {'x' * 91}\n:::", "more than 90 characters"),
        ("::: ticks mine\nMine\nOne\n:::", "has to be an item"),
        ('::: scale mine {before="Now"}\nMine\n0 = calm\n:::', "what 0 and 10 mean"),
        ("::: scale mine\nMine\n0 = calm\n10 = not\n:::", "“before” must name the time"),
        ("::: table mine\nMine\n| A | B |\n| x | |\n:::", "a row of headings, a line"),
        ("::: table mine\nMine\n| A | B |\n|---|---|\n| x |\n:::", "the same number of cells"),
        ("::: table mine\nMine\n| A | B |\n|---|---|\n| x | y |\n:::", "no empty cell"),
        ("::: person mine {rows=5}\nMine\n:::", "rows has to be 1 to 4"),
        ("::: sign mine\nMine\n:::", "“who” must name 1 to 3 people"),
        ("::: draw mine {height=20}\nMine\n:::", "height has to be 30 to 120"),
        ("::: drawing cat\n:::", "there is no such drawing; choose bowl"),
        ("::: drawing wave\nWords\n:::", "can’t have options or lines"),
        ("::: talk lines\n**A:** Hello.\n:::", "can’t have a name or options"),
        ("Before.\n\n::: help\n{{crisis_block}}\n:::", "has to be the first one"),
        ("::: text mine\nMine\n:::\n\n::: long mine\nYours\n:::", "two fields are named mine"),
    ],
)
def test_block_that_cannot_be_used_is_refused_with_a_reason(block, problem):
    assert any(problem in found for found in list_block_problems(block)), list_block_problems(block)


def test_tick_leads_to_a_numbered_part_or_a_letter():
    body = (
        "::: ticks mine\nMine\n- One → 2\n- Two → B\n- Three → 7\n:::\n\n"
        "## 2. Later\n\nWords.\n\n## Else\n\n**B.** More."
    )
    handout = handout_with(body)
    assert parse_document(handout).parts["2"] == "part-1"
    assert parse_document(handout).parts["B"] == "part-2"
    assert find_lost_parts(handout) == ["7"]


def test_help_comes_before_everything_and_a_dialogue_has_two_voices():
    handout = handout_with(
        "::: help\n{{crisis_block}}\n:::\n\nBefore.\n\n::: talk\n**Ana:** Hello.\n\n*She waits.*\n\n**Sam:** Yes?\n:::"
    )
    document = parse_document(handout)
    assert [block.name for block in document.help] == ["crisis_block"]
    (talk,) = [block for block in document.sections[0].blocks if block.kind == "talk"]
    assert [turn.voice for turn in talk.turns] == ["a", "", "b"]


def test_drawing_is_told_on_paper_and_decorates_a_page(session_app):
    for name, told in DRAWINGS.items():
        paper, page = draw(name, on_paper=True), draw(name, on_paper=False)
        assert f"<title>{told}</title>" in paper
        assert "<title>" not in page
        assert 'aria-hidden="true"' in page
        assert not re.search(r"style|script|href|#(?!1d5b55)", paper)
    assert draw("stage-path", on_paper=True, stage=3).count('fill="currentColor"') == 1
    handout = handout_with("::: drawing wave\n:::\n\nWords.")
    assert parse_document(handout).sections[0].blocks[0].name == "wave"
    assert {*BESIDE_TITLE.values(), *OF_KIND.values()} <= DRAWINGS.keys()


def test_text_of_the_first_edition_is_read_as_blocks_and_its_answers_by_their_words():
    handout = parse_handout(EARLIER)
    assert handout.is_first_edition
    assert [(field.kind, field.id, field.private) for field in handout.fields] == [
        ("ticks", "signs", False),
        ("long", "what", True),
        ("ticks", "urge", False),
        ("text", "day", False),
    ]
    stored = {"signs": ["shaky", "sick"], "what": "Rang.", "urge": "beg", "day": "2026-12-01"}
    assert read_answers(handout.fields, stored) == {
        "signs": [1, 2],
        "what": "Rang.",
        "urge": [2],
        "day": "2026-12-01",
    }
    assert read_answers(handout.fields, {"signs": ["gone"], "other": "x"}) == {}
    # A draft of the next version starts with the same fields, and a text with them is refused in the library.
    assert list_fields(read_content(EARLIER).body) == handout.fields


def test_library_file_with_fields_in_its_front_matter_stops_the_start(tmp_path, monkeypatch):
    (tmp_path / "handouts" / "steady").mkdir(parents=True)
    (tmp_path / "handouts" / "steady" / "a-walk.md").write_text(EARLIER, encoding="utf-8")
    monkeypatch.setattr("caseapp.domain.handouts.library.FOLDER", tmp_path / "handouts")
    with pytest.raises(InvalidHandoutFile, match="write its fields as blocks"):
        library.__wrapped__()


def test_converted_option_keeps_its_words():
    body = convert_earlier(
        [{"id": "aa", "type": "checkboxes", "label": "L", "options": ["one - two", "“x”"]}],
        "{{field:aa}}\n\n{{field:bb}}",
    )
    (field,) = list_fields(body)
    assert isinstance(field, Ticks)
    assert [item.words for item in field.items] == ["one - two", "“x”"]
    assert "{{field:bb}}" in body


def test_description_for_a_comparison_names_limits_and_parts():
    lines = [line for field in list_fields(EVERY_KIND) for line in describe_field(field)]
    assert lines[0] == (
        "Answer field my_message: My message (short text, 3 lines, 300 characters, private)"
    )
    assert "• I’m calmer → 2" in lines
    assert "0 = I can leave it" in lines
    assert "Mon | … | …" in lines
    assert lines[-1] == "Answer field our_week: Our week (drawing space, 55 mm)"


def test_items_that_are_numbers_are_told_apart_from_positions():
    (field,) = list_fields("::: ticks hours\nHours I slept\n- 2\n- 3\n- 4\n:::")
    assert isinstance(field, Ticks)
    assert [field.find_position(sent) for sent in ("1", "2", "3", 2)] == [1, 2, 3, 2]
    assert field.read([2]) == [2]
    # The first edition stored the words.
    assert field.read(["2", "4"]) == [1, 3]
    assert field.read("3") == [2]


def test_answer_of_the_first_edition_whose_words_have_an_arrow_is_kept():
    options = [
        {"id": "aa", "type": "checkboxes", "label": "Label", "options": ["shout → silence", "walk"]}
    ]
    (field,) = list_fields(convert_earlier(options, "{{field:aa}}"))
    assert field.read(["shout → silence"]) == [1]


def test_row_or_column_named_like_a_number_does_not_share_a_pdf_field():
    (table,) = list_fields(
        "::: table nn\nMy\n| Row | C3 | |\n|---|---|---|\n| R2 | | |\n| | | |\n:::"
    )
    names = [one.pdf_key for one in table.inputs]
    assert len(names) == len(set(names)) == 5


@pytest.mark.parametrize(
    ("written", "digits"),
    [
        ("020 7946 0000", "02079460000"),
        ("+44 (0)20 7946 0000", "+442079460000"),
        ("999", "999"),
        ("24/7 Samaritans 116 123", ""),
        ("116 123 (24/7)", ""),
        ("07700 900123 or 07700 900456", ""),
        ("07700 900123 07700 900456", ""),
        ("999, ext. 12", ""),
        ("1. Anna", ""),
        ("(((", ""),
    ],
)
def test_only_one_whole_telephone_number_is_dialled(written, digits):
    assert find_number_to_dial(written) == digits
