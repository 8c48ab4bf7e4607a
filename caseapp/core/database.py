"""The database: declarative base, UTC times, connection settings for SQLite and PostgreSQL."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import wraps
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar, cast

import psycopg
import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.orm import DeclarativeBase, registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from sqlalchemy.engine import Connection, Dialect, Engine, ExceptionContext
    from sqlalchemy.orm import InstrumentedAttribute, Session
    from sqlalchemy.pool import ConnectionPoolEntry

SQLITE_PRAGMAS = {
    "journal_mode": "wal",
    "synchronous": "2",
    "busy_timeout": "10000",
    "foreign_keys": "1",
    "recursive_triggers": "1",
    "trusted_schema": "0",
    "secure_delete": "1",
    "cache_size": "-65536",
    "mmap_size": "268435456",
}

# A PostgreSQL connection used this recently is not pinged again.
PING_AFTER_SECONDS = 5


class UTCTime(sa.TypeDecorator[datetime]):
    """A column of UTC times; a time without a zone is refused."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert an aware time to UTC before it is stored."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("A time needs a time zone.")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return every stored time as UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


JSONType = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def one_of(codes: Iterable[str]) -> dict[str, Any]:
    """Describe a column's codes for `mapped_column(info=…)`; the table gets a CHECK for them."""
    return {"codes": tuple(codes)}


def between(minimum: int, maximum: int | None = None) -> dict[str, Any]:
    """Describe a column's smallest and largest number for `mapped_column(info=…)`; the table gets a CHECK for them."""
    return {"range": (minimum, maximum)}


def unconstrained(reason: str) -> dict[str, Any]:
    """Say in `mapped_column(info=…)` why a column has neither a foreign key nor a CHECK."""
    return {"unconstrained": reason}


APPEND_ONLY = {"append_only": True}
"""Says in a table's `info` that its rows never change: triggers refuse it, and so do the rights of the application."""
GUARDED = {"guarded": True}
"""Says in a table's `info` that triggers judge each change of its rows, which the application has the right to make."""
VERSION_TABLE = "alembic_version"
"""Alembic's own table, which only migrations change."""


def list_append_only() -> list[str]:
    """List the names of the tables whose rows never change."""
    tables = Model.metadata.tables.items()
    return sorted(name for name, table in tables if table.info.get("append_only"))


def list_guarded() -> list[str]:
    """List the names of the tables whose rows triggers keep as they are, always or but for some changes."""
    tables = Model.metadata.tables.items()
    return sorted({*list_append_only(), *(name for name, one in tables if one.info.get("guarded"))})


PRINTED = {"printed": True}
"""Says in `mapped_column(info=…)` that PDFs show a text; schemas read it with `core.schemas.PrintedString`."""


def private(when: str = "client_id IS NOT NULL") -> dict[str, Any]:
    """Say in `mapped_column(info=…)` that a column holds what a client wrote for nobody else.

    A row with a `writing_key_id` is sealed to that writing key. One without it that fulfils the SQL condition `when`
    was sealed under the client's key by a release before the writing keys.
    """
    return {"private": when}


def max_length(column: InstrumentedAttribute[str] | InstrumentedAttribute[str | None]) -> int:
    """Return the number of characters that a column holds, so that schemas ask for the same."""
    length: int = column.type.length
    return length


def _add_checks(table: sa.Table) -> None:
    """Add the CHECKs of codes and ranges, and on SQLite, which ignores it, of every text's length."""
    for column in table.columns:
        if "codes" in column.info:
            sa.CheckConstraint(column.in_(column.info["codes"]), name=column.name)
        elif "range" in column.info:
            minimum, maximum = column.info["range"]
            if minimum == maximum:
                condition = column == minimum
            elif maximum is None:
                condition = column >= minimum
            else:
                condition = column.between(minimum, maximum)
            sa.CheckConstraint(condition, name=column.name)
        elif isinstance(column.type, sa.String) and column.type.length:
            length = sa.CheckConstraint(
                sa.func.length(column) <= column.type.length, name=f"{column.name}_length"
            )
            length.ddl_if(dialect="sqlite")


M = TypeVar("M", bound="Model")


