import pytest
from marshmallow import ValidationError

from caseapp.domain.notes.formats import FORMATS
from caseapp.domain.notes.schemas import (
    MAX_NOTE_LENGTH,
    DraftFormSchema,
    DraftSchema,
    NewNoteSchema,
)

NEW = {"format": "dap", "session_at": "2026-05-14T14:00:00+01:00"}
FORM = NEW | {"modality": "phone"}


def errors(schema, raw):
    with pytest.raises(ValidationError) as caught:
        schema.load(raw)
    return caught.value.normalized_messages()


def test_new_note_requires_format_and_session_time():
    assert set(errors(NewNoteSchema(), {})) == {"format", "session_at"}
    new = NewNoteSchema().load(NEW)
    assert (new.modality, new.minutes, new.sections) == ("video", None, {})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("format", "poem"),
        ("session_at", "14 May"),
        ("session_at", "2026-05-14T14:00:00"),
        ("session_at", "0001-01-01T00:00:00+14:00"),
        ("session_at", "9999-12-31T23:59:59-14:00"),
        ("minutes", -1),
        ("minutes", 601),
        ("modality", "telepathy"),
        ("sections", {"objective": "x"}),
        ("sections", {"poem": "x"}),
        ("sections", {"data": 5}),
        ("sections", []),
        ("colour", "red"),
    ],
)
def test_invalid_note_field_is_named(field, value):
    assert set(errors(NewNoteSchema(), NEW | {field: value})) == {field}


def test_too_long_note_is_reported_at_its_longest_section():
    half = "x" * (MAX_NOTE_LENGTH // 2)
    whole = {"data": half, "assessment": half}
    assert NewNoteSchema().load(NEW | {"sections": whole}).sections["data"] == half
    found = errors(NewNoteSchema(), NEW | {"sections": whole | {"data": half + "x"}})
    assert "100,000 characters" in found["data"][0]
    assert (
        "100,000 characters"
        in errors(DraftSchema(), {"sections": {"plan": "x" * 10**6}})["plan"][0]
    )
    assert "plan" in errors(DraftFormSchema(), FORM | {"plan": "x" * 10**6})


def test_draft_change_leaves_omitted_fields_unset():
    change = DraftSchema().load({"sections": {"plan": " Ring.\r\nWrite. "}})
    assert change.sections == {"plan": "Ring.\nWrite."}
    assert (change.format, change.session_at, change.minutes, change.screening) == (None,) * 4


def test_not_asked_is_an_answer_and_blank_is_not():
    sent = {"sleep": "watch", "work": "not_asked"}
    for draft in (
        DraftSchema().load({"screening": sent}).screening,
        DraftFormSchema().load(FORM | sent).screening,
    ):
        assert draft.answers == {"sleep": 1, "work": None}
        assert "work" not in draft.unanswered
        assert "eating" in draft.unanswered
        assert draft.screening.levels["eating"] is None


def test_draft_form_sends_all_sections_and_the_target_format():
    change = DraftFormSchema().load(FORM | {"plan": "Ring.", "text": "Not of this format."})
    assert change.sections == {"data": "", "assessment": "", "plan": "Ring."}
    assert change.minutes == 0
    moved = DraftFormSchema().load(FORM | {"plan": "Ring.", "to_format": "free"})
    assert (moved.format, set(moved.sections)) == ("free", set(FORMATS["dap"]))


def test_unknown_level_is_named():
    assert set(errors(DraftFormSchema(), FORM | {"sleep": "dreadful"})) == {"sleep"}
