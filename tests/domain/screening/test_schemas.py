"""What may stand in the form of a screening, and in a written reason."""

from __future__ import annotations

from uuid import UUID

import pytest

from caseapp.domain.screening.schemas import (
    LEVEL_NAMES,
    ErrorReasonSchema,
    ReasonSchema,
    ScreeningSchema,
)
from tests.domain.screening.hold_helpers import KEYS


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        ({"sleep": "3"}, "sleep"),
        ({"sleep": "dreadful"}, "sleep"),
        ({"actions_taken": ["prayed"]}, "actions_taken"),
        ({"comment": "x" * 2001}, "comment"),
        ({"mood": "low"}, "mood"),
        ({"recorded_at": "2020-01-01T00:00:00Z"}, "recorded_at"),
        ({"recorded_by": str(UUID(int=1))}, "recorded_by"),
    ],
)
def test_invalid_answers_name_the_field(raw, field):
    assert list(ScreeningSchema().validate(raw)) == [field]


def test_level_names_are_read_and_blank_is_not_asked():
    words = {
        "sleep": "none",
        "eating": "watch",
        "caring": "concern",
        "work": "urgent",
        "self_harm": "",
    }
    found = ScreeningSchema().load(words)
    assert found.levels == {
        **dict.fromkeys(KEYS),
        "sleep": 0,
        "eating": 1,
        "caring": 2,
        "work": 3,
    }
    assert set(LEVEL_NAMES) == {"none", "watch", "concern", "urgent"}


@pytest.mark.parametrize("reason", ["", "short", "x" * 40, "- " * 40, "Right. " * 400])
def test_short_reason_is_refused(reason):
    assert ReasonSchema().validate({"reason": reason})


@pytest.mark.parametrize("schema", [ReasonSchema, ErrorReasonSchema])
@pytest.mark.parametrize("blank", ["\u3164", "\u2800", "\u115f", "\u200b", " "])
def test_written_reason_can_be_seen(schema, blank):
    assert list(schema().validate({"reason": blank * 25})) == ["reason"]
    assert schema().validate({"reason": "Two steady weeks and a plan."}) == {}
