"""Who may co-sign or return a note, and what a co-signature is bound to."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from caseapp.domain.notes.cosign_rules import (
    cosigned_digest,
    find_state_after_addendum,
    list_cosign_blockers,
    list_return_blockers,
)

AUTHOR, SUPERVISOR = UUID(int=1), UUID(int=2)
FACTS = {
    "status": "signed",
    "in_error": False,
    "is_as_signed": True,
    "author_id": AUTHOR,
    "review": "waiting",
    "cosignature": None,
}


@pytest.mark.parametrize(
    ("changed", "cosigning", "returning"),
    [
        ({}, [], []),
        ({"review": "returned"}, [], ["already_returned"]),
        ({"review": None}, ["no_cosignature_needed"], ["no_cosignature_needed"]),
        ({"review": None, "cosignature": 1}, ["already_cosigned"], ["already_cosigned"]),
        ({"status": "draft"}, ["note_not_signed"], ["note_not_signed"]),
        ({"is_as_signed": False}, ["note_altered"], ["note_altered"]),
        ({"in_error": True}, ["note_in_error"], ["note_in_error"]),
        ({"author_id": SUPERVISOR}, ["own_note"], ["own_note"]),
    ],
)
def test_supervisor_cosigns_or_returns_a_note_that_waits_and_nobody_their_own(
    changed, cosigning, returning
):
    note: Any = SimpleNamespace(**FACTS | changed)
    assert [reason.code for reason in list_cosign_blockers(note, [], SUPERVISOR)] == cosigning
    assert [reason.code for reason in list_return_blockers(note, SUPERVISOR)] == returning


def test_note_that_a_client_wants_corrected_is_returned_but_not_cosigned():
    note: Any = SimpleNamespace(**FACTS)
    requests: Any = [SimpleNamespace(state="declined"), SimpleNamespace(state="open")]
    blockers = list_cosign_blockers(note, requests, SUPERVISOR)
    assert [reason.code for reason in blockers] == ["note_has_request"]
    assert list_cosign_blockers(note, requests[:1], SUPERVISOR) == []
    assert list_return_blockers(note, SUPERVISOR) == []


def test_addendum_sends_a_returned_note_back_and_one_in_error_needs_no_cosignature():
    assert find_state_after_addendum("returned", "addition") == "waiting"
    assert find_state_after_addendum("waiting", "correction") == "waiting"
    assert find_state_after_addendum("waiting", "in_error") is None
    assert find_state_after_addendum(None, "addition") is None


def test_cosignature_is_bound_to_the_note_and_its_addenda_in_their_order():
    made = [("a", []), ("b", []), ("a", ["b"]), ("a", ["b", "c"]), ("a", ["c", "b"])]
    assert len({cosigned_digest(*each) for each in made}) == len(made)
