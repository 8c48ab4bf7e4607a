"""REC-09, REC-10, REC-11: addenda are shown with the note, which stays byte for byte; lists use what they correct."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.errors import Invalid, RuleBroken
from caseapp.core.transaction import transaction
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.dashboard.queries import get_today
from caseapp.domain.models import METADATA
from caseapp.domain.notes.operations import add_addendum, sign_note
from caseapp.domain.notes.queries import get_note, list_case_notes, lock_note
from caseapp.domain.notes.schemas import NewAddendum
from caseapp.domain.staffing.operations import hand_over
from tests.domain.notes.test_signatures import NOTES, read, without_triggers
from tests.support import builders
from tests.support.owner import owner_connection

ADDENDA = METADATA.tables["note_addendum"]
DERIVED = {"actual_session_at", "actual_minutes", "in_error", "addenda", "moves", "version"}
WHY = "I wrote the wrong day."


@pytest.fixture
def coach(team):
    return team["coach"]


@pytest.fixture
def case(coach):
    return builders.case(coach, "Ines Okafor")


def add(actor, note_id, kind, *texts, **more):
    with transaction():
        return add_addendum(actor, lock_note(actor, note_id), NewAddendum(kind, *texts, **more))


def stored(note_id):
    """Return what of a note never changes, as it is stored."""
    row = db.session.execute(sa.select(NOTES).where(NOTES.c.id == note_id)).mappings().one()
    return {name: value for name, value in row.items() if name not in DERIVED}


def last_session(actor):
    db.session.rollback()
    return [case.met.session for case in get_today(actor).recent_cases]


def test_corrected_time_counts_in_lists_and_the_note_stays_as_it_was(team, coach, case, moment):
    first = builders.note(coach, case.case_id, days_ago=9)
    wrong = builders.note(coach, case.case_id)
    before, signed, right = stored(wrong), get_note(coach, wrong), now() - timedelta(days=20)
    note = add(coach, wrong, "correction", "", WHY, session_at=right, minutes=45)
    assert stored(wrong) == before
    assert (note.sha256, note.session_at, note.minutes) == (
        signed.sha256,
        signed.session_at,
        signed.minutes,
    )
    assert (note.actual_session_at, note.actual_minutes, note.version) == (
        right,
        45,
        signed.version + 1,
    )
    [addendum] = note.addenda
    assert (addendum.kind, addendum.reason, addendum.author) == ("correction", WHY, coach.name)
    assert (addendum.created_at, addendum.created_by, addendum.role) == (now(), coach.id, "coach")
    assert read(team["supervisor"], wrong).is_as_signed
    listed = list_case_notes(coach, case.case_id, None, 5).items
    assert [(each.id, each.is_as_signed) for each in listed] == [(first, True), (wrong, True)]
    assert last_session(coach) == [get_note(coach, first).session_at]
    texts = db.session.scalars(sa.select(ADDENDA.c.content)).all()
    assert not [text for text in texts if b"wrong day" in text]


def test_note_entered_in_error_counts_as_no_session_and_takes_no_more(coach, case):
    first = builders.note(coach, case.case_id, days_ago=9)
    wrong = builders.note(coach, case.case_id)
    note = add(coach, wrong, "in_error", "", "Written for another client.")
    assert (note.in_error, note.sections) == (True, builders.SECTIONS)
    assert last_session(coach) == [get_note(coach, first).session_at]
    with pytest.raises(RuleBroken) as refused:
        add(coach, wrong, "addition", "She rang.")
    assert [reason.code for reason in refused.value.reasons] == ["note_in_error"]
    with pytest.raises(Invalid):
        add(coach, first, "in_error")


def test_addition_is_late_by_itself_and_the_new_coach_and_a_supervisor_may_add(team, coach, case):
    note_id = builders.note(coach, case.case_id)
    assert add(coach, note_id, "addition", "She rang.").addenda[-1].kind == "addition"
    add(team["supervisor"], note_id, "addition", "She told me so.")
    with transaction():
        client = lock_client(team["supervisor"], case.client_id)
        hand_over(team["supervisor"], client, coach.id, team["coach2"].id)
    with at(now() + timedelta(hours=72)):
        note = add(team["coach2"], note_id, "addition", "She rang again.")
    assert [each.kind for each in note.addenda] == ["addition", "addition", "late_entry"]
    assert [each.seq for each in note.addenda] == [1, 2, 3]
    assert (note.is_as_signed, note.is_late_entry) == (True, False)
    late = builders.draft(team["coach2"], case.case_id, days_ago=4)
    with transaction():
        sign_note(team["coach2"], lock_note(team["coach2"], late), 1)
    assert get_note(team["coach2"], late).is_late_entry


def test_database_changes_a_signed_note_only_together_with_an_addendum(coach, case):
    note_id = builders.note(coach, case.case_id)
    add(coach, note_id, "addition", "She rang.")
    for change in (
        {"in_error": True},
        {"actual_minutes": 5, "addenda": 2},
        {"actual_minutes": 5, "addenda": 1},
        {"addenda": 0},
        {"version": 9},
    ):
        with pytest.raises(sa.exc.DBAPIError), transaction() as session:
            session.execute(sa.update(NOTES).where(NOTES.c.id == note_id).values(change))
    for statement in (sa.update(ADDENDA).values(kind="correction"), sa.delete(ADDENDA)):
        with pytest.raises(sa.exc.DBAPIError), transaction() as session:
            session.execute(statement)


@pytest.mark.slow
def test_every_change_of_an_addendum_or_of_what_lists_use_shows(team, coach, case):
    note_id = builders.note(coach, case.case_id)
    add(coach, note_id, "addition", "She rang.")
    add(coach, note_id, "correction", "", WHY, minutes=45)
    without_triggers("note_addendum")
    before = db.session.execute(sa.select(ADDENDA).where(ADDENDA.c.seq == 2)).mappings().one()
    other = db.session.scalar(sa.select(ADDENDA.c.content).where(ADDENDA.c.seq == 1))
    of_second, of_note = ADDENDA.c.id == before["id"], NOTES.c.id == note_id
    changes: list[tuple[dict, dict]] = [
        ({"kind": "addition"}, {}),
        ({"created_at": now() - timedelta(days=9)}, {}),
        ({"created_by": team["coach2"].id}, {}),
        ({"role": "supervisor"}, {}),
        ({"content": other}, {}),
        ({"digest": "0" * 64}, {}),
        ({"key_number": 9}, {}),
        ({"mac": b"x" * 32}, {}),
        ({"seq": 3}, {}),
        ({}, {"actual_minutes": 50}),
        ({}, {"in_error": True}),
        ({}, {"addenda": 1}),
        ({}, {"addenda": 0, "actual_minutes": 50}),
    ]
    facts = {"actual_minutes": 45, "in_error": False, "addenda": 2}
    for in_addendum, in_note in changes:
        with owner_connection() as connection:
            if in_addendum:
                connection.execute(sa.update(ADDENDA).where(of_second).values(in_addendum))
            if in_note:
                connection.execute(sa.update(NOTES).where(of_note).values(in_note))
        assert not read(coach, note_id).is_as_signed, (in_addendum, in_note)
        with owner_connection() as connection:
            connection.execute(sa.update(ADDENDA).where(of_second).values(dict(before)))
            connection.execute(sa.update(NOTES).where(of_note).values(facts))
        assert read(coach, note_id).is_as_signed
    with owner_connection() as connection:
        connection.execute(sa.delete(ADDENDA).where(of_second))
    assert not read(coach, note_id).is_as_signed


def test_addenda_that_a_note_denies_show_in_lists_and_take_no_more(coach, case):
    note_id = builders.note(coach, case.case_id)
    add(coach, note_id, "in_error", "", "Written for another client.")
    without_triggers("note_addendum")
    with transaction() as session:
        denied = {"in_error": False, "addenda": 0}
        session.execute(sa.update(NOTES).where(NOTES.c.id == note_id).values(denied))
    [listed] = list_case_notes(coach, case.case_id, None, 5).items
    assert (listed.is_as_signed, len(listed.addenda)) == (False, 1)
    with pytest.raises(RuleBroken) as refused:
        add(coach, note_id, "addition", "She rang.")
    assert [reason.code for reason in refused.value.reasons] == ["note_altered"]
