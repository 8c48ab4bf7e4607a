"""Answers read from filled-in PDFs, single or packet."""

from __future__ import annotations

import pytest

from caseapp.domain.handouts.library import library
from caseapp.domain.handouts.packets import split_field_name
from caseapp.domain.worksheets.pdf_responses import (
    SINGLE_HANDOUT,
    WrongHandout,
    contains_handout,
    list_filled_positions,
    merge_answers,
    pdf_field_names,
    read_answers,
    read_pdf_fields,
)
from caseapp.domain.worksheets.schemas import FIELD_PREFIX, build_answers_schema, has_parts
from tests.domain.worksheets import sample_files


def sample_answers(handout):
    """Return an answer to each field, and the values to fill into the PDF."""
    answers: dict = {}
    typed: dict = {}
    for field in handout.fields:
        if field.kind == "ticks":
            answers[field.id] = [1, len(field.items)]
            typed |= {f"{field.id}.1": True, f"{field.id}.{len(field.items)}": True}
        elif has_parts(field):
            texts = {
                one.key: "7"
                if one.kind == "scale"
                else f"{sample_files.ABROAD} {one.key}"[: one.longest]
                for one in field.inputs
            }
            answers[field.id] = texts
            typed |= {f"{field.id}.{one.pdf_key}": texts[one.key] for one in field.inputs}
        else:
            answers[field.id] = typed[field.id] = f"{sample_files.ABROAD} {field.id}"[
                : field.longest
            ]
    return answers, typed


@pytest.mark.pdf
@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize(
    ("slug", "language"),
    [
        (sample_files.PAUSE, "en"),
        (sample_files.REASONS, "en"),
        (sample_files.LIMITS, "en"),
        ("better-nights", "es"),
    ],
)
def test_read_answers_from_a_filled_in_pdf_returns_every_answer(app, slug, language, large):
    handout = sample_files.handout(slug, language)
    answers, typed = sample_answers(handout)
    data = sample_files.filled(sample_files.blank(slug, language, large=large), typed)
    parts = read_pdf_fields(data)
    assert parts.keys() == {SINGLE_HANDOUT}
    for position in (1, 40):
        assert build_answers_schema(handout).load(read_answers(parts, handout, position)) == answers


@pytest.mark.pdf
def test_read_answers_from_a_blank_pdf_returns_none(app):
    parts = read_pdf_fields(sample_files.blank(sample_files.LIMITS))
    assert read_answers(parts, sample_files.handout(sample_files.LIMITS), 1) == {}
    assert (
        list_filled_positions(
            read_pdf_fields(sample_files.packed({2: sample_files.LIMITS, 3: sample_files.PAUSE}))
        )
        == set()
    )


@pytest.mark.pdf
def test_read_answers_from_another_handout_raises_different_handout(app):
    parts = read_pdf_fields(sample_files.blank(sample_files.LIMITS))
    with pytest.raises(WrongHandout):
        read_answers(parts, sample_files.handout(sample_files.PAUSE), 1)
    assert contains_handout(parts, sample_files.handout(sample_files.LIMITS), 1)
    assert not contains_handout(parts, sample_files.handout(sample_files.PAUSE), 1)


@pytest.mark.pdf
@pytest.mark.parametrize("large", [False, True])
def test_read_answers_from_a_packet_returns_those_of_each_position(app, large):
    """Also with a blank one, and with the same handout assigned twice."""
    positions = {
        2: sample_files.LIMITS,
        5: "help-right-now",
        7: sample_files.PAUSE,
        31: sample_files.LIMITS,
    }
    limits, pause = (
        sample_files.handout(sample_files.LIMITS),
        sample_files.handout(sample_files.PAUSE),
    )
    (first, typed), (second, typed_pause) = sample_answers(limits), sample_answers(pause)
    values = {f"2_{name}": value for name, value in typed.items()}
    values |= {f"7_{name}": value for name, value in typed_pause.items()}
    values["31_my_limit"] = "Another one."
    parts = read_pdf_fields(
        sample_files.filled(sample_files.packed(positions, large=large), values)
    )
    assert list_filled_positions(parts) == {2, 7, 31}
    assert build_answers_schema(limits).load(read_answers(parts, limits, 2)) == first
    assert build_answers_schema(pause).load(read_answers(parts, pause, 7)) == second
    assert build_answers_schema(limits).load(read_answers(parts, limits, 31)) == {
        "my_limit": "Another one."
    }
    for handout, position in ((limits, 7), (pause, 2), (pause, 3)):
        with pytest.raises(WrongHandout):
            read_answers(parts, handout, position)


def test_library_field_names_do_not_look_like_packet_fields():
    names = {name for handout in library().values() for name in pdf_field_names(handout)}
    assert len(names) > 100
    assert {split_field_name(name) for name in names} == {(0, name) for name in names}


def test_library_handouts_of_one_language_have_distinct_fields():
    for language in ("en", "es"):
        names = [
            pdf_field_names(one) for (_, spoken), one in library().items() if spoken == language
        ]
        assert len(names) == len(set(names)) > 5


def test_merge_answers_returns_only_changed_answers_as_overwritten():
    before = {"a": "mine", "b": "same", "c": "kept"}
    merged, overwritten = merge_answers(
        before, {f"{FIELD_PREFIX}a": "other", f"{FIELD_PREFIX}b": "same", f"{FIELD_PREFIX}d": "n"}
    )
    assert overwritten == {"a": "mine"}
    assert merged == {
        f"{FIELD_PREFIX}a": "other",
        f"{FIELD_PREFIX}b": "same",
        f"{FIELD_PREFIX}c": "kept",
        f"{FIELD_PREFIX}d": "n",
    }
