"""The rules of moving a note: who moves it where, what its reason may say, and where a moved note has to be."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from caseapp.domain.notes.move_rules import (
    MoveFacts,
    find_move_faults,
    find_signing_client,
    is_where_it_was_moved,
    list_move_blockers,
    list_unasked,
    was_signed_elsewhere,
)

AUTHOR, OTHER, HERE, THERE, BEYOND = (UUID(int=number) for number in range(1, 6))


@pytest.mark.parametrize(
    ("facts", "altered", "who", "is_supervisor", "codes"),
    [
        ({}, False, AUTHOR, False, []),
        ({}, False, OTHER, True, []),
        ({}, False, OTHER, False, ["not_author_of_note"]),
        ({}, True, AUTHOR, True, ["note_altered"]),
        ({"client_id": HERE}, False, AUTHOR, True, ["note_in_this_record"]),
        ({"case_status": "closed"}, False, AUTHOR, True, ["case_closed"]),
        ({"has_screening": True}, False, AUTHOR, True, ["note_has_screening"]),
        ({"unasked": ["sleep"]}, False, AUTHOR, True, ["screening_stays_behind"]),
        ({"is_undecided": True}, False, AUTHOR, False, ["move_needs_supervisor"]),
        ({"is_undecided": True}, False, OTHER, True, []),
        ({"has_request": True}, False, AUTHOR, True, ["note_has_request"]),
        ({"has_legal_hold": True}, False, AUTHOR, True, ["note_on_legal_hold"]),
    ],
)
def test_author_or_supervisor_moves_a_note_without_a_screening_to_an_open_case(
    facts, altered, who, is_supervisor, codes
):
    given: Any = dict(facts)
    note: Any = SimpleNamespace(client_id=HERE, author_id=AUTHOR, is_as_signed=not altered)
    plain = {"client_id": THERE, "case_status": "open", "has_screening": False, "unasked": []}
    about = MoveFacts(**plain | {"is_undecided": False} | given)
    found = list_move_blockers(note, about, who, is_supervisor=is_supervisor)
    assert [reason.code for reason in found] == codes


@pytest.mark.parametrize(
    ("reason", "is_named"),
    [
        ("I had the wrong case open when I wrote this.", False),
        ("Both are called Vale, and I mixed them up.", False),
        ("This was in Ines’ record.", True),
        ("Nessa and he were mixed up.", True),
        ("It was in c-2026-0007 before.", True),
        ("It was in C\u20112026\u20110008 before.", True),
        ("this was in ines record", True),
        ("THIS WAS INÉS", True),
        ("This was ine\u0301s.", True),
        ("Her husband Róbert rang.", True),
        ("Тарасом звали другого.", False),
        ("Это была Ольга.", True),
        ("The inesperada session.", False),
    ],
)
def test_reason_does_not_say_whose_record_the_note_was_in(reason, is_named):
    former = ("Ines Vale", "Nessa", "Robert Vale", "Ольга")
    numbers = ("C-2026-0007", "C-2026-0008")
    faults = find_move_faults(reason, former, numbers, ("Tom Vale", "Tommy"))
    assert bool(faults) == is_named


def screening(day, *, is_late=False, in_error=False, **levels):
    return SimpleNamespace(
        recorded_at=day, counting=levels, is_late=is_late, in_error=object() if in_error else None
    )


@pytest.mark.parametrize(
    ("of_other", "items"),
    [
        ([], ["sleep", "fear_at_home"]),
        ([screening(2, fear_at_home=0)], ["sleep"]),
        ([screening(2, fear_at_home=0), screening(3, sleep=3)], []),
        ([screening(1, fear_at_home=3, sleep=2)], ["sleep", "fear_at_home"]),
        ([screening(2, fear_at_home=None, sleep=2)], ["fear_at_home"]),
        ([screening(2, fear_at_home=3, sleep=2, in_error=True)], ["sleep", "fear_at_home"]),
        ([screening(2, fear_at_home=3, sleep=2, is_late=True)], ["sleep", "fear_at_home"]),
    ],
)
def test_other_client_is_asked_about_each_concern_before_the_note_moves(of_other, items):
    of_note: Any = [screening(2, in_error=True, fear_at_home=3, sleep=2, self_harm=1, hope=None)]
    assert sorted(list_unasked(of_note, of_other)) == sorted(items)


def place(number, *, to, addenda=0, before=HERE):
    return SimpleNamespace(
        seq=number,
        from_client_id=before,
        from_case_id=before,
        to_client_id=to,
        to_case_id=to,
        addenda=addenda,
    )


def test_moves_lead_from_where_a_note_was_signed_to_where_it_is():
    first, second = place(1, to=THERE, addenda=1), place(2, to=BEYOND, addenda=3, before=THERE)
    signed = SimpleNamespace(client_id=HERE, case_id=HERE)

    def fits(moves, number, where, signature=signed):
        note: Any = SimpleNamespace(
            signature=signature, moves=moves, client_id=where, case_id=where
        )
        return is_where_it_was_moved(note, number)

    assert fits([], 0, HERE)
    assert fits([first], 1, THERE)
    assert fits([first, second], 2, BEYOND)
    # Signed between the two moves: a draft was moved first.
    assert fits([first, second], 2, BEYOND, SimpleNamespace(client_id=THERE, case_id=THERE))
    for wrong in (
        ([], 0, THERE),
        ([first], 0, THERE),
        ([], 1, HERE),
        ([first], 1, BEYOND),
        ([second], 1, BEYOND),
        ([second, first], 2, THERE),
    ):
        assert not fits(*wrong), wrong
    assert not fits([first], 1, THERE, None)
    # Each addendum is bound to the client of its time.
    moves: Any = [first, second]
    owners = [find_signing_client(moves, seq, BEYOND) for seq in (1, 2, 3, 4)]
    assert owners == [HERE, THERE, THERE, BEYOND]


@pytest.mark.parametrize(
    ("steps", "is_elsewhere"),
    [
        ([], False),
        ([(HERE, THERE, False)], True),
        ([(HERE, THERE, False), (THERE, HERE, False)], False),
        # A client who was merged into another one is the same person.
        ([(HERE, THERE, True)], False),
        ([(HERE, THERE, True), (THERE, BEYOND, False)], True),
        ([(HERE, BEYOND, False), (BEYOND, THERE, True)], True),
        ([(HERE, BEYOND, False), (BEYOND, HERE, False), (HERE, THERE, True)], False),
    ],
)
def test_addendum_that_was_signed_in_another_clients_record_is_found(steps, is_elsewhere):
    moves: Any = [
        SimpleNamespace(from_client_id=before, to_client_id=to, addenda=1, is_merge=is_merge)
        for before, to, is_merge in steps
    ]
    now = steps[-1][1] if steps else HERE
    assert was_signed_elsewhere(moves, 1, now) == is_elsewhere
    assert not was_signed_elsewhere(moves, 2, now)
