"""REC-06: neither a log entry nor a signed note changes, whatever statement is tried, on both databases."""

from __future__ import annotations

import sqlite3

import pytest
import sqlalchemy as sa

from caseapp.core import reads
from caseapp.core.database import db, list_append_only
from caseapp.core.ids import new_id
from caseapp.core.permissions import Action
from caseapp.core.transaction import separate_transaction, transaction
from caseapp.domain.audit.models import AuditEvent, AuditEventClient
from caseapp.domain.audit.operations import record_reads
from caseapp.domain.notes.models import Note
from tests.support import builders, staff

pytestmark = pytest.mark.both(every_set=True)


@pytest.fixture
def signed(app):
    coach = staff.add("coach")
    made = builders.case(coach)
    note_id = builders.note(coach, made.case_id)
    draft_id = builders.draft(coach, made.case_id)
    db.session.rollback()
    return note_id, draft_id


def stored(table):
    """Read every row and let go of the table, since TRUNCATE would wait for a reader."""
    db.session.rollback()
    found = sorted(map(repr, db.session.execute(sa.select(table)).all()))
    db.session.rollback()
    return found


def hexed(value):
    """Write an id as this database stores it."""
    return value.hex if db.engine.dialect.name == "sqlite" else str(value)


def columns(table, **changed):
    """Write a row's columns for INSERT … SELECT, some of them replaced."""
    return ", ".join(changed.get(column.name, f'"{column.name}"') for column in table.columns)


def names(table):
    return ", ".join(f'"{column.name}"' for column in table.columns)


BOTH = [
    "UPDATE {t} SET {c} = 'x' WHERE id = '{id}'",
    "UPDATE {t} SET id = '{other}' WHERE id = '{id}'",
    "DELETE FROM {t} WHERE id = '{id}'",
    "DELETE FROM {t}",
    (
        "INSERT INTO {t} ({names}) SELECT {names} FROM {t} WHERE id = '{id}' "
        "ON CONFLICT (id) DO UPDATE SET {c} = 'x'"
    ),
]
SQLITE = [
    "UPDATE OR REPLACE {t} SET {c} = 'x' WHERE id = '{id}'",
    "UPDATE OR IGNORE {t} SET {c} = 'x' WHERE id = '{id}'",
    "REPLACE INTO {t} ({names}) SELECT {changed} FROM {t} WHERE id = '{id}'",
    "INSERT OR REPLACE INTO {t} ({names}) SELECT {changed} FROM {t} WHERE id = '{id}'",
    "INSERT OR REPLACE INTO {t} (rowid, {names}) SELECT rowid, {renamed} FROM {t} WHERE id = '{id}'",
]
# A draft that is moved onto a signed note's place would push it out.
TAKEOVERS = [
    "UPDATE OR REPLACE note SET id = '{signed}' WHERE id = '{draft}'",
    (
        "UPDATE OR REPLACE note SET rowid = (SELECT rowid FROM note WHERE id = '{signed}') "
        "WHERE id = '{draft}'"
    ),
]
POSTGRESQL = ["TRUNCATE {t}", "TRUNCATE {t} CASCADE"]


def statements(table, column, row_id):
    also = SQLITE if db.engine.dialect.name == "sqlite" else POSTGRESQL
    for statement in BOTH + also:
        yield statement.format(
            t=table.name,
            c=column,
            id=hexed(row_id),
            other=hexed(new_id()),
            names=names(table),
            changed=columns(table, **{column: "'x'"}),
            renamed=columns(table, id=f"'{hexed(new_id())}'"),
        )


