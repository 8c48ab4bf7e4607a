"""A copy of the whole database, as somebody restores it from a backup."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import sqlalchemy as sa

from caseapp.core.database import db


def copy_sqlite(source, target):
    """Copy a database into another file, which may be open."""
    with closing(sqlite3.connect(source)) as one, closing(sqlite3.connect(target)) as other:
        one.backup(other)


class Copy:
    """A copy of the whole database, which can be put back in its place."""

    def __init__(self, folder):
        """Copy it: on SQLite into a file, on PostgreSQL into another database with all rows, rights and guards."""
        self.url, self.file = db.engine.url, folder / "yesterday.db"
        self.name, self.kept = self.url.database, f"{self.url.database}_y"
        db.session.remove()
        if self.is_sqlite:
            copy_sqlite(self.name, self.file)
        else:
            self._on_server(f'CREATE DATABASE "{self.kept}" TEMPLATE "{self.name}"')

    @property
    def is_sqlite(self):
        return self.url.get_backend_name() == "sqlite"

    def restore(self):
        db.session.remove()
        if self.is_sqlite:
            # Page by page, so that no connection that is open sees half of one and half of the other.
            copy_sqlite(self.file, self.name)
            db.engine.dispose()
            return
        self._on_server(
            f'DROP DATABASE "{self.name}" WITH (FORCE)',
            f'CREATE DATABASE "{self.name}" TEMPLATE "{self.kept}"',
            f'DROP DATABASE "{self.kept}"',
        )

    def _on_server(self, *statements):
        db.engine.dispose()
        server = sa.create_engine(self.url.set(database="postgres"), isolation_level="AUTOCOMMIT")
        with server.connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)
        server.dispose()
