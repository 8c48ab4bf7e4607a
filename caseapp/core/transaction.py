"""Transactions: the only module that commits."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.orm.exc import StaleDataError

from caseapp.core.database import db, drop_kept, writing_connection
from caseapp.core.errors import Stale

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from uuid import UUID

    from sqlalchemy.engine import Connection
    from sqlalchemy.orm import Session

    WriteRows = Callable[[Connection, Sequence[dict[str, Any]]], object]

T = TypeVar("T")
BEGUN = "begun"
"""SQLite's savepoint at the beginning of a transaction."""
LONGEST_WAIT_SECONDS = 5
# Options that make SQLite take the write lock at once, and PostgreSQL begin a transaction.
WRITES: dict[str, dict[str, Any]] = {
    "sqlite": {"writes": True},
    "postgresql": {"isolation_level": "READ COMMITTED"},
}


@dataclass
class _Transaction:
    """What an open transaction collects.

    These are rows to write at its end, functions to run after it, what is written if it is refused, and the ids of the
    clients it has locked.
    """

    last: dict[WriteRows, list[dict[str, Any]]] = field(default_factory=dict)
    callbacks: list[Callable[[], None]] = field(default_factory=list)
    if_refused: list[Callable[[Connection], None]] = field(default_factory=list)
    locked: set[UUID] = field(default_factory=set)


_open: ContextVar[_Transaction | None] = ContextVar("open_transaction", default=None)
_reads_for_change: ContextVar[bool] = ContextVar("reads_for_change", default=False)


@contextmanager
def transaction() -> Iterator[Session]:
    """Run one change completely or not at all.

    Expires what was read before, takes the write lock at once, commits at the end and then runs the functions that
    `after_commit` collected. After an error nothing of it stays but what `write_if_refused` was given. Raises
    RuntimeError inside another transaction, and Stale when a row has a newer version than the one the change started
    from.
    """
    if _open.get() is not None:
        raise RuntimeError("A transaction is already open.")
    opened = _Transaction()
    token = _open.set(opened)
    session = db.session()
    left: list[Callable[[], None]] = []
    try:
        session.expire_all()
        drop_kept(session)
        connection = _begin_writing(session)
        writing_connection.set(connection)
        yield session
        if opened.last:
            # Whatever waits for another transaction comes before; so writers of the same rows wait for nothing else.
            session.flush()
            for write, rows in opened.last.items():
                write(writing_connection.get() or session.connection(), rows)
        session.commit()
        left = opened.callbacks
    except StaleDataError as error:
        session.rollback()
        raise Stale from error
    except BaseException:
        try:
            if opened.if_refused:
                _write_if_refused(connection, opened.if_refused)
        finally:
            session.rollback()
        raise
    finally:
        drop_kept(session)
        writing_connection.set(None)
        _open.reset(token)
        for call in left:
            call()


def _begin_writing(session: Session) -> Connection:
    """Switch from reading to writing.

    SQLite would keep its old snapshot and refuse the first write, so a new transaction begins on the same connection
    with the write lock. PostgreSQL reads outside any transaction and begins one only now.
    """
    if _changed(session):
        session.rollback()
    dialect = session.get_bind().dialect.name
    if session.in_transaction() and dialect == "sqlite":
        connection = session.connection()
        connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        session.commit()
        connection = session.connection(execution_options=WRITES[dialect])
    if dialect == "sqlite":
        # The driver itself: it is part of beginning, and costs some microseconds.
        connection.connection.driver_connection.execute(f"SAVEPOINT {BEGUN}")  # type: ignore[union-attr]
    return connection