@pytest.mark.parametrize("which", ["audit_event", "note"])
def test_audit_events_and_signed_notes_refuse_every_change(signed, which):
    table = {"audit_event": AuditEvent.__table__, "note": Note.__table__}[which]
    row_id = signed[0] if which == "note" else db.session.scalar(sa.select(AuditEvent.id))
    column = "modality" if which == "note" else "action"
    before = stored(table)
    for statement in statements(table, column, row_id):
        with (
            # PostgreSQL looks for references to a table before it asks the table's triggers.
            pytest.raises(sa.exc.DBAPIError, match=r"never change|cannot truncate a table"),
            separate_transaction() as connection,
        ):
            connection.execute(sa.text(statement))
    assert stored(table) == before


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_application_can_only_add_rows_that_never_change(app, database_url):
    """On SQLite its connections refuse it before a trigger would, and leave the tables to migrations."""
    append_only = set(
        db.session.scalars(
            sa.text(
                "SELECT tbl_name FROM sqlite_master WHERE type = 'trigger' "
                "AND sql LIKE '%BEFORE UPDATE ON%' AND sql NOT LIKE '%WHEN%'"
            )
        )
    )
    assert append_only == {*list_append_only()} > {"audit_event", "safety_event", "note_signature"}
    changes = {
        "The rows of {0} never change": ("UPDATE {0} SET rowid = 1 WHERE 0", "DELETE FROM {0}"),
        "Only migrations change": (
            "DROP TABLE {0}",
            "ALTER TABLE {0} RENAME TO other",
            "CREATE TRIGGER other BEFORE INSERT ON {0} BEGIN SELECT 1; END",
            "CREATE INDEX other ON {0} (rowid)",
        ),
    }
    tried = [
        (statement.format(table), told.format(table))
        for table in sorted(append_only)
        for told, statements in changes.items()
        for statement in statements
    ]
    triggers = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    others = [f"DROP TRIGGER {name}" for name in db.session.scalars(sa.text(triggers))]
    others += [
        "DELETE FROM alembic_version",
        "CREATE TEMP TABLE other (x)",
        "PRAGMA writable_schema = 1",
        "PRAGMA recursive_triggers = 0",
        f"ATTACH '{database_url.database}' AS other",
        "ANALYZE",
    ]
    for statement, told in tried + [(other, "Only migrations change") for other in others]:
        with (
            pytest.raises(sa.exc.DatabaseError, match=told),
            separate_transaction() as connection,
        ):
            connection.exec_driver_sql(statement)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_audit_events_refuse_changes_without_our_pragmas(signed, database_url):
    """Another program opens the file with SQLite's own defaults, where REPLACE fires no delete trigger."""
    note_id, draft_id = (found.hex for found in signed)
    for table, column in ((AuditEvent.__table__, "action"), (Note.__table__, "modality")):
        row_id = note_id if str(table) == "note" else None
        before = stored(table)
        row_id = row_id or db.session.scalar(sa.select(AuditEvent.id)).hex
        db.session.remove()
        other = sqlite3.connect(database_url.database, isolation_level=None)
        try:
            for statement in statements(table, column, sa.Uuid().python_type(row_id)):
                with pytest.raises(sqlite3.DatabaseError, match="never change"):
                    other.execute(statement)
            if str(table) == "note":
                for statement in TAKEOVERS:
                    taking = statement.format(signed=note_id, draft=draft_id)
                    with pytest.raises(sqlite3.DatabaseError, match="never change"):
                        other.execute(taking)
        finally:
            other.close()
        assert stored(table) == before


def test_event_with_the_same_dedup_key_is_not_replaced(signed):
    with transaction() as session:
        entry = dict(session.execute(sa.select(AuditEvent.__table__)).mappings().first())
        session.execute(
            sa.insert(AuditEvent.__table__).values(  # type: ignore[arg-type]
                entry | {"id": new_id(), "dedup_key": "q", "stream": None, "seq": None}
            )
        )
    before = stored(AuditEvent.__table__)
    verb = "INSERT OR REPLACE" if db.engine.dialect.name == "sqlite" else "INSERT"
    forged = columns(AuditEvent.__table__, id=f"'{hexed(new_id())}'", action="'forged'")
    statement = (
        f"{verb} INTO audit_event ({names(AuditEvent.__table__)}) "
        f"SELECT {forged} FROM audit_event WHERE dedup_key = 'q'"
    )
    try:
        with separate_transaction() as connection:
            connection.execute(sa.text(statement))
    except sa.exc.IntegrityError:
        assert db.engine.dialect.name == "postgresql"
    assert stored(AuditEvent.__table__) == before


def test_draft_note_can_be_changed_and_deleted(signed):
    _, draft_id = signed
    with transaction() as session:
        session.execute(sa.update(Note).where(Note.id == draft_id).values(modality="phone"))
    assert db.session.scalar(sa.select(Note.modality).where(Note.id == draft_id)) == "phone"
    with transaction() as session:
        session.execute(sa.delete(Note).where(Note.id == draft_id))
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Note)) == 1


def test_clients_of_a_list_refuse_every_change(signed):
    """Nobody can take a client out of a list that the log names, nor put another one in their place."""
    coach, client_id, other = staff.add("coach2"), new_id(), new_id()
    with reads.collecting():
        reads.note_shown([client_id])
        record_reads(coach, Action.CASE_READ)
    table = AuditEventClient.__table__
    before = stored(table)
    assert len(before) == 1
    where = f"WHERE client_id = '{hexed(client_id)}'"
    changed = columns(table, client_id=f"'{hexed(other)}'")
    tried = [
        f"UPDATE audit_event_client SET client_id = '{hexed(other)}' {where}",
        f"DELETE FROM audit_event_client {where}",
        "DELETE FROM audit_event_client",
    ]
    if db.engine.dialect.name == "sqlite":
        tried += [
            f"UPDATE OR REPLACE audit_event_client SET client_id = '{hexed(other)}' {where}",
            f"REPLACE INTO audit_event_client ({names(table)}) SELECT {names(table)} FROM audit_event_client",
            (
                f"INSERT OR REPLACE INTO audit_event_client (rowid, {names(table)}) "
                f"SELECT rowid, {changed} FROM audit_event_client {where}"
            ),
        ]
    else:
        tried += ["TRUNCATE audit_event_client", "TRUNCATE audit_event CASCADE"]
    for statement in tried:
        with (
            pytest.raises(sa.exc.DBAPIError, match="never change"),
            separate_transaction() as connection,
        ):
            connection.execute(sa.text(statement))
    assert stored(table) == before
