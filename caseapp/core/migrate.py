"""Migrations: one transaction for all that are missing, on SQLite as on PostgreSQL."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from caseapp.core import settings
from caseapp.core.settings import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import URL, Connection

# How long a migration waits for another one, or for readers and writers of a table, before it gives up.
LOCK_TIMEOUT_SECONDS = 30
# How long one statement of a migration may run on PostgreSQL.
STATEMENT_TIMEOUT_SECONDS = 900
# The PostgreSQL advisory lock that lets one migration run at a time.
ADVISORY_LOCK = 0x63617365


def upgrade(url: URL | str | None = None, revision: str = "head") -> None:
    """Run every migration up to `revision` that the database has not had, all of them or none.

    Without a URL the database of the settings is meant.
    """
    command.upgrade(alembic_config(url), revision)


def downgrade(url: URL | str | None, revision: str) -> None:
    """Run migrations backwards to `revision`, all of them or none."""
    command.downgrade(alembic_config(url), revision)


def alembic_config(url: URL | str | None = None) -> Config:
    """Return Alembic's configuration from pyproject.toml for a database."""
    config = Config(toml_file=ROOT / "pyproject.toml")
    config.attributes["url"] = url
    return config


def is_current(connection: Connection) -> bool:
    """Tell whether a database has had every migration."""
    newest = ScriptDirectory.from_config(alembic_config()).get_current_head()
    return MigrationContext.configure(connection).get_current_revision() == newest


@contextmanager
def migration_connection(url: URL | str | None = None) -> Iterator[Connection]:
    """Connect for migrations, as the owner of the tables: one transaction, one at a time, bounded waiting for locks.

    SQLite commits each change of a table at once unless a transaction was begun before it, so one is begun with the
    writer's lock; what a killed process left unfinished is rolled back by the next one that opens the file. Foreign
    keys are not enforced while it runs: rebuilding a parent table would delete its children. `check_references` does.
    """
    if url is None:
        current = settings.active()
        url = current.owner_database_url or current.database_url
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    sqlite = engine.dialect.name == "sqlite"
    if sqlite:
        sa.event.listen(engine, "connect", _prepare_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
    try:
        with engine.begin() as connection:
            if not sqlite:
                _limit_postgresql(connection)
            yield connection
    finally:
        engine.dispose()


def analyze() -> None:
    """Gather the statistics without which the planners misjudge tables that have just been filled."""
    with migration_connection() as connection:
        connection.exec_driver_sql("ANALYZE")


def check_references(connection: Connection) -> None:
    """Make sure that no reference on SQLite points at a missing row.

    Raises RuntimeError, which rolls the migration back.
    """
    if connection.dialect.name != "sqlite":
        return
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    if broken:
        tables = sorted({row[0] for row in broken})
        raise RuntimeError(
            f"The migration left rows with broken references in: {', '.join(tables)}."
        )


def _prepare_sqlite(connection: Any, _record: object) -> None:  # noqa: ANN401 - a driver's own type
    connection.isolation_level = None
    for pragma in (
        "foreign_keys=OFF",
        "synchronous=FULL",
        f"busy_timeout={LOCK_TIMEOUT_SECONDS * 1000}",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _limit_postgresql(connection: Connection) -> None:
    for name, seconds in (
        ("lock_timeout", LOCK_TIMEOUT_SECONDS),
        ("statement_timeout", STATEMENT_TIMEOUT_SECONDS),
    ):
        connection.exec_driver_sql(f"SET LOCAL {name} = '{seconds}s'")
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({ADVISORY_LOCK})")