def _write_if_refused(
    connection: Connection, writes: Sequence[Callable[[Connection], None]]
) -> None:
    """Write what stays of a transaction that is refused, while it still holds its locks.

    SQLite keeps its one write lock when a transaction goes back to its beginning. PostgreSQL would give back the locks
    of rows, so there another connection writes, outside the pool, in which every connection may wait for these locks.
    """
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"ROLLBACK TO {BEGUN}")
        for write in writes:
            write(connection)
        connection.exec_driver_sql("COMMIT")
        return
    engine = sa.create_engine(db.engine.url, poolclass=sa.NullPool)
    with engine.begin() as other:
        other.exec_driver_sql(f"SET LOCAL lock_timeout = '{LONGEST_WAIT_SECONDS}s'")
        for write in writes:
            write(other)


@contextmanager
def reading_for_change() -> Iterator[None]:
    """Find only what a change would find, as for a page that asks for one."""
    token = _reads_for_change.set(True)
    try:
        yield
    finally:
        _reads_for_change.reset(token)


def is_changing() -> bool:
    """Tell whether what is read now is read for a change: a transaction is open, or a page asks for one."""
    return _open.get() is not None or _reads_for_change.get()


def locked_clients() -> set[UUID]:
    """Return the ids of the clients that the open transaction has locked, for whoever takes another lock.

    Raises RuntimeError outside `transaction()`: there, PostgreSQL would give a lock back at once.
    """
    opened = _open.get()
    if opened is None:
        raise RuntimeError("A lock needs an open transaction.")
    return opened.locked


def write_at_end(write: WriteRows, row: dict[str, Any]) -> None:
    """Have `write` write a row at the end of the open transaction, in one call with the others that were given for it.

    Raises RuntimeError outside `transaction()`.
    """
    opened = _open.get()
    if opened is None:
        raise RuntimeError("write_at_end needs an open transaction.")
    opened.last.setdefault(write, []).append(row)


def after_commit(call: Callable[[], None]) -> None:
    """Run `call` after the open transaction has been committed; a rollback drops it."""
    opened = _open.get()
    if opened is None:
        raise RuntimeError("after_commit needs an open transaction.")
    opened.callbacks.append(call)


def write_if_refused(write: Callable[[Connection], None]) -> None:
    """Have `write` write something that stays when the open transaction is refused now; a commit drops it.

    It is written, and committed, before the transaction gives back its locks: whoever waits for one of these finds what
    was counted under it. `write` sees nothing that the transaction changed, and must not need a row that it has locked
    for update. Call it right before the refusal. Raises RuntimeError outside `transaction()`.
    """
    opened = _open.get()
    if opened is None:
        raise RuntimeError("write_if_refused needs an open transaction.")
    opened.if_refused.append(write)


@contextmanager
def separate_transaction() -> Iterator[Connection]:
    """Write while a page is being read (read events, refusals, failed sign-ins); loaded entities stay loaded.

    Raises RuntimeError while `transaction()` is open, since it would commit half of that one.
    """
    if _open.get() is not None:
        raise RuntimeError("A separate transaction would end the open one.")
    session = db.session()
    try:
        yield _begin_writing(session)
        session.commit()
    except BaseException:
        session.rollback()
        raise


def write_separately(write: Callable[[Connection], T]) -> T:
    """Write while a page is being read, with statements of which each may be committed by itself; return the result.

    PostgreSQL, which reads outside any transaction, does commit each: two round trips fewer than
    `separate_transaction` needs. Raises RuntimeError while `transaction()` is open.
    """
    if db.engine.dialect.name == "sqlite":
        with separate_transaction() as connection:
            return write(connection)
    if _open.get() is not None:
        raise RuntimeError("A separate statement would be part of the open transaction.")
    return write(db.session.connection())


def run_separately(statement: sa.Executable, values: dict[str, Any]) -> None:
    """Do as `write_separately` with one statement."""
    write_separately(lambda connection: connection.execute(statement, values))


@event.listens_for(db.session, "before_flush")
def _refuse_outside(*_given: object) -> None:
    """Refuse a change outside a transaction: on PostgreSQL it would be committed at once."""
    if _open.get() is None:
        raise RuntimeError("Changes need a transaction.")


def _changed(session: Session) -> bool:
    return bool(session.new or session.dirty or session.deleted)
