"""The chain: events are appended to streams, each with a hash of itself and of the one before, under a key of the ring.

There is no lock: whoever appends reads the end of the stream and inserts the next number, which a unique index gives to
one writer only; the others read again. Events are written last in a transaction and in order of their streams, so no
two writers wait for each other.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import groupby, takewhile
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from caseapp.domain.audit.models import STREAMS, AuditEvent
from caseapp.domain.audit.verifier import FIELDS, NOTHING, START, mac_of
from caseapp.domain.keys.models import KeyRing
from caseapp.domain.keys.queries import get_ring_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy.engine import Connection

    Row = dict[str, Any]
    End = tuple[int, bytes, int]

INSERT = sa.insert(AuditEvent.__table__)  # type: ignore[arg-type]
INSERT_UNLESS_TAKEN = {
    name: dialect.insert(AuditEvent.__table__).on_conflict_do_nothing().returning(AuditEvent.id)
    for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql))
}
OF_STREAM = (
    sa.select(AuditEvent.mac)
    .where(AuditEvent.stream == sa.bindparam("of"))
    .order_by(AuditEvent.seq.desc())
    .limit(1)
)
# The end of a stream and the number of the key in use, in one statement: after the event with which a new key begins
# (`renewal`) no other writer can append one under the key before it.
GET_END = sa.select(
    OF_STREAM.with_only_columns(AuditEvent.seq).scalar_subquery().label("seq"),
    OF_STREAM.scalar_subquery().label("mac"),
    sa.select(sa.func.max(KeyRing.number))
    .where(KeyRing.purpose == "audit", KeyRing.retired_at.is_(None))
    .scalar_subquery()
    .label("ring_number"),
)
IS_RECORDED = sa.select(AuditEvent.id).where(AuditEvent.dedup_key == sa.bindparam("of"))
# A writer that always comes second must end some time; with sixteen saturating ones the worst took eleven tries.
MAX_TRIES = 1000


def append(connection: Connection, events: Sequence[Row]) -> set[UUID]:
    """Append events to their streams, in their order; return the ids of those that weren't recorded already.

    An event is recorded already when there is one with its `dedup_key`. The caller writes nothing afterwards for which
    it may have to wait.
    """
    stored: set[UUID] = set()
    for stream, found in groupby(sorted(events, key=stream_of), key=stream_of):
        stored.update(_append_to(connection, stream, [*found]))
    return stored


def stream_of(event: Row) -> int:
    """Return the stream of an event: the one that it is meant for, or that of its client, or else of whoever acted."""
    if (meant := event.get("stream")) is not None:
        return int(meant)
    number: int = (event["client_id"] or event["actor_id"]).int
    return number % STREAMS


def _append_to(connection: Connection, stream: int, events: list[Row]) -> Iterator[UUID]:
    insert = INSERT_UNLESS_TAKEN[connection.dialect.name]
    tries = 0
    while events:
        first, *others = events
        row, end = _chained(first, stream, _get_end(connection, stream))
        if connection.execute(insert, row).first() is not None:
            yield first["id"]
            # Nobody else can append before this transaction ends, so those that can't be recorded already go together.
            plain = [*takewhile(lambda event: event["dedup_key"] is None, others)]
            rows = []
            for event in plain:
                row, end = _chained(event, stream, end)
                rows.append(row)
                yield event["id"]
            if rows:
                connection.execute(INSERT, rows)
            events = others[len(plain) :]
        elif is_recorded(connection, first["dedup_key"]):
            events = others
        elif (tries := tries + 1) == MAX_TRIES:
            raise RuntimeError(
                "The log could not be written, because other changes were being written at the same time."
            )


def _get_end(connection: Connection, stream: int) -> End:
    found = connection.execute(GET_END, {"of": stream}).one()
    return found.seq or 0, found.mac or START, found.ring_number


def is_recorded(connection: Connection, dedup_key: str | None) -> bool:
    """Tell whether there is an event with this `dedup_key`; None is that of no other."""
    if dedup_key is None:
        return False
    return connection.execute(IS_RECORDED, {"of": dedup_key}).first() is not None


def _chained(event: Row, stream: int, end: End) -> tuple[Row, End]:
    """Return an event with its place in the chain, and that place."""
    seq, previous, ring_number = end[0] + 1, *end[1:]
    key = get_ring_key("audit", ring_number)
    row = {**event, "stream": stream, "seq": seq, "ring_number": key.number}
    row["mac"] = mac_of(key.secret, previous, line_of(row))
    return row, (seq, row["mac"], ring_number)


def line_of(row: Row) -> str:
    """Return an event as the text that is hashed; `select_line` reads the same from the database."""
    return "\t".join(_as_text(row[name]) for name in FIELDS)


def _as_text(value: Any) -> str:  # noqa: ANN401 - a column's value
    match value:
        case None:
            return NOTHING
        case UUID():
            return value.hex
        case datetime():
            return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}"
        case dict():
            # As SQLAlchemy stores it, so that the stored text is what was hashed.
            return json.dumps(value)
    return str(value)


def select_line(dialect: str) -> str:
    """Return the SQL that reads an event as the text that was hashed."""
    columns = AuditEvent.__table__.c
    tab = {"sqlite": "char(9)", "postgresql": "chr(9)"}[dialect]
    return f" || {tab} || ".join(select_text(columns[name], dialect) for name in FIELDS)


def select_text(column: sa.ColumnElement[Any], dialect: str) -> str:
    """Return the SQL that reads a column as it is hashed."""
    name = str(column)
    if dialect == "sqlite":
        text = name
    elif isinstance(column.type, sa.Uuid):
        text = f"replace(CAST({name} AS text), '-', '')"
    elif column.name == "occurred_at":
        text = f"to_char({name} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')"
    else:
        text = f"CAST({name} AS text)"
    return f"coalesce({text}, '{NOTHING}')"
