"""One sealed, append-only stream of safety events for each client in place of screenings, holds and flags.

The rows become events in the order in which things happened, with their ids: a note and a follow-up still find theirs.
`caseapp init` then derives the current state of every client from the events. The rows of a client whose key was
destroyed become events that nobody can open, as the client was erased. `downgrade` builds the three tables again from
the events that opened them; what a newer release knows and they can't hold is refused.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from datetime import UTC, datetime
from itertools import groupby
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid5

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from caseapp.core.vault import (
    DataKey,
    seal,
    seal_bound,
    tag_of,
    unseal_bound,
    unseal_text,
    unwrap_client_key,
)

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

EVENT, STATE, MARK = "safety_event", "client_safety", "viewer_mark"
CLIENTS_AT_ONCE = 500
BLOCK_SIZE = 512
ITEMS = (
    "sleep",
    "eating",
    "caring",
    "work",
    "household",
    "self_harm",
    "harm_to_others",
    "fear_at_home",
    "substances",
)
FLAGS = (
    "contact_block",
    "violence_flag",
    "client_harm_flag",
    "self_harm_flag",
    "eating_disorder_flag",
    "withdrawal_risk",
    "unsafe_delivery",
)
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
TIME = sa.DateTime(timezone=True)
# Triggers of the table that never changes; SQLite's REPLACE slips past the first two.
GUARDS = {
    "sqlite": [
        f"""CREATE TRIGGER {EVENT}_no_update BEFORE UPDATE ON {EVENT}
        BEGIN SELECT RAISE(ABORT, 'safety events never change'); END""",
        f"""CREATE TRIGGER {EVENT}_no_delete BEFORE DELETE ON {EVENT}
        BEGIN SELECT RAISE(ABORT, 'safety events never change'); END""",
        """CREATE TRIGGER safety_event_no_replace BEFORE INSERT ON safety_event
        WHEN EXISTS (SELECT 1 FROM safety_event WHERE rowid = NEW.rowid OR id = NEW.id
        OR (client_id = NEW.client_id AND seq = NEW.seq))
        BEGIN SELECT RAISE(ABORT, 'safety events never change'); END""",
    ],
    "postgresql": [
        f"""CREATE TRIGGER {EVENT}_no_change BEFORE UPDATE OR DELETE ON {EVENT}
        FOR EACH ROW EXECUTE FUNCTION refuse_change()""",
        f"""CREATE TRIGGER {EVENT}_no_truncate BEFORE TRUNCATE ON {EVENT}
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()""",
    ],
}
# The sealed text of each table. It was bound to the first name of its column.
TEXTS = {"screening": "comment", "hold": "release_reason", "flag": "clear_reason"}
FIRST_NAMES = {"screening": "comment", "hold": "clear_reason", "flag": "lower_reason"}
SCREENING = sa.table(
    "screening",
    sa.column("id", sa.Uuid),
    sa.column("client_id", sa.Uuid),
    sa.column("recorded_at", TIME),
    sa.column("recorded_by", sa.Uuid),
    sa.column("note_id", sa.Uuid),
    *(sa.column(item, sa.SmallInteger) for item in ITEMS),
    sa.column("asked_alone", sa.Boolean),
    sa.column("actions_taken", JSON),
    sa.column("comment", sa.LargeBinary),
)
HOLD = sa.table(
    "hold",
    sa.column("id", sa.Uuid),
    sa.column("client_id", sa.Uuid),
    sa.column("kind", sa.String),
    sa.column("opened_at", TIME),
    sa.column("opened_by", sa.Uuid),
    sa.column("reasons", JSON),
    sa.column("released_at", TIME),
    sa.column("released_by", sa.Uuid),
    sa.column("release_reason", sa.LargeBinary),
    sa.column("version", sa.Integer),
)
FLAG = sa.table(
    "flag",
    sa.column("id", sa.Uuid),
    sa.column("client_id", sa.Uuid),
    sa.column("kind", sa.String),
    sa.column("source", sa.String),
    sa.column("set_at", TIME),
    sa.column("set_by", sa.Uuid),
    sa.column("cleared_at", TIME),
    sa.column("cleared_by", sa.Uuid),
    sa.column("clear_reason", sa.LargeBinary),
)
OLD_TABLES = {"screening": SCREENING, "hold": HOLD, "flag": FLAG}
EVENTS = sa.table(
    EVENT,
    sa.column("id", sa.Uuid),
    sa.column("client_id", sa.Uuid),
    sa.column("seq", sa.Integer),
    sa.column("recorded_at", TIME),
    sa.column("recorded_by", sa.Uuid),
    sa.column("sealed", sa.LargeBinary),
)
KEYS = sa.table("client_key", sa.column("client_id", sa.Uuid), sa.column("wrapped", sa.LargeBinary))
NOTES = sa.table("note", sa.column("id", sa.Uuid), sa.column("session_at", TIME))
Row = dict[str, Any]
# The moment, id and number that order it, its own id, who recorded it when, and what.
Fact = tuple[datetime, UUID, int, UUID, datetime, UUID, Row]
# What changed a row has no id that tells when: it comes after the rows of its moment.
LAST = UUID(int=2**128 - 1)
ENDING = 1_000_000


def upgrade() -> None:
    connection = op.get_bind()
    _create_tables()
    for client_ids in _list_clients(SCREENING, HOLD, FLAG):
        if events := _events_of(connection, client_ids):
            connection.execute(sa.insert(EVENTS), events)
    _replace_referred_table("screening", EVENT)
    for table in ("hold", "flag"):
        op.drop_table(table)
    for guard in GUARDS[op.get_context().dialect.name]:
        op.execute(guard)


def downgrade() -> None:
    connection = op.get_bind()
    _create_old_tables()
    for client_ids in _list_clients(EVENTS):
        for table, rows in _old_rows_of(connection, client_ids).items():
            if rows:
                connection.execute(sa.insert(OLD_TABLES[table]), [*rows.values()])
    _replace_referred_table(EVENT, "screening")
    for table in (MARK, STATE):
        op.drop_table(table)


def _create_tables() -> None:
    """Create the new tables; the events lie in a table of another name until notes refer to them."""
    sqlite = op.get_context().dialect.name == "sqlite"
    op.create_table(
        EVENT,
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("recorded_at", TIME, nullable=False),
        sa.Column("recorded_by", sa.Uuid(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        *_references(EVENT, "recorded_by"),
        sa.CheckConstraint("seq >= 1", name=op.f(f"ck_{EVENT}_seq")),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{EVENT}")),
        sa.UniqueConstraint("client_id", "seq", name=op.f(f"uq_{EVENT}_client_id_seq")),
    )
    op.create_table(
        STATE,
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("tag", sa.LargeBinary(), nullable=False),
        sa.Column("last_full_at", TIME, nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        *_references(STATE),
        sa.CheckConstraint("seq >= 1", name=op.f(f"ck_{STATE}_seq")),
        sa.PrimaryKeyConstraint("client_id", name=op.f(f"pk_{STATE}")),
    )
    # SQLite doesn't enforce the length of a text by itself.
    length = sa.CheckConstraint("length(bucket) <= 32", name=op.f(f"ck_{MARK}_bucket_length"))
    op.create_table(
        MARK,
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("bucket", sa.String(32), nullable=False),
        sa.Column("week", sa.Integer(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("week >= 1", name=op.f(f"ck_{MARK}_week")),
        *([length] if sqlite else []),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{MARK}")),
    )
    op.create_index(f"ix_{MARK}_bucket", MARK, ["bucket", "week", "id"])


def _create_old_tables() -> None:
    levels = (
        sa.CheckConstraint(f"{item} BETWEEN 0 AND 3", name=op.f(f"ck_screening_{item}"))
        for item in ITEMS
    )
    op.create_table(
        "screening",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("recorded_at", TIME, nullable=False),
        sa.Column("recorded_by", sa.Uuid(), nullable=False),
        sa.Column("note_id", sa.Uuid(), nullable=True),
        *(sa.Column(item, sa.SmallInteger(), nullable=True) for item in ITEMS),
        sa.Column("asked_alone", sa.Boolean(), nullable=False),
        sa.Column("actions_taken", JSON, nullable=False),
        sa.Column("comment", sa.LargeBinary(), nullable=True),
        *_references("screening", "recorded_by"),
        *levels,
        sa.PrimaryKeyConstraint("id", name=op.f("pk_screening")),
    )
    op.create_index(
        "ix_screening_client_recorded_at", "screening", ["client_id", "recorded_at", "id"]
    )
    op.create_table(
        "hold",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("opened_at", TIME, nullable=False),
        sa.Column("opened_by", sa.Uuid(), nullable=False),
        sa.Column("reasons", JSON, nullable=False),
        sa.Column("released_at", TIME, nullable=True),
        sa.Column("released_by", sa.Uuid(), nullable=True),
        sa.Column("release_reason", sa.LargeBinary(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        *_references("hold", "opened_by", "released_by"),
        sa.CheckConstraint("kind IN ('care', 'safety')", name=op.f("ck_hold_kind")),
        sa.CheckConstraint("version >= 1", name=op.f("ck_hold_version")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hold")),
    )
    op.create_index("ix_hold_client", "hold", ["client_id", "opened_at"])
    _create_index_of_open("uq_hold_open", "hold", "released_at IS NULL")
    codes = ", ".join(f"'{flag}'" for flag in FLAGS)
    op.create_table(
        "flag",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(24), nullable=False),
        sa.Column("source", sa.String(12), nullable=False),
        sa.Column("set_at", TIME, nullable=False),
        sa.Column("set_by", sa.Uuid(), nullable=False),
        sa.Column("cleared_at", TIME, nullable=True),
        sa.Column("cleared_by", sa.Uuid(), nullable=True),
        sa.Column("clear_reason", sa.LargeBinary(), nullable=True),
        *_references("flag", "set_by", "cleared_by"),
        sa.CheckConstraint(f"kind IN ({codes})", name=op.f("ck_flag_kind")),
        sa.CheckConstraint(
            "source IN ('person', 'screening', 'facts')", name=op.f("ck_flag_source")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_flag")),
    )
    _create_index_of_open("uq_flag_active", "flag", "cleared_at IS NULL")


def _references(table: str, *people: str) -> list[sa.ForeignKeyConstraint]:
    referred = {"client_id": "client", **dict.fromkeys(people, "user_account")}
    return [
        sa.ForeignKeyConstraint(
            [column], [f"{other}.id"], name=op.f(f"fk_{table}_{column}_{other}")
        )
        for column, other in referred.items()
    ]


def _create_index_of_open(name: str, table: str, condition: str) -> None:
    where = sa.text(condition)
    op.create_index(
        name,
        table,
        ["client_id", "kind"],
        unique=True,
        sqlite_where=where,
        postgresql_where=where,
    )


def _replace_referred_table(old: str, new: str) -> None:
    """Drop a table whose rows stand in another one, and let notes refer to that one.

    On SQLite a reference follows the table that is renamed; a changed constraint would copy every note.
    """
    if op.get_context().dialect.name == "sqlite":
        op.rename_table(new, f"{new}_filled")
        op.rename_table(old, new)
        op.drop_table(new)
        op.rename_table(f"{new}_filled", new)
        return
    name = "fk_note_screening_id_screening"
    op.drop_constraint(name, "note", type_="foreignkey")
    op.create_foreign_key(name, "note", new, ["screening_id"], ["id"])
    op.drop_table(old)


def _list_clients(*tables: sa.TableClause) -> list[list[UUID]]:
    """List the ids of the clients with rows in some tables, a few hundred at a time."""
    ids = sa.union_all(*(sa.select(table.c.client_id) for table in tables)).subquery().c.client_id
    found = op.get_bind().scalars(sa.select(ids).distinct().order_by(ids)).all()
    return [[*found[n : n + CLIENTS_AT_ONCE]] for n in range(0, len(found), CLIENTS_AT_ONCE)]


def _rows_by_client(
    connection: sa.Connection,
    query: sa.Select[Any],
    table: sa.TableClause,
    client_ids: list[UUID],
) -> dict[UUID, list[Row]]:
    found = defaultdict(list)
    for row in connection.execute(query.where(table.c.client_id.in_(client_ids))).mappings():
        times = {name: _utc(value) for name, value in row.items() if isinstance(value, datetime)}
        found[row["client_id"]].append({**row, **times})
    return found


def _utc(moment: datetime) -> datetime:
    """Return a time with its zone: SQLite stores times in UTC without it."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _keys_of(connection: sa.Connection, client_ids: list[UUID]) -> dict[UUID, DataKey]:
    rows = connection.execute(sa.select(KEYS).where(KEYS.c.client_id.in_(client_ids)))
    return {row.client_id: unwrap_client_key(row.client_id, row.wrapped) for row in rows}


