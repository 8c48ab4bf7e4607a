"""A note filed under the wrong person moves with its addenda: it verifies, and leaves neither text nor name behind."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import Invalid, NotFound, RuleBroken, Stale
from caseapp.core.transaction import transaction
from caseapp.core.vault import SealBroken, unseal_text
from caseapp.domain.audit.models import AuditEvent
from caseapp.domain.clients.models import PossibleConflict
from caseapp.domain.keys.queries import get_client_key
from caseapp.domain.models import METADATA
from caseapp.domain.notes.cosign_operations import cosign_note, return_note
from caseapp.domain.notes.cosign_queries import get_review, list_reviews
from caseapp.domain.notes.move_operations import move_note
from caseapp.domain.notes.move_queries import list_moved_away, lock_note_move
from caseapp.domain.notes.operations import (
    add_addendum,
    discard_draft,
    mark_screening_in_error,
    sign_note,
)
from caseapp.domain.notes.queries import get_note, list_case_notes, list_own_drafts, lock_note
from caseapp.domain.notes.schemas import NewAddendum, NewNoteMove
from caseapp.domain.screening.current import get_safety_state
from caseapp.domain.screening.protocol import ITEMS, ITEMS_BY_KEY
from caseapp.domain.screening.queries import lock_screening
from tests.domain.notes.test_signatures import NOTES, change, read, without_triggers
from tests.support import builders
from tests.support.owner import owner_connection

pytestmark = pytest.mark.slow

ADDENDA, MOVES = METADATA.tables["note_addendum"], METADATA.tables["note_move"]
WHY = "I had the wrong case open."


@pytest.fixture
def coach(team):
    return team["coach"]


@pytest.fixture
def case(coach):
    return builders.case(coach, "Ines Okafor")


@pytest.fixture
def right(coach):
    return builders.case(coach, "Tom Vale")


def move(actor, note_id, case, reason=WHY, version=None):
    with transaction():
        locked = lock_note_move(actor, note_id, case.number)
        version = locked.note.row.version if version is None else version
        return move_note(actor, locked, NewNoteMove(reason), version)


def add(actor, note_id, kind, text="", reason="", **more):
    with transaction():
        new = NewAddendum(kind, text, reason, **more)
        return add_addendum(actor, lock_note(actor, note_id), new)


def refusals(refused):
    return [reason.code for reason in refused.value.reasons]


def opens(table, column, row_id, sealed, client_id):
    try:
        unseal_text(table, column, row_id, sealed, get_client_key(client_id))
    except SealBroken:
        return False
    return True


def test_signed_note_moves_with_its_addenda_and_verifies(team, coach, case, right):
    """Acceptance 10: digest and signature verify, nothing is left under the former client, both logs have it."""
    note_id = builders.note(coach, case.case_id)
    add(coach, note_id, "correction", "", "I wrote the wrong day.", minutes=45)
    signed = get_note(coach, note_id)
    note = move(coach, note_id, right)
    assert (note.client_id, note.case_id, note.number) == (
        right.client_id,
        right.case_id,
        right.number,
    )
    add(team["supervisor"], note_id, "addition", "He rang.")
    note = read(team["supervisor"], note_id)
    assert (note.is_as_signed, note.sha256, note.sections) == (True, signed.sha256, signed.sections)
    assert [each.text or each.reason for each in note.addenda] == [
        "I wrote the wrong day.",
        "He rang.",
    ]
    assert (note.actual_minutes, note.signature) == (45, signed.signature)
    [moved] = note.moves
    assert (moved.reason, moved.mover, moved.moved_by) == (WHY, coach.name, coach.id)
    # Nothing of it opens with the former client's key.
    sealed = [("note", "sections", note_id, db.session.scalar(sa.select(NOTES.c.sections)))]
    rows = db.session.execute(sa.select(ADDENDA.c.id, ADDENDA.c.content, ADDENDA.c.client_id)).all()
    sealed += [("note_addendum", "content", row.id, row.content) for row in rows]
    for one in sealed:
        assert [opens(*one, each.client_id) for each in (case, right)] == [False, True]
    assert {row.client_id for row in rows} == {right.client_id}
    # What each record shows, and each log says.
    assert list_case_notes(coach, case.case_id, None, 5).items == []
    [listed] = list_case_notes(coach, right.case_id, None, 5).items
    assert listed.is_as_signed
    assert [(one.mover, one.moved_at) for one in list_moved_away(case.case_id)] == [
        (coach.name, now())
    ]
    assert list_moved_away(right.case_id) == []
    query = sa.select(AuditEvent).where(AuditEvent.action == "note.move")
    events = {event.client_id: event for event in db.session.scalars(query)}
    assert {each: event.details for each, event in events.items()} == {
        case.client_id: {"moved": "away"},
        right.client_id: {"moved": "here"},
    }
    # On, and back to where it was signed.
    beyond = builders.case(coach, "Ada Quist")
    for there in (beyond, case):
        assert move(team["supervisor"], note_id, there).is_as_signed
    assert [each.reason for each in get_note(coach, note_id).moves] == ["", "", WHY]


def test_draft_moves_with_its_answers_and_is_signed_there(coach, case, right):
    note_id = builders.draft(coach, case.case_id, levels={item.key: 0 for item in ITEMS})
    note = move(coach, note_id, right)
    assert (note.status, note.draft.answers["sleep"]) == ("draft", 0)
    [draft] = list_own_drafts(coach)
    assert (draft.number, draft.client) == (right.number, "Tom Vale")
    with pytest.raises(Stale):
        move(coach, note_id, case, version=2)
    with transaction():
        locked = lock_note(coach, note_id)
        sign_note(coach, locked, locked.row.version)
    signed = read(coach, note_id)
    assert (signed.is_as_signed, signed.client_id) == (True, right.client_id)
    assert signed.own_screening_id == signed.screening_id is not None


def test_note_with_a_screening_stays_until_that_is_marked_as_recorded_in_error(coach, case, right):
    levels = {item.key: 0 for item in ITEMS}
    note_id = builders.note(coach, case.case_id, levels=levels)
    with pytest.raises(RuleBroken) as refused:
        move(coach, note_id, right)
    assert refusals(refused) == ["note_has_screening"]
    screening_id = get_note(coach, note_id).own_screening_id
    mark(coach, screening_id)
    note = move(coach, note_id, right)
    # The screening is in the former client's record: the note no longer shows it.
    assert (note.is_as_signed, note.screening_id, note.own_screening_id) == (
        True,
        screening_id,
        None,
    )


def mark(coach, screening_id):
    with transaction():
        locked = lock_screening(coach, screening_id)
        mark_screening_in_error(coach, locked, "Answers of another client.")


@pytest.mark.parametrize("kind", ["draft", "note"])
def test_note_whose_concern_was_marked_as_an_error_waits_until_the_other_client_was_asked(
    coach, case, right, kind
):
    levels = {item.key: 0 for item in ITEMS} | {"fear_at_home": 3}
    note_id = getattr(builders, kind)(coach, case.case_id, levels=levels)
    mark(coach, get_note(coach, note_id).screening_id)
    for asked in ({}, {"fear_at_home": None}):
        if asked:
            builders.screen(coach, right.client_id, **asked)
        with pytest.raises(RuleBroken) as refused:
            move(coach, note_id, right)
        assert refusals(refused) == ["screening_stays_behind"]
    assert ITEMS_BY_KEY["fear_at_home"].label in refused.value.reasons[0].way_out
    builders.screen(coach, right.client_id, fear_at_home=3)
    assert move(coach, note_id, right).client_id == right.client_id
    assert get_safety_state(right.client_id).hold == "safety"
    # Further on, too.
    beyond = builders.case(coach, "Ada Quist")
    with pytest.raises(RuleBroken) as refused:
        move(coach, note_id, beyond)
    assert refusals(refused) == ["screening_stays_behind"]


def test_draft_opens_a_safety_hold_where_it_is_moved_to(coach, case, right):
    builders.screen(coach, right.client_id, self_harm="watch")
    note_id = builders.draft(coach, case.case_id, levels={"sleep": 0}, circumstances=("weapons",))
    assert get_safety_state(case.client_id).hold is None
    note = move(coach, note_id, right)
    assert get_safety_state(right.client_id).hold == "safety"
    assert (note.screening_id is not None, note.draft.has_unrecorded) == (True, False)
    assert get_safety_state(case.client_id).hold is None


def send_back(actor, note_id, comment):
    with transaction():
        version = get_review(actor, note_id).version
        return_note(actor, lock_note(actor, note_id), comment, version)


def test_note_that_needs_a_cosignature_moves_with_the_comments_of_its_returns(
    team, coach, case, right
):
    supervisor = team["supervisor"]
    with builders.supervised(coach):
        note_id = builders.note(coach, case.case_id)
    send_back(supervisor, note_id, "Say who was in the room.")

    def comments():
        return [each.comment for each in get_review(supervisor, note_id).returns]

    assert move(coach, note_id, right).review == "returned"
    [listed] = list_reviews(supervisor, None, 5).items
    assert (listed.client_id, listed.number) == (right.client_id, right.number)
    assert comments() == ["Say who was in the room."]
    add(coach, note_id, "addition", "Her sister.")
    again = "And when it ended."
    send_back(supervisor, note_id, again)
    both = ["Say who was in the room.", again]
    for there in (case, right):
        move(coach, note_id, there)
        assert comments() == both
    with transaction():
        version = get_review(supervisor, note_id).version
        cosign_note(supervisor, lock_note(supervisor, note_id), version)
    assert read(supervisor, note_id).is_as_signed
    assert move(coach, note_id, case).is_as_signed
    assert comments() == both


def test_comments_of_a_return_stay_with_a_note_that_was_entered_in_error(team, coach, case):
    supervisor = team["supervisor"]
    with builders.supervised(coach):
        note_id = builders.note(coach, case.case_id)
    send_back(supervisor, note_id, "Another client’s, I think.")
    add(coach, note_id, "in_error", "", "Written for another client.")
    [returned] = get_review(supervisor, note_id).returns
    assert returned.comment == "Another client’s, I think."


def test_moved_draft_is_not_discarded(coach, case, right):
    note_id = builders.draft(coach, case.case_id)
    move(coach, note_id, right)
    with pytest.raises(RuleBroken) as refused, transaction():
        note = lock_note(coach, note_id)
        discard_draft(coach, note, note.row.version)
    assert refusals(refused) == ["draft_moved"]


def test_reason_names_no_client_in_whose_record_the_note_ever_was(coach, right):
    case = builders.case(coach, "Ines Okafor", partner_name="Robert Vale")
    note_id = builders.note(coach, case.case_id)
    beyond = builders.case(coach, "Ada Quist")
    move(coach, note_id, right)
    for reason in (
        "It began with ines, then Tom.",
        "It was " + case.number,
        "It was Robert’s wife.",
        "It was in Tom’s record.",
    ):
        with pytest.raises(Invalid):
            move(coach, note_id, beyond, reason)
    assert move(coach, note_id, beyond, "It is about Ada.").client_id == beyond.client_id


def test_who_moves_and_where_is_checked_and_tells_nothing(team, coach, case, right):
    note_id = builders.note(coach, case.case_id)
    foreign = builders.case(team["coach2"], "Uma Holt")
    missing = type(foreign)(foreign.client_id, foreign.case_id, "C-1999-0001")
    for there in (foreign, missing):
        with pytest.raises(NotFound):
            move(coach, note_id, there)
    with pytest.raises(Invalid) as invalid:
        move(coach, note_id, right, "It belongs to Tom, not to Ines.")
    assert [*invalid.value.fields] == ["reason"]
    with pytest.raises(RuleBroken) as refused:
        move(coach, note_id, case)
    assert refusals(refused) == ["note_in_this_record"]
    with transaction() as session:
        lock_note_move(coach, note_id, right.number)
        pair = sorted((case.client_id, right.client_id))
        session.add(PossibleConflict(client_id=pair[1], other_id=pair[0], found_at=now()))
    with pytest.raises(RuleBroken) as refused:
        move(coach, note_id, right)
    assert refusals(refused) == ["move_needs_supervisor"]
    assert move(team["supervisor"], note_id, right).client_id == right.client_id


def test_every_change_in_the_database_of_where_a_note_is_shows(coach, case, right):
    note_id = builders.note(coach, case.case_id)
    add(coach, note_id, "addition", "He rang.")
    for statement in (
        sa.update(NOTES).values(client_id=right.client_id, case_id=right.case_id, moves=1),
        sa.update(NOTES).values(moves=1),
        sa.update(ADDENDA).values(client_id=right.client_id),
        sa.delete(ADDENDA),
    ):
        with pytest.raises(sa.exc.DBAPIError), owner_connection() as connection:
            connection.execute(statement)
    move(coach, note_id, right)
    for statement in (
        sa.update(NOTES).values(client_id=case.client_id, case_id=case.case_id, moves=1),
        sa.update(ADDENDA).values(client_id=case.client_id),
        sa.update(MOVES).values(role="admin"),
        sa.delete(MOVES),
    ):
        with pytest.raises(sa.exc.DBAPIError), owner_connection() as connection:
            connection.execute(statement)
    without_triggers("note_addendum", "note_move")
    before = db.session.execute(sa.select(MOVES)).mappings().one()
    changes = [
        {"role": "supervisor"},
        {"moved_at": before["moved_at"] - timedelta(days=1)},
        {"from_client_id": right.client_id},
        {"addenda": 0},
        {"reason": b"\x01" + b"x" * 60},
        {"mac": b"x" * 32},
        {"seq": 2},
    ]
    for changed in changes:
        with owner_connection() as connection:
            connection.execute(sa.update(MOVES).values(changed))
        assert not read(coach, note_id).is_as_signed, changed
        with owner_connection() as connection:
            connection.execute(sa.update(MOVES).values(dict(before)))
        assert read(coach, note_id).is_as_signed, changed
    change(NOTES, note_id, moves=0)
    assert not read(coach, note_id).is_as_signed
