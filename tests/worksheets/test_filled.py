from __future__ import annotations

import pytest

from caseapp.handouts.library import library
from caseapp.handouts.sheets import plain
from caseapp.worksheets.filled import (
    OtherSheet,
    _day,
    answers_in,
    names_of,
    sheet_with,
    together,
)
from caseapp.worksheets.schemas import PREFIX, answers_schema
from tests.worksheets import sheets


def everything(handout):
    """Give what a client might answer to each field, and how it is written into the PDF."""
    answers, typed = {}, {}
    for field in handout.fields:
        if field.type == "checkboxes":
            answers[field.id] = [field.options[0], field.options[-1]]
            typed |= {f"{field.id}_1": True, f"{field.id}_{len(field.options)}": True}
        elif field.type == "choice":
            answers[field.id] = field.options[-1]
            typed[field.id] = plain(field.options[-1])
        elif field.type == "date":
            answers[field.id], typed[field.id] = "2030-05-14", "14 May 2030"
        else:
            answers[field.id] = typed[field.id] = f"{sheets.ABROAD} {field.id}"[: field.max_length]
    return answers, typed


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize(
    ("slug", "language"),
    [(sheets.PAUSE, "en"), (sheets.REASONS, "en"), (sheets.LIMITS, "en"), ("better-nights", "es")],
)
def test_our_own_pdf_filled_in_gives_back_every_answer(app, slug, language, large):
    handout = sheets.handout(slug, language)
    answers, typed = everything(handout)
    data = sheets.filled(sheets.blank(slug, language, large=large), typed)
    assert answers_schema(handout).load(answers_in(handout, data)) == answers


def test_a_pdf_that_nobody_filled_in_holds_no_answers(app):
    assert answers_in(sheets.handout(sheets.LIMITS), sheets.blank(sheets.LIMITS)) == {}


def test_another_sheets_file_is_known_by_its_fields(app):
    with pytest.raises(OtherSheet) as found:
        answers_in(sheets.handout(sheets.PAUSE), sheets.blank(sheets.LIMITS))
    among = [sheets.handout(slug) for slug in (sheets.PAUSE, sheets.LIMITS)]
    assert sheet_with(found.value.names, among) is among[1]
    assert sheet_with(found.value.names, among[:1]) is None


def test_no_two_sheets_of_one_language_have_the_same_fields():
    for language in ("en", "es"):
        names = [names_of(one) for (_, spoken), one in library().items() if spoken == language]
        assert len(names) == len(set(names)) > 5


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("2030-05-14", "2030-05-14"),
        ("14/5/2030", "2030-05-14"),
        ("5/14/2030", "2030-05-14"),
        ("14.05.2030", "2030-05-14"),
        ("3. 3. 2030", "2030-03-03"),
        ("14 May 2030", "2030-05-14"),
        ("14th May, 2030", "2030-05-14"),
        ("May 14, 2030", "2030-05-14"),
        ("14 de mayo de 2030", "2030-05-14"),
        ("4/5/2030", "4/5/2030"),
        ("31 February 2030", "31 February 2030"),
        ("next Tuesday", "next Tuesday"),
        ("14 M 2030", "14 M 2030"),
    ],
)
def test_a_day_is_read_when_it_can_only_be_one(typed, read):
    assert _day(typed) == read


def test_only_what_contradicts_is_lost():
    before = {"a": "mine", "b": "same", "c": "kept"}
    whole, lost = together(before, {f"{PREFIX}a": "other", f"{PREFIX}b": "same", f"{PREFIX}d": "n"})
    assert lost == {"a": "mine"}
    assert whole == {
        f"{PREFIX}a": "other",
        f"{PREFIX}b": "same",
        f"{PREFIX}c": "kept",
        f"{PREFIX}d": "n",
    }
