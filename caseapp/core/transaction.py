"""The only places where anything is committed."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from sqlalchemy import event
from sqlalchemy.orm.exc import StaleDataError

from caseapp.core.database import db
from caseapp.core.errors import Stale

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy.engine import Connection
    from sqlalchemy.orm import Session

# SQLite is told to take the writer's lock, PostgreSQL to begin a transaction at all.
WRITES: dict[str, dict[str, Any]] = {
    "sqlite": {"writes": True},
    "postgresql": {"isolation_level": "READ COMMITTED"},
}
_open: ContextVar[list[Callable[[], None]] | None] = ContextVar("open_transaction", default=None)


@contextmanager
def transaction() -> Iterator[Session]:
    """Run one change whole or not at all.

    Drops what was only read, takes the writer's lock at once, commits at the end and then runs what `after_commit`
    collected. Raises RuntimeError when opened inside another one, and Stale when a row had a newer version than the
    one the change started from.
    """
    if _open.get() is not None:
        raise RuntimeError("A transaction is already open.")
    waiting: list[Callable[[], None]] = []
    token = _open.set(waiting)
    session = db.session()
    try:
        session.expire_all()
        _begin_writing(session)
        yield session
        session.commit()
    except StaleDataError as error:
        session.rollback()
        raise Stale from error
    except BaseException:
        session.rollback()
        raise
    finally:
        _open.reset(token)
    for call in waiting:
        call()


def _begin_writing(session: Session) -> Connection:
    """Go over from reading to writing.

    SQLite would read on in its old snapshot and refuse the first write, so it begins anew, on the connection that is
    there, with the writer's lock. PostgreSQL reads outside any transaction and begins one only now.
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


def after_commit(call: Callable[[], None]) -> None:
    """Run `call` once the open transaction is safely on disk; a rollback forgets it."""
    waiting = _open.get()
    if waiting is None:
        raise RuntimeError("after_commit needs an open transaction.")
    waiting.append(call)


@contextmanager
def side_transaction() -> Iterator[Connection]:
    """Write in the midst of a page's reading: sightings, refusals, failed sign-ins; what the page loaded stays loaded.

    Raises RuntimeError while `transaction()` is open, since it would commit that one's half.
    """
    if _open.get() is not None:
        raise RuntimeError("A side transaction would end the open one.")
    session = db.session()
    try:
        yield _begin_writing(session)
        session.commit()
    except BaseException:
        session.rollback()
        raise


@event.listens_for(db.session, "before_flush")
def _refuse_outside(*_given: object) -> None:
    """Let no change slip out of a page that only reads: on PostgreSQL it would stand at once."""
    if _open.get() is None:
        raise RuntimeError("A change belongs in a transaction.")


def _changed(session: Session) -> bool:
    return bool(session.new or session.dirty or session.deleted)