def _events_of(connection: sa.Connection, client_ids: list[UUID]) -> list[Row]:
    """Convert the rows of some clients to events, in the order of what happened."""
    keys = _keys_of(connection, client_ids)
    with_session = sa.select(SCREENING, NOTES.c.session_at).outerjoin(
        NOTES, NOTES.c.id == SCREENING.c.note_id
    )
    screenings = _rows_by_client(connection, with_session, SCREENING, client_ids)
    holds = _rows_by_client(connection, sa.select(HOLD), HOLD, client_ids)
    flags = _rows_by_client(connection, sa.select(FLAG), FLAG, client_ids)
    events: list[Row] = []
    for client_id in client_ids:
        # Nobody has this key.
        key = keys.get(client_id) or DataKey(client_id, os.urandom(32))
        is_erased = client_id not in keys
        for table, rows in (("screening", screenings), ("hold", holds), ("flag", flags)):
            for row in rows[client_id]:
                sealed = None if is_erased else row[TEXTS[table]]
                opened = unseal_text(table, FIRST_NAMES[table], row["id"], sealed, key)
                row["text"] = opened or ""
        recorded = {row["id"]: row["recorded_at"] for row in screenings[client_id]}
        facts = [
            *map(_screening_fact, screenings[client_id]),
            *(fact for row in holds[client_id] for fact in _hold_facts(row, recorded)),
            *(fact for row in flags[client_id] for fact in _flag_facts(row)),
        ]
        events += _seal_events(sorted(facts, key=lambda fact: fact[:4]), key)
    return events


