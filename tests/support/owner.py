"""What somebody who owns the database can do to it, past the application."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core import settings
from caseapp.core.database import db

if TYPE_CHECKING:
    from collections.abc import Iterator


def owner_url() -> sa.URL | str:
    """Return the owner's address: the settings' own, or else that of everybody."""
    return settings.active().owner_database_url or db.engine.url


@contextmanager
def owner_connection() -> Iterator[sa.Connection]:
    """Open a transaction of the database's owner, on a connection of their own."""
    db.session.rollback()
    engine = sa.create_engine(owner_url(), poolclass=sa.NullPool)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def analyze() -> None:
    """Gather statistics, and let the application's connections see them."""
    with owner_connection() as connection:
        connection.exec_driver_sql("ANALYZE")
    db.engine.dispose()
