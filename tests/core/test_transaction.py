from __future__ import annotations

import sqlite3

import pytest
import sqlalchemy as sa

from caseapp.core.database import SQLITE_PRAGMAS, db, prepare
from caseapp.core.errors import Stale
from caseapp.core.transaction import after_commit, side_transaction, transaction
from caseapp.domain.practice.models import Practice
from caseapp.domain.practice.queries import the_practice

pytestmark = pytest.mark.both(every_set=True)


def name():
    db.session.rollback()
    return db.session.scalar(sa.select(Practice.name))


def test_a_change_is_kept(app):
    with transaction():
        the_practice().name = "New name"
    assert name() == "New name"


@pytest.mark.parametrize("fault", [LookupError, KeyboardInterrupt])
def test_a_fault_takes_everything_back(app, fault):
    before = name()
    with pytest.raises(fault), transaction() as session:
        the_practice().name = "Half"
        session.flush()
        raise fault
    assert name() == before


def test_a_second_one_inside_is_refused_and_the_first_goes_on(app):
    with transaction():
        the_practice().name = "Outer"
        with pytest.raises(RuntimeError, match="already open"), transaction():
            pass
        with pytest.raises(RuntimeError, match="would end"), side_transaction():
            pass
    assert name() == "Outer"


def test_a_refused_inner_one_does_not_close_the_door_for_good(app):
    with pytest.raises(RuntimeError), transaction(), transaction():
        pass
    with transaction():
        the_practice().name = "Later"
    assert name() == "Later"


def test_an_older_version_is_stale(app):
    row = the_practice()
    with side_transaction() as other:
        other.execute(sa.update(Practice).values(name="Theirs", version=Practice.version + 1))
    with pytest.raises(Stale), transaction() as session:
        mine = session.get(Practice, 1)
        sa.orm.attributes.set_committed_value(mine, "version", row.version - 1)
        mine.name = "Mine"
    assert name() == "Theirs"


def test_the_snapshot_of_an_earlier_read_is_dropped(app):
    assert name() != "Theirs"
    the_practice()
    with side_transaction() as other:
        other.execute(sa.update(Practice).values(name="Theirs"))
    with transaction() as session:
        assert session.scalar(sa.select(Practice.name)) == "Theirs"


def test_what_waits_for_the_commit_runs_after_it_in_order(app):
    ran = []
    with transaction():
        the_practice().name = "Safe on disk"
        after_commit(lambda: ran.append(name()))
        after_commit(lambda: ran.append("second"))
        assert ran == []
    assert ran == ["Safe on disk", "second"]


def test_a_rollback_forgets_what_waited(app):
    ran = []
    with pytest.raises(LookupError), transaction():
        after_commit(lambda: ran.append("never"))
        raise LookupError
    with transaction():
        pass
    assert ran == []
    with pytest.raises(RuntimeError, match="open transaction"):
        after_commit(print)


def test_a_side_transaction_is_kept_whole_or_not_at_all(app):
    with side_transaction() as connection:
        connection.execute(sa.update(Practice).values(name="Aside"))
    assert name() == "Aside"
    with pytest.raises(LookupError), side_transaction() as connection:
        connection.execute(sa.update(Practice).values(name="Half"))
        raise LookupError
    assert name() == "Aside"


ONLY_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@ONLY_SQLITE
def test_sqlite_takes_the_writers_lock_before_the_first_word(app):
    other = sqlite3.connect(db.engine.url.database, timeout=0, isolation_level=None)
    try:
        with transaction(), pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        other.execute("BEGIN IMMEDIATE")
        other.execute("ROLLBACK")
        the_practice()
        other.execute("BEGIN IMMEDIATE")
        other.execute("ROLLBACK")
    finally:
        other.close()


@ONLY_SQLITE
def test_every_connection_to_sqlite_has_our_pragmas(app):
    with db.engine.connect() as first, db.engine.connect() as second:
        for connection in (first, second):
            found = {
                pragma: str(connection.exec_driver_sql(f"PRAGMA {pragma}").scalar())
                for pragma in SQLITE_PRAGMAS
            }
            assert found == SQLITE_PRAGMAS


def test_a_pragma_that_does_not_take_stops_the_start():
    engine = sa.create_engine("sqlite://")
    with pytest.raises(RuntimeError, match="journal_mode"):
        prepare(engine)
    engine.dispose()


def test_a_change_outside_a_transaction_is_refused_before_it_reaches_the_database(app):
    before = name()
    the_practice().name = "Slipped"
    with pytest.raises(RuntimeError, match="belongs in a transaction"):
        db.session.flush()
    assert name() == before
