"""The only places where anything is committed."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from sqlalchemy.orm import Session
from sqlalchemy.orm.exc import StaleDataError

from caseapp.core.database import db
from caseapp.core.errors import Stale

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_open: ContextVar[list[Callable[[], None]] | None] = ContextVar("open_transaction", default=None)


@contextmanager
def transaction() -> Iterator[Session]:
    """Run one change whole or not at all.

    Drops the snapshot that a read may have opened, takes the writer's lock at once, commits at the end and
    then runs what `after_commit` collected. Raises RuntimeError when opened inside another one, and Stale
    when a row had a newer version than the one the change started from.
    """
    if _open.get() is not None:
        raise RuntimeError("A transaction is already open.")
    waiting: list[Callable[[], None]] = []
    token = _open.set(waiting)
    session = db.session()
    _let_go(session)
    try:
        session.connection(execution_options={"writes": True})
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


def after_commit(call: Callable[[], None]) -> None:
    """Run `call` once the open transaction is safely on disk; a rollback forgets it."""
    waiting = _open.get()
    if waiting is None:
        raise RuntimeError("after_commit needs an open transaction.")
    waiting.append(call)


@contextmanager
def side_transaction() -> Iterator[Session]:
    """Write beside a page's read without disturbing it: sightings, refusals, failed sign-ins.

    It is a connection of its own, so it must never be opened while `transaction()` is.
    """
    if _open.get() is not None:
        raise RuntimeError("A side transaction would wait for the open one.")
    with Session(db.engine, join_transaction_mode="create_savepoint") as session:
        session.connection(execution_options={"writes": True})
        yield session
        session.commit()


def end_reading() -> None:
    """Let go of what a request only read by COMMIT, since psycopg forgets its prepared plans at every ROLLBACK.

    Does nothing while `transaction()` is open; what was changed outside one is rolled back.
    """
    if _open.get() is None:
        _let_go(db.session())


def _let_go(session: Session) -> None:
    """End what was only read, and forget what it loaded; whatever was changed outside a transaction is undone."""
    if not session.in_transaction():
        return
    if session.new or session.dirty or session.deleted:
        session.rollback()
    else:
        session.expire_all()
        session.commit()