class Model(DeclarativeBase):
    """The declarative base of all models; `info` of a column says what its values are, and becomes CHECKs."""

    def __init_subclass__(cls, **options: Any) -> None:  # noqa: ANN401 - SQLAlchemy's own
        """Map the class and constrain its columns."""
        super().__init_subclass__(**options)
        _add_checks(cls.__table__)  # type: ignore[arg-type]

    registry = registry(
        metadata=sa.MetaData(
            naming_convention={
                "ix": "ix_%(table_name)s_%(column_0_N_name)s",
                "uq": "uq_%(table_name)s_%(column_0_N_name)s",
                "ck": "ck_%(table_name)s_%(constraint_name)s",
                "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
                "pk": "pk_%(table_name)s",
            }
        ),
        type_annotation_map={
            datetime: UTCTime(),
            dict[str, Any]: JSONType,
            list[str]: JSONType,
            list[dict[str, Any]]: JSONType,
        },
    )


db = SQLAlchemy(
    model_class=Model, disable_autonaming=True, session_options={"expire_on_commit": False}
)


writing_connection: ContextVar[Connection | None] = ContextVar("writing_connection", default=None)
"""The session's connection while `core.transaction.transaction` is open: asking the session for it takes long."""


def run(statement: sa.Executable, **values: Any) -> sa.CursorResult[Any]:  # noqa: ANN401 - bound values
    """Run a prebuilt statement on the session's connection and return rows, not entities.

    Building a statement and loading entities cost several times as much as running it, so the busiest paths do neither.
    """
    return (writing_connection.get() or db.session.connection()).execute(statement, values)


def run_for_each(statement: sa.Executable, rows: Sequence[dict[str, Any]]) -> None:
    """Run a prebuilt statement once for each of some rows, which are at least one, in one call of the driver."""
    (writing_connection.get() or db.session.connection()).execute(statement, rows)


@event.listens_for(db.session, "after_rollback")
def _forget_connection(_session: Session) -> None:
    """Forget a connection that the session has given back."""
    writing_connection.set(None)


T = TypeVar("T")
KEPT = "kept"


def kept_in_session(load: Callable[[], T]) -> Callable[[], T]:
    """Let a query without arguments run once for each request: its result is kept with the session.

    It is dropped when a transaction begins or ends and whenever the session writes a changed entity. A decision under a
    lock calls the query itself (`__wrapped__`), because what is kept may have been read before the lock.
    """

    @wraps(load)
    def get() -> T:
        kept: dict[Callable[[], T], T] = db.session().info.setdefault(KEPT, {})
        if load not in kept:
            kept[load] = load()
        return kept[load]

    return get


@event.listens_for(db.session, "after_flush")
@event.listens_for(db.session, "after_rollback")
def drop_kept(session: Session, *_details: object) -> None:
    """Drop what `kept_in_session` keeps, so that the next use reads it again."""
    session.info.pop(KEPT, None)


def entity_from_row(row: sa.Row[*tuple[Any, ...]], model: type[M]) -> M:
    """Build an entity from a row of a joined Core query; it belongs to no session and is for reading only.

    Raises KeyError unless every column of the model's table was selected.
    """
    selected = row._mapping  # noqa: SLF001 - SQLAlchemy's public name, against clashes with columns
    found = cast("M", sa.inspect(model).class_manager.new_instance())
    # As SQLAlchemy loads entities itself; the constructor would note each value as a change, at ten times the cost.
    vars(found).update({column.key: selected[column] for column in model.__table__.c})
    return found


def _on_connect(connection: Any, _record: object) -> None:  # noqa: ANN401 - a driver's own type
    connection.isolation_level = None
    for name, value in SQLITE_PRAGMAS.items():
        connection.execute(f"PRAGMA {name}={value}")


# What the application's statements do on SQLite, but for those that are looked at more closely.
ALLOWED_ACTIONS = frozenset(
    {
        sqlite3.SQLITE_READ,
        sqlite3.SQLITE_SELECT,
        sqlite3.SQLITE_FUNCTION,
        sqlite3.SQLITE_TRANSACTION,
        sqlite3.SQLITE_SAVEPOINT,
        sqlite3.SQLITE_RECURSIVE,
    }
)
CHANGES = frozenset({sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE})
# Pragmas that only read, and take the name of a table or nothing.
READING_PRAGMAS = frozenset(
    {
        "foreign_key_check",
        "foreign_key_list",
        "index_info",
        "index_list",
        "index_xinfo",
        "integrity_check",
        "table_info",
        "table_list",
        "table_xinfo",
    }
)
REFUSED = "refused"
NOT_AUTHORIZED = "not authorized"


