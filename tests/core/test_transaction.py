from __future__ import annotations

import sqlite3

import pytest
import sqlalchemy as sa

from caseapp.core.clock import now
from caseapp.core.database import SQLITE_PRAGMAS, configure_engine, db
from caseapp.core.errors import Stale
from caseapp.core.transaction import (
    after_commit,
    separate_transaction,
    transaction,
    write_if_refused,
)
from caseapp.domain.practice.models import Practice, PracticeLogo
from caseapp.domain.practice.queries import get_logo, get_practice

pytestmark = pytest.mark.both(every_set=True)


def name():
    db.session.rollback()
    return db.session.scalar(sa.select(Practice.name))


def test_transaction_commits(app):
    with transaction():
        get_practice().name = "New name"
    assert name() == "New name"


@pytest.mark.parametrize("fault", [LookupError, KeyboardInterrupt])
def test_transaction_rolls_back_on_any_error(app, fault):
    before = name()
    with pytest.raises(fault), transaction() as session:
        get_practice().name = "Half"
        session.flush()
        raise fault
    assert name() == before


def test_nested_transaction_is_refused_and_the_outer_continues(app):
    with transaction():
        get_practice().name = "Outer"
        with pytest.raises(RuntimeError, match="already open"), transaction():
            pass
        with pytest.raises(RuntimeError, match="would end"), separate_transaction():
            pass
    assert name() == "Outer"


def test_transaction_works_after_a_refused_nested_one(app):
    with pytest.raises(RuntimeError), transaction(), transaction():
        pass
    with transaction():
        get_practice().name = "Later"
    assert name() == "Later"


def test_older_version_raises_stale(app):
    row = get_practice()
    with separate_transaction() as other:
        other.execute(sa.update(Practice).values(name="Theirs", version=Practice.version + 1))
    with pytest.raises(Stale), transaction() as session:
        mine = session.get(Practice, 1)
        sa.orm.attributes.set_committed_value(mine, "version", row.version - 1)
        mine.name = "Mine"
    assert name() == "Theirs"


def test_transaction_drops_the_snapshot_of_an_earlier_read(app):
    assert name() != "Theirs"
    get_practice()
    with separate_transaction() as other:
        other.execute(sa.update(Practice).values(name="Theirs"))
    with transaction() as session:
        assert session.scalar(sa.select(Practice.name)) == "Theirs"


def test_after_commit_runs_callbacks_in_order(app):
    ran = []
    with transaction():
        get_practice().name = "Safe on disk"
        after_commit(lambda: ran.append(name()))
        after_commit(lambda: ran.append("second"))
        assert ran == []
    assert ran == ["Safe on disk", "second"]


def test_rollback_drops_after_commit_callbacks(app):
    ran = []
    with pytest.raises(LookupError), transaction():
        after_commit(lambda: ran.append("never"))
        raise LookupError
    with transaction():
        pass
    assert ran == []
    with pytest.raises(RuntimeError, match="open transaction"):
        after_commit(print)


def test_refusal_leaves_only_what_was_to_be_written_then(app):
    def write(connection):
        connection.execute(sa.update(Practice).values(name="Counted"))

    def fail(connection):
        write(connection)
        raise ZeroDivisionError

    with pytest.raises(LookupError), transaction() as session:
        session.execute(
            sa.insert(PracticeLogo).values(id=1, picture=b"", alternative="", updated_at=now())
        )
        write_if_refused(write)
        raise LookupError
    assert (name(), get_logo()) == ("Counted", None)
    with transaction():
        write_if_refused(write)
        get_practice().name = "Whole"
    assert name() == "Whole"
    # What can't be counted isn't told either.
    with pytest.raises(ZeroDivisionError), transaction():
        write_if_refused(fail)
        raise LookupError
    assert name() == "Whole"
    with pytest.raises(RuntimeError):
        write_if_refused(write)


def test_separate_transaction_is_atomic(app):
    with separate_transaction() as connection:
        connection.execute(sa.update(Practice).values(name="Aside"))
    assert name() == "Aside"
    with pytest.raises(LookupError), separate_transaction() as connection:
        connection.execute(sa.update(Practice).values(name="Half"))
        raise LookupError
    assert name() == "Aside"


ONLY_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@ONLY_SQLITE
def test_sqlite_takes_the_write_lock_at_once(app):
    other = sqlite3.connect(db.engine.url.database, timeout=0, isolation_level=None)
    try:
        with transaction(), pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        other.execute("BEGIN IMMEDIATE")
        other.execute("ROLLBACK")
        get_practice()
        other.execute("BEGIN IMMEDIATE")
        other.execute("ROLLBACK")
    finally:
        other.close()


@ONLY_SQLITE
def test_every_sqlite_connection_has_our_pragmas(app):
    with db.engine.connect() as first, db.engine.connect() as second:
        for connection in (first, second):
            found = {
                pragma: str(connection.exec_driver_sql(f"PRAGMA {pragma}").scalar())
                for pragma in SQLITE_PRAGMAS
            }
            assert found == SQLITE_PRAGMAS


def test_missing_pragma_stops_the_start():
    engine = sa.create_engine("sqlite://")
    with pytest.raises(RuntimeError, match="journal_mode"):
        configure_engine(engine)
    engine.dispose()


def test_change_outside_a_transaction_is_refused(app):
    before = name()
    get_practice().name = "Slipped"
    with pytest.raises(RuntimeError, match="Changes need a transaction"):
        db.session.flush()
    assert name() == before