def _screening_fact(row: Row) -> Fact:
    moment = row["recorded_at"]
    content = {
        "fact": "screening",
        "note_id": row["note_id"].hex if row["note_id"] else None,
        "session_at": (row["session_at"] or moment).isoformat(),
        "answers": {item: row[item] for item in ITEMS if row[item] is not None},
        "asked_alone": row["asked_alone"],
        "actions_taken": row["actions_taken"],
        "comment": row["text"],
    }
    return moment, row["id"], 0, row["id"], moment, row["recorded_by"], content


def _hold_facts(row: Row, recorded: dict[UUID, datetime]) -> list[Fact]:
    """Convert a hold: the reasons of its first screening opened it, those of each further one renewed it."""
    hold_id, opened_at = row["id"], row["opened_at"]
    parts = [
        (screening, [*reasons])
        for screening, reasons in groupby(row["reasons"], lambda reason: reason["screening"])
    ]
    opening = parts[0][1] if parts else []
    content: Row = {"fact": "hold_opened", "kind": row["kind"], "reasons": opening}
    found = [(opened_at, hold_id, 0, hold_id, opened_at, row["opened_by"], content)]
    for number, (screening, reasons) in enumerate(parts[1:], 1):
        moment = max(opened_at, recorded.get(UUID(screening), opened_at))
        content = {"fact": "hold_renewed", "hold_id": hold_id.hex, "reasons": reasons}
        event_id = uuid5(hold_id, f"renewed {number}")
        found.append((moment, LAST, number, event_id, moment, row["opened_by"], content))
    if row["released_at"]:
        content = {"fact": "hold_released", "hold_id": hold_id.hex, "reason": row["text"]}
        moment = max(row["released_at"], *(fact[0] for fact in found))
        who, event_id = row["released_by"] or row["opened_by"], uuid5(hold_id, "released")
        found.append((moment, LAST, ENDING, event_id, row["released_at"], who, content))
    return found