def make_authorizer(
    append_only: frozenset[str], refused: Callable[[str], object]
) -> Callable[[int, str | None, str | None, str | None, str | None], int]:
    """Make the function that SQLite asks about each part of a statement when it compiles it.

    Rows of the tables `append_only` are only added. Tables, triggers, pragmas and other files are left to migrations.
    `refused` is told what isn't allowed.
    """

    def authorize(
        action: int, name: str | None, value: str | None, _database: str | None, _by: str | None
    ) -> int:
        if action in ALLOWED_ACTIONS:
            return sqlite3.SQLITE_OK
        if action in CHANGES and name is not None:
            if name in append_only and action != sqlite3.SQLITE_INSERT:
                refused(f"The rows of {name} never change.")
                return sqlite3.SQLITE_DENY
            if name != VERSION_TABLE and not name.startswith("sqlite_"):
                return sqlite3.SQLITE_OK
        elif action == sqlite3.SQLITE_PRAGMA and (value is None or name in READING_PRAGMAS):
            return sqlite3.SQLITE_OK
        refused("Only migrations change tables, triggers and settings of the database.")
        return sqlite3.SQLITE_DENY

    return authorize


def _guard(append_only: frozenset[str]) -> Callable[[Any, ConnectionPoolEntry], None]:
    """Refuse what the application never does, whoever makes one of its connections do it."""

    def guard(connection: Any, record: ConnectionPoolEntry) -> None:  # noqa: ANN401
        def note(reason: str) -> None:
            record.info[REFUSED] = reason

        connection.set_authorizer(make_authorizer(append_only, note))

    return guard


def _explain_refusal(context: ExceptionContext) -> None:
    """Say what wasn't allowed, instead of only that something wasn't.

    Raises DatabaseError.
    """
    if str(context.original_exception) == NOT_AUTHORIZED and context.connection is not None:
        reason = context.connection.info.pop(REFUSED, NOT_AUTHORIZED)
        raise sa.exc.DatabaseError(context.statement, None, sqlite3.DatabaseError(reason))


def _on_begin(connection: Connection) -> None:
    # On SQLite a read transaction that turns into a write may fail at once, so a writer takes the lock before it reads.
    writes = connection.get_execution_options().get("writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _on_checkin(_connection: Any, record: ConnectionPoolEntry) -> None:  # noqa: ANN401
    record.info["idle_since"] = monotonic()


def _ping_idle(engine: Engine) -> Callable[[Any, ConnectionPoolEntry, object], None]:
    """Ping a connection only after it was idle; the pool's own pre-ping costs every request a round trip."""

    def ping(connection: Any, record: ConnectionPoolEntry, _proxy: object) -> None:  # noqa: ANN401
        if monotonic() - record.info.get("idle_since", monotonic()) < PING_AFTER_SECONDS:
            return
        try:
            engine.dialect.do_ping(connection)
        except psycopg.Error as error:
            raise DisconnectionError from error

    return ping


def empty_journal() -> None:
    """Bring SQLite's write-ahead log into the database and empty it, so that it holds no earlier version of a row.

    While somebody reads an earlier state it is left, and emptied by the next erasure or when the application stops.
    Does nothing on PostgreSQL. The connection is one of its own: those of the application set no pragmas.
    """
    if db.engine.dialect.name == "sqlite":
        with closing(sqlite3.connect(str(db.engine.url.database))) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def configure_engine(engine: Engine) -> None:
    """Set up an engine: transaction modes, SQLite's pragmas and what it refuses, pings of idle PostgreSQL connections.

    Raises RuntimeError when a pragma is not in force, since durability would then be unknown.
    """
    if engine.dialect.name != "sqlite":
        # At READ COMMITTED a read needs no transaction; without one it saves two round trips.
        engine.update_execution_options(isolation_level="AUTOCOMMIT")
        event.listen(engine, "checkin", _on_checkin)
        event.listen(engine, "checkout", _ping_idle(engine))
        return
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "connect", _guard(frozenset(list_append_only())))
    event.listen(engine, "handle_error", _explain_refusal)
    event.listen(engine, "begin", _on_begin)
    with engine.connect() as connection:
        for name, wanted in SQLITE_PRAGMAS.items():
            found = str(connection.exec_driver_sql(f"PRAGMA {name}").scalar())
            if found != wanted:
                raise RuntimeError(f"SQLite’s {name} is {found}, not {wanted}.")
