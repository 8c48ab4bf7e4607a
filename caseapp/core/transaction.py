"""Transactions: the only module that commits."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import event
from sqlalchemy.orm.exc import StaleDataError

from caseapp.core.database import db, drop_kept, writing_connection
from caseapp.core.errors import Stale

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from uuid import UUID

    import sqlalchemy as sa
    from sqlalchemy.engine import Connection
    from sqlalchemy.orm import Session

    WriteRows = Callable[[Connection, Sequence[dict[str, Any]]], object]

T = TypeVar("T")
# Options that make SQLite take the write lock at once, and PostgreSQL begin a transaction.
WRITES: dict[str, dict[str, Any]] = {
    "sqlite": {"writes": True},
    "postgresql": {"isolation_level": "READ COMMITTED"},
}


@dataclass
class _Transaction:
    """What an open transaction collects.

    These are rows to write at its end, functions to run after it, and the ids of the clients it has locked.
    """

    last: dict[WriteRows, list[dict[str, Any]]] = field(default_factory=dict)
    callbacks: list[Callable[[], None]] = field(default_factory=list)
    rollback_callbacks: list[Callable[[], None]] = field(default_factory=list)
    locked: set[UUID] = field(default_factory=set)


_open: ContextVar[_Transaction | None] = ContextVar("open_transaction", default=None)
_reads_for_change: ContextVar[bool] = ContextVar("reads_for_change", default=False)


@contextmanager
def transaction() -> Iterator[Session]:
    """Run one change completely or not at all.

    Expires what was read before, takes the write lock at once, commits at the end and then runs the functions that
    `after_commit` collected, or after an error those of `after_rollback`. Raises RuntimeError inside another
    transaction, and Stale when a row has a newer version than the one the change started from.
    """
    if _open.get() is not None:
        raise RuntimeError("A transaction is already open.")
    opened = _Transaction()
    token = _open.set(opened)
    session = db.session()
    left = opened.rollback_callbacks
    try:
        session.expire_all()
        drop_kept(session)
        writing_connection.set(_begin_writing(session))
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
        return connection
    session.commit()
    return session.connection(execution_options=WRITES[dialect])


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


def after_rollback(call: Callable[[], None]) -> None:
    """Run `call` after the open transaction has been rolled back; a commit drops it."""
    opened = _open.get()
    if opened is None:
        raise RuntimeError("after_rollback needs an open transaction.")
    opened.rollback_callbacks.append(call)


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
