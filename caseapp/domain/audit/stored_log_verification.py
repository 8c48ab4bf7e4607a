"""The stored log, read as the lines that were hashed, and verified."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import groupby
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from caseapp.core.database import db
from caseapp.domain.audit.chain import select_line, select_text
from caseapp.domain.audit.models import AuditEventClient
from caseapp.domain.audit.verifier import Verified, verify
from caseapp.domain.keys.queries import list_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqlalchemy.engine import Connection

    from caseapp.domain.audit.verifier import Entry, Shown

# So many rows are fetched at once.
BATCH = 5000
MAC = {"sqlite": "CAST(coalesce(mac, '') AS BLOB)", "postgresql": "coalesce(mac, '')"}


@contextmanager
def log_as_it_stands() -> Iterator[Connection]:
    """Open a connection that sees the log as it stands now, however long it is read."""
    options = {} if db.engine.dialect.name == "sqlite" else {"isolation_level": "REPEATABLE READ"}
    with db.engine.connect() as connection:
        yield connection.execution_options(**options)


def _rows(connection: Connection, query: str) -> Iterator[Any]:
    with connection.execute(sa.text(query), execution_options={"yield_per": BATCH}) as rows:
        yield from rows


def read_unchained(connection: Connection) -> Iterator[str]:
    """Read the lines of the events that are in no stream, in order of their ids."""
    line = select_line(connection.dialect.name)
    query = f"SELECT {line} FROM audit_event WHERE stream IS NULL ORDER BY id"  # noqa: S608 - our own names
    for (found,) in _rows(connection, query):
        yield found


def read_chained(connection: Connection) -> Iterator[Entry]:
    """Read the MACs and lines of all streams, in order of streams and numbers."""
    dialect = connection.dialect.name
    query = (
        f"SELECT {MAC[dialect]}, {select_line(dialect)} FROM audit_event "  # noqa: S608 - our own names
        "WHERE stream IS NOT NULL ORDER BY stream, seq"
    )
    return _rows(connection, query)


def read_part(connection: Connection, stream: int, first: int, last: int) -> Iterator[Entry]:
    """Read the MACs and lines of the events of a stream from number `first` to number `last`."""
    dialect = connection.dialect.name
    query = (
        f"SELECT {MAC[dialect]}, {select_line(dialect)} FROM audit_event "  # noqa: S608 - our own names and numbers
        f"WHERE stream = {stream:d} AND seq BETWEEN {first:d} AND {last:d} ORDER BY seq"
    )
    return _rows(connection, query)


def read_shown(connection: Connection) -> Iterator[Shown]:
    """Read the ids of lists' events and the time of their clients' rows, each with the ids of the clients."""
    columns = AuditEventClient.__table__.c
    names = [columns[name] for name in ("event_id", "occurred_at", "client_id")]
    texts = ", ".join(select_text(column, connection.dialect.name) for column in names)
    query = f"SELECT {texts} FROM audit_event_client ORDER BY {', '.join(map(str, names))}"  # noqa: S608 - our own names
    for (event_id, moment), found in groupby(_rows(connection, query), key=lambda row: row[:2]):
        yield event_id, moment, [row[2] for row in found]


def verify_log(checkpoints: Mapping[int, Mapping[int, bytes]] | None = None) -> Verified:
    """Verify everything in the log; `checkpoints` are MACs by stream and number that signed checkpoints name."""
    with log_as_it_stands() as connection:
        return verify(
            read_unchained(connection),
            read_chained(connection),
            read_shown(connection),
            list_secrets("audit"),
            checkpoints or {},
        )
