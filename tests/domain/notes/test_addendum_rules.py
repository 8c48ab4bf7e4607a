"""The rules of addenda: who may add what to which note, what it needs, and what counts afterwards."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from caseapp.domain.notes.rules import (
    apply_addenda,
    find_addendum_faults,
    find_addendum_kind,
    find_earliest_session,
    list_addendum_blockers,
)
from caseapp.domain.notes.schemas import NewAddendum

NOW = datetime(2026, 5, 14, 14, tzinfo=UTC)
AUTHOR, COACH, OTHER = (UUID(int=number) for number in (1, 2, 3))
WHY = "The day was wrong."


@pytest.mark.parametrize(
    ("changed", "who", "is_supervisor", "codes"),
    [
        ({"status": "draft"}, AUTHOR, True, ["note_not_signed"]),
        ({}, AUTHOR, False, []),
        ({}, COACH, False, []),
        ({}, OTHER, True, []),
        ({}, OTHER, False, ["not_responsible_for_note"]),
        ({"in_error": True}, AUTHOR, True, ["note_in_error"]),
        ({"is_as_signed": False}, AUTHOR, True, ["note_altered"]),
    ],
)
def test_author_coach_and_supervisor_add_to_a_signed_note(changed, who, is_supervisor, codes):
    facts = {"status": "signed", "in_error": False, "is_as_signed": True, "author_id": AUTHOR}
    note: Any = SimpleNamespace(**facts | changed)
    found = list_addendum_blockers(note, who, COACH, is_supervisor=is_supervisor)
    assert [reason.code for reason in found] == codes


@pytest.mark.parametrize(
    ("new", "fields"),
    [
        (NewAddendum("correction", "It was Tuesday.", WHY), set()),
        (NewAddendum("correction", reason=WHY, session_at=NOW), set()),
        (NewAddendum("correction", reason=WHY, minutes=45), set()),
        (NewAddendum("correction", reason=WHY), {"text"}),
        (NewAddendum("correction", "It was Tuesday."), {"reason"}),
        (
            NewAddendum("correction", reason=WHY, session_at=NOW + timedelta(minutes=1)),
            {"session_at"},
        ),
        (NewAddendum("addition", "She rang."), set()),
        (NewAddendum("addition", reason=WHY), {"text"}),
        (NewAddendum("addition", "She rang.", session_at=NOW), {"session_at"}),
        (NewAddendum("in_error", reason=WHY), set()),
        (NewAddendum("in_error"), {"reason"}),
        (NewAddendum("in_error", reason=WHY, minutes=45), {"minutes"}),
    ],
)
def test_addendum_says_what_its_kind_needs(new, fields):
    assert find_addendum_faults(new, NOW).keys() == fields


def test_addition_more_than_72_hours_after_the_session_is_a_late_entry():
    limit, later = NOW + timedelta(hours=72), NOW + timedelta(days=99)
    note: Any = SimpleNamespace(session_at=NOW, actual_session_at=NOW)
    assert find_addendum_kind("addition", note, limit) == "addition"
    assert find_addendum_kind("addition", note, limit + timedelta(microseconds=1)) == "late_entry"
    assert find_addendum_kind("correction", note, later) == "correction"
    # Whether the session was corrected to a later or an earlier time.
    for times in ((NOW, later), (later, NOW)):
        note = SimpleNamespace(session_at=times[0], actual_session_at=times[1])
        assert find_addendum_kind("addition", note, later) == "late_entry"


def test_session_is_not_corrected_to_before_its_case_unless_it_was_signed_so():
    new = NewAddendum("correction", reason=WHY, session_at=NOW)
    for opened, signed, is_refused in ((1, 2, True), (0, 2, False), (2, 1, False)):
        note: Any = SimpleNamespace(session_at=NOW + timedelta(days=signed))
        earliest = find_earliest_session(note, NOW + timedelta(days=opened))
        faults = find_addendum_faults(new, NOW + timedelta(days=9), earliest)
        assert bool(faults) == is_refused


def test_newest_correction_counts_and_leaves_what_it_does_not_name():
    day = timedelta(days=1)
    time = NewAddendum("correction", reason=WHY, session_at=NOW - day)
    minutes = NewAddendum("correction", reason=WHY, minutes=45)
    assert apply_addenda(NOW, 50, []) == (NOW, 50, False)
    assert apply_addenda(NOW, 50, [time, minutes]) == (NOW - day, 45, False)
    again = replace(time, session_at=NOW - 2 * day)
    assert apply_addenda(NOW, None, [time, again]) == (NOW - 2 * day, None, False)
    error = NewAddendum("in_error", reason=WHY)
    assert apply_addenda(NOW, 50, [error, minutes]) == (NOW, 45, True)