def _flag_facts(row: Row) -> list[Fact]:
    flag_id, set_at = row["id"], row["set_at"]
    content: Row = {"fact": "flag_set", "kind": row["kind"], "source": row["source"]}
    found = [(set_at, flag_id, 0, flag_id, set_at, row["set_by"], content)]
    if row["cleared_at"]:
        content = {"fact": "flag_cleared", "flag_id": flag_id.hex, "reason": row["text"]}
        moment, who = max(set_at, row["cleared_at"]), row["cleared_by"] or row["set_by"]
        event_id = uuid5(flag_id, "cleared")
        found.append((moment, LAST, ENDING, event_id, row["cleared_at"], who, content))
    return found


def _seal_events(facts: list[Fact], key: DataKey) -> list[Row]:
    tag = b""
    events: list[Row] = []
    for seq, (_, _, _, event_id, recorded_at, recorded_by, content) in enumerate(facts, 1):
        row: Row = {
            "id": event_id,
            "client_id": key.client_id,
            "seq": seq,
            "recorded_at": recorded_at,
            "recorded_by": recorded_by,
        }
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
        padded = text.ljust(-(-len(text) // BLOCK_SIZE) * BLOCK_SIZE)
        row["sealed"] = seal_bound(padded, _binding(row, tag), key)
        tag = tag_of(row["sealed"])
        events.append(row)
    return events


def _binding(event: Row, previous_tag: bytes) -> bytes:
    parts = (
        EVENT,
        event["id"].hex,
        event["client_id"].hex,
        event["seq"],
        event["recorded_at"].isoformat(),
        event["recorded_by"].hex,
        previous_tag.hex(),
    )
    return "\x1f".join(map(str, parts)).encode()


def _old_rows_of(connection: sa.Connection, client_ids: list[UUID]) -> dict[str, dict[str, Row]]:
    """Build the rows of some clients from their events, by table and id."""
    keys = _keys_of(connection, client_ids)
    in_order = sa.select(EVENTS).order_by(EVENTS.c.client_id, EVENTS.c.seq)
    events = _rows_by_client(connection, in_order, EVENTS, client_ids)
    found: dict[str, dict[str, Row]] = {table: {} for table in OLD_TABLES}
    for client_id, key in keys.items():
        tag = b""
        for event in events[client_id]:
            content = json.loads(unseal_bound(event["sealed"], _binding(event, tag), key))
            tag = tag_of(event["sealed"])
            _add_old_row(found, event, content, key)
    return found


def _add_old_row(found: dict[str, dict[str, Row]], event: Row, content: Row, key: DataKey) -> None:
    """Add the row that an event stands for, or change it as the event says."""
    common = {"id": event["id"], "client_id": key.client_id}
    moment, who, kind = event["recorded_at"], event["recorded_by"], content["fact"]
    if kind == "screening":
        found["screening"][event["id"].hex] = {
            **common,
            "recorded_at": moment,
            "recorded_by": who,
            "note_id": UUID(content["note_id"]) if content["note_id"] else None,
            **{item: content["answers"].get(item) for item in ITEMS},
            "asked_alone": content["asked_alone"],
            "actions_taken": content["actions_taken"],
            "comment": _seal_old("screening", event["id"], content["comment"] or None, key),
        }
    elif kind == "hold_opened":
        found["hold"][event["id"].hex] = {
            **common,
            "kind": content["kind"],
            "opened_at": moment,
            "opened_by": who,
            "reasons": content["reasons"],
            "released_at": None,
            "released_by": None,
            "release_reason": None,
            "version": 1,
        }
    elif kind in {"hold_renewed", "hold_released"}:
        hold = found["hold"][content["hold_id"]]
        hold["version"] += 1
        if kind == "hold_renewed":
            hold["reasons"] = [*hold["reasons"], *content["reasons"]]
        else:
            hold["released_at"], hold["released_by"] = moment, who
            hold["release_reason"] = _seal_old("hold", hold["id"], content["reason"], key)
    elif kind == "flag_set":
        found["flag"][event["id"].hex] = {
            **common,
            "kind": content["kind"],
            "source": content["source"],
            "set_at": moment,
            "set_by": who,
            "cleared_at": None,
            "cleared_by": None,
            "clear_reason": None,
        }
    elif kind == "flag_cleared":
        flag = found["flag"][content["flag_id"]]
        flag["cleared_at"], flag["cleared_by"] = moment, who
        flag["clear_reason"] = _seal_old("flag", flag["id"], content["reason"], key)
    else:
        raise RuntimeError("A newer release has recorded what the tables before can't hold.")


def _seal_old(table: str, row_id: UUID, text: str | None, key: DataKey) -> bytes | None:
    row = SimpleNamespace(__tablename__=table, id=row_id, client_id=key.client_id)
    return seal(row, FIRST_NAMES[table], text, key)
