"""REC-07: a signed note that was changed in the database is shown as such, recorded and passed on."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.errors import RuleBroken
from caseapp.core.reads import collecting
from caseapp.core.transaction import transaction
from caseapp.core.vault import seal_json
from caseapp.domain.audit.models import AuditEvent
from caseapp.domain.audit.operations import record_reads
from caseapp.domain.audit.security_events import list_bursts
from caseapp.domain.dashboard.queries import get_today
from caseapp.domain.keys.queries import get_client_key
from caseapp.domain.models import METADATA
from caseapp.domain.notes.models import Note, NoteSignature
from caseapp.domain.notes.operations import (
    discard_draft,
    record_draft_screening,
    record_missing_signatures,
    save_draft,
    sign_note,
)
from caseapp.domain.notes.queries import (
    get_note,
    list_case_notes,
    list_own_drafts,
    list_unsigned_rows,
    lock_note,
    open_for_signature,
)
from caseapp.domain.notes.rules import note_digest
from caseapp.domain.notes.schemas import DraftChange
from caseapp.domain.notes.unsigned import list_coaches_drafts
from tests.support import builders
from tests.support.owner import owner_connection

NOTES, SIGNATURES = (METADATA.tables[name] for name in ("note", "note_signature"))


def without_triggers(*more):
    """Let this test change signed notes, as somebody with the database could."""
    names = ("note", "note_signature", *more)
    with owner_connection() as connection:
        if db.engine.dialect.name == "postgresql":
            statements = [f"ALTER TABLE {name} DISABLE TRIGGER USER" for name in names]
        else:
            found = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name IN "
            triggers = connection.exec_driver_sql(f"{found} {names}").scalars()
            statements = [f"DROP TRIGGER {name}" for name in triggers]
        for statement in statements:
            connection.exec_driver_sql(statement)


def change(table, note_id, **values):
    column = table.c.id if table is NOTES else table.c.note_id
    with owner_connection() as connection:
        connection.execute(sa.update(table).where(column == note_id).values(values))


def read(actor, note_id):
    """Read a note as a request does, which then records what it read."""
    db.session.rollback()
    with collecting():
        note = get_note(actor, note_id)
        record_reads(actor)
    return note


def list_altered():
    """List the notes that the log names as not as they were signed."""
    query = sa.select(AuditEvent).where(AuditEvent.action == "note.read")
    return list({event.object_id for event in db.session.scalars(query) if event.details})


@pytest.fixture
def coach(team):
    return team["coach"]


@pytest.fixture
def case(coach):
    return builders.case(coach, "Ines Okafor")


@pytest.fixture
def note_id(coach, case):
    return builders.note(coach, case.case_id)


def other_text(note_id):
    key = get_client_key(get_owner(note_id))
    row = Note(id=note_id, client_id=key.client_id)
    return seal_json(row, "sections", builders.SECTIONS | {"plan": "Nothing."}, key)


def get_owner(note_id):
    return db.session.scalar(sa.select(NOTES.c.client_id).where(NOTES.c.id == note_id))


def test_signature_says_who_signed_in_which_role_as_what_and_when(coach, case, note_id):
    note = read(coach, note_id)
    signature = note.signature
    assert note.is_as_signed
    assert (signature.signed_by, signature.role, signature.meaning) == (coach.id, "coach", "author")
    assert (signature.signed_at, signature.digest) == (note.signed_at, note.sha256)
    assert (signature.client_id, signature.case_id) == (case.client_id, case.case_id)
    assert (signature.zone, signature.is_recorded_later) == ("Europe/London", False)
    for statement in (
        sa.update(NoteSignature).values(role="admin"),
        sa.delete(NoteSignature),
    ):
        with pytest.raises(sa.exc.DBAPIError), transaction() as session:
            session.execute(statement)


@pytest.mark.slow
def test_every_change_in_the_database_shows(team, coach, case, note_id):
    without_triggers()
    note, other = read(coach, note_id), team["coach2"].id
    changes = [
        (NOTES, "modality", "phone"),
        (NOTES, "minutes", 5),
        (NOTES, "session_at", note.session_at - timedelta(days=1)),
        (NOTES, "author_id", other),
        (NOTES, "signed_at", note.signed_at + timedelta(days=1)),
        (NOTES, "sections", other_text(note_id)),
        (NOTES, "sections", b"\x01" + b"x" * 60),
        (NOTES, "sha256", "0" * 64),
        (SIGNATURES, "role", "supervisor"),
        (SIGNATURES, "signed_by", other),
        (SIGNATURES, "zone", "Europe/Paris"),
        (SIGNATURES, "recorded_at", note.signed_at + timedelta(days=1)),
        (SIGNATURES, "digest", "0" * 64),
        (SIGNATURES, "key_number", 7),
        (SIGNATURES, "mac", b"x" * 32),
    ]
    for table, column, value in changes:
        of = (table.c.id if table is NOTES else table.c.note_id) == note_id
        before = db.session.scalar(sa.select(table.c[column]).where(of))
        change(table, note_id, **{column: value})
        assert not read(coach, note_id).is_as_signed, column
        change(table, note_id, **{column: before})
        assert read(coach, note_id).is_as_signed, column
    change(NOTES, note_id, sections=b"\x01" + b"x" * 60)
    [listed] = list_case_notes(coach, case.case_id, None, 5).items
    assert (listed.is_as_signed, listed.sections) == (False, {})


@pytest.mark.parametrize("cleared", [{}, {"signed_at": None, "signed_by": None, "sha256": None}])
def test_signed_note_that_is_a_draft_again_shows_and_stays_as_it_is(
    team, coach, case, note_id, cleared
):
    without_triggers()
    change(NOTES, note_id, status="draft", **cleared)
    # Without its digest it is nobody's but the author's, as any draft is.
    for reader in [coach, *([] if cleared else [team["supervisor"]])]:
        note = read(reader, note_id)
        assert (note.status, note.is_as_signed) == ("signed", False)
    assert list_altered() == [note_id]
    [listed] = list_case_notes(coach, case.case_id, None, 5).items
    assert not listed.is_as_signed
    # Nobody is asked to sign it.
    assert (list_own_drafts(coach), list_coaches_drafts(team["supervisor"])) == ([], [])
    for attempt in (
        lambda note: save_draft(coach, note, DraftChange(sections={"plan": "Nothing."}), 2),
        lambda note: sign_note(coach, note, 2),
        lambda note: record_draft_screening(coach, note, 2),
        lambda note: discard_draft(coach, note, 2),
    ):
        with pytest.raises(RuleBroken) as refused, transaction():
            attempt(lock_note(coach, note_id))
        assert [reason.code for reason in refused.value.reasons] == ["note_altered"]


def test_note_that_was_moved_to_another_client_shows_and_the_others_stay_true(coach, case):
    other = builders.case(coach, "Tom Vale")
    true = builders.note(coach, case.case_id, days_ago=3)
    moved = builders.note(coach, other.case_id)
    draft = builders.draft(coach, case.case_id, days_ago=5)
    without_triggers()
    change(NOTES, moved, case_id=case.case_id)
    assert not read(coach, moved).is_as_signed
    assert list_altered() == [moved]
    db.session.rollback()
    listed = list_case_notes(coach, case.case_id, None, 5).items
    found = [(note.id, note.is_as_signed, bool(note.sections)) for note in listed]
    assert found == [(moved, False, True), (true, True, True), (draft, True, True)]


def test_missing_or_foreign_signature_shows(coach, case, note_id):
    """A signature that was forged or copied into the database is told from one of ours (VULN-08)."""
    other = builders.note(coach, case.case_id)
    without_triggers()
    stored = db.session.execute(sa.select(SIGNATURES).where(SIGNATURES.c.note_id == other))
    copied = {**stored.mappings().one(), "note_id": note_id}
    with owner_connection() as connection:
        connection.execute(sa.delete(SIGNATURES).where(SIGNATURES.c.note_id == note_id))
    assert not read(coach, note_id).is_as_signed
    with transaction() as session:
        session.execute(sa.insert(SIGNATURES).values(copied))
    assert not read(coach, note_id).is_as_signed
    assert read(coach, other).is_as_signed


@pytest.mark.slow
def test_altered_note_is_in_the_log_and_on_today_until_a_week_after_it_was_read(
    team, coach, case, note_id, moment
):
    supervisor = team["supervisor"]
    assert read(coach, note_id).is_as_signed
    assert (list_bursts(), get_today(supervisor).portal_items) == ([], [])
    without_triggers()
    change(NOTES, note_id, modality="phone")
    for _ in range(2):
        read(coach, note_id)
    query = sa.select(AuditEvent).where(AuditEvent.action == "note.read")
    found = [event for event in db.session.scalars(query) if event.details]
    assert [(event.object_id, event.client_id, event.details) for event in found] == [
        (note_id, case.client_id, {"signature": "mismatch"})
    ]
    [burst] = list_bursts()
    assert (burst.kind, burst.subject_id, burst.times) == ("altered", None, 1)
    [item] = get_today(supervisor).portal_items
    assert (item.kind, item.client_id, item.number) == ("altered", case.client_id, case.number)
    with at(now() + timedelta(days=8)):
        db.session.rollback()
        assert get_today(supervisor).portal_items == []


def test_notes_of_an_earlier_release_are_signed_once_and_say_since_when(team, coach, case, moment):
    old = builders.note(coach, case.case_id, days_ago=30)
    changed = builders.note(coach, case.case_id, days_ago=20)
    without_triggers()
    with owner_connection() as connection:
        connection.execute(sa.delete(SIGNATURES))
    change(NOTES, changed, modality="phone")
    with transaction():
        assert record_missing_signatures() == 2
    note = read(coach, old)
    assert (note.is_as_signed, note.signature.is_recorded_later) == (True, True)
    assert (note.signature.role, note.signature.recorded_at) == (None, now())
    # What no longer fits its own digest is altered from the start.
    assert not read(coach, changed).is_as_signed
    # A signature that is missing later was taken away.
    new = builders.note(coach, case.case_id)
    with owner_connection() as connection:
        connection.execute(sa.delete(SIGNATURES).where(SIGNATURES.c.note_id.in_([changed, new])))
    with transaction():
        assert record_missing_signatures() == 0
    assert not read(coach, new).is_as_signed


def test_note_that_lost_its_signature_is_never_signed_again(coach, case, moment):
    """Not even when all signatures are gone, and its digest fits what was made of it."""
    with transaction():
        assert record_missing_signatures() == 0
    forged = builders.note(coach, case.case_id)
    without_triggers()
    with owner_connection() as connection:
        connection.execute(sa.delete(SIGNATURES))
    change(NOTES, forged, minutes=5, actual_minutes=5)
    [row] = list_unsigned_rows(None, None, 10)
    change(NOTES, forged, sha256=note_digest(open_for_signature(row)))
    db.session.rollback()
    with transaction():
        assert record_missing_signatures() == 0
    assert not read(coach, forged).is_as_signed
    query = sa.select(AuditEvent.details).where(AuditEvent.action == "signatures.begin")
    assert [found["notes"] for found in db.session.scalars(query)] == [0]
