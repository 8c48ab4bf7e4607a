"""Rows of the schema before the names of the glossary come through the migrations unchanged, and back again."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import chain
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory

from caseapp.core.database import db
from caseapp.core.migrate import alembic_config, downgrade, upgrade
from caseapp.domain.models import METADATA

if TYPE_CHECKING:
    from types import ModuleType

pytestmark = [pytest.mark.both(every_set=True), pytest.mark.slow]

Row = dict[str, Any]
# More than any column has codes, so that each stands in a row.
ROWS = 15
START = datetime(2025, 1, 1, 12, tzinfo=UTC)
LATER_COLUMNS = {
    ("assignment", "opened_at"),
    ("client", "contact_confirmed_at"),
    ("client", "contact_confirmed_by"),
    ("client", "language"),
    ("follow_up", "attempt"),
    ("follow_up", "episode_id"),
    ("follow_up", "not_before_at"),
    ("follow_up", "previous_id"),
    ("follow_up", "result"),
    ("idempotency_key", "location"),
    ("idempotency_key", "message"),
    ("portal_access", "locked_at"),
    ("practice", "language"),
    ("worksheet_response", "shared_read_at"),
    ("worksheet_upload", "read_at"),
    ("user_account", "deputy_id"),
    ("user_account", "on_call_hours"),
    ("user_account", "phone"),
}
LATER_TABLES = {
    "alert",
    "alert_recipient",
    "alert_setting",
    "alert_step",
    "audit_event_client",
    "form_draft",
    "key_ring",
}
LATER_CODES = {("follow_up", "kind"): {"welfare_check"}}


def migration(revision: str) -> ModuleType:
    return ScriptDirectory.from_config(alembic_config()).get_revision(revision).module


NAMES, CONSTRAINTS = migration("0009"), migration("0010")
OLD_TABLES = {new: old for old, new in NAMES.TABLES.items()}
CODES = {**NAMES.VALUES, ("handout_draft", "state"): CONSTRAINTS.DRAFT_STATES}


def old_name(column: sa.Column[Any]) -> str:
    names = NAMES.COLUMNS.get(column.table.name, {})
    return next((old for old, new in names.items() if new == column.name), column.name)


def old_codes(column: sa.Column[Any]) -> list[str]:
    renamed = CODES.get((column.table.name, column.name), {})
    new_codes = {*renamed.values(), *LATER_CODES.get((column.table.name, column.name), ())}
    return [*renamed, *(code for code in column.info.get("codes", ()) if code not in new_codes)]


def row_id(table: str, number: int) -> UUID:
    return UUID(int=(1 + sorted(METADATA.tables).index(table)) << 64 | number + 1)


def value(column: sa.Column[Any], number: int) -> Any:
    """Make up what row `number` has in a column before the migrations."""
    name, kind = column.name, column.type
    for key in column.foreign_keys:
        return row_id(key.column.table.name, number)
    if codes := old_codes(column):
        return codes[number % len(codes)]
    if reasons := NAMES.LIST_VALUES.get((column.table.name, name)):
        return [*reasons][number % len(reasons) :]
    if name == "id" and isinstance(kind, sa.Uuid):
        return row_id(column.table.name, number)
    if isinstance(kind, sa.Uuid):
        # The log's events tell of clients who open assignments.
        return row_id({"object_id": "assignment"}.get(name, "client"), number)
    if "range" in column.info:
        smallest, largest = column.info["range"]
        return smallest + number if largest is None else min(smallest + number, largest)
    made_up: dict[type[Any], Any] = {
        sa.String: f"own-{number}"[: getattr(kind, "length", None)],
        sa.LargeBinary: bytes([number]) * 40,
        sa.Boolean: number % 2 == 0,
        sa.Date: date(2025, 1, 1) + timedelta(number),
        sa.JSON: {"number": number},
        sa.TypeDecorator: START + timedelta(hours=number, microseconds=number),
    }
    return next(found for type_, found in made_up.items() if isinstance(kind, type_))


def fill(connection: sa.Connection) -> None:
    """Insert rows into every table of revision 0008, with every code that a column may have."""
    for table in METADATA.sorted_tables:
        if table.name in LATER_TABLES:
            continue
        columns = [c for c in table.columns if (table.name, c.name) not in LATER_COLUMNS]
        old = sa.table(
            OLD_TABLES.get(table.name, table.name),
            *(sa.column(old_name(column), column.type) for column in columns),
        )
        single = table.columns.get("id") is not None and table.c.id.info.get("range") == (1, 1)
        if single and connection.scalar(sa.select(sa.func.count()).select_from(old)):
            continue
        connection.execute(
            sa.insert(old),
            [
                {old_name(column): value(column, number) for column in columns}
                for number in range(1 if single else ROWS)
            ],
        )


def contents(url: sa.URL) -> dict[str, list[Row]]:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        metadata = sa.MetaData()
        metadata.reflect(connection)
        return {
            table.name: sorted(
                (dict(row) for row in connection.execute(sa.select(table)).mappings()), key=repr
            )
            for table in metadata.tables.values()
            if table.name not in {"alembic_version", "sqlite_stat1"}
        }


def renamed(table: str, row: Row) -> Row:
    """Give a row of the old schema as it should stand in the new one."""
    names = NAMES.COLUMNS.get(table, {})
    found = {names.get(column, column): content for column, content in row.items()}
    for column, content in found.items():
        codes = CODES.get((table, column), {})
        in_list = NAMES.LIST_VALUES.get((table, column), {})
        if isinstance(content, str):
            found[column] = codes.get(content, content)
        elif isinstance(content, list):
            found[column] = [in_list.get(code, code) for code in content]
    return found


@pytest.fixture
def old_database(app: object, database_url: sa.URL) -> sa.URL:
    db.session.remove()
    db.engine.dispose()
    downgrade(database_url, "0008")
    engine = sa.create_engine(database_url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        fill(connection)
    return database_url


def test_every_row_of_the_old_schema_comes_through_and_goes_back(old_database: sa.URL) -> None:
    before = contents(old_database)
    assert all(before.values())
    upgrade(old_database)
    after = contents(old_database)
    assert [table for table in LATER_TABLES if after.pop(table)] == ["alert_setting"]
    opened = {row["id"]: row.pop("opened_at") for row in after["assignment"]}
    assert {row.pop("language") for row in after["practice"]} == {"en-GB"}
    assert {(row.pop("location"), row.pop("message")) for row in after["idempotency_key"]} == {
        (None, None)
    }
    assert {row.pop("language") for row in after["client"]} <= {None, "es"}
    for column in ("contact_confirmed_at", "contact_confirmed_by"):
        assert {row.pop(column) for row in after["client"]} == {None}
    later = ("attempt", "episode_id", "not_before_at", "previous_id", "result")
    found = {tuple(map(row.pop, later)) for row in after["follow_up"]}
    assert found == {(1, None, None, None, None)}
    for table, shared, read in (
        ("worksheet_response", "shared_at", "shared_read_at"),
        ("worksheet_upload", "sent_at", "read_at"),
    ):
        assert all(row.pop(read) == row[shared] for row in after[table])
    closed = {row.pop("locked_at") is not None: row for row in after["portal_access"]}
    assert {key: row["failed_pin_attempts"] >= 5 for key, row in closed.items()} == {
        key: key for key in closed
    }
    assert {
        (row.pop("deputy_id"), row.pop("phone"), row.pop("on_call_hours"))
        for row in after["user_account"]
    } == {(None, "", "")}
    expected = {
        NAMES.TABLES.get(old, old): [renamed(NAMES.TABLES.get(old, old), row) for row in rows]
        for old, rows in before.items()
    }
    assert after.keys() == expected.keys()
    for table, rows in after.items():
        assert sorted(rows, key=repr) == sorted(
            ({name: row[name] for name in rows[0]} for row in expected[table]), key=repr
        ), table
    first = {
        row["object_id"]: row["occurred_at"]
        for row in after["audit_event"]
        if row["actor_role"] == "client" and row["outcome"] == "done"
    }
    assert first
    assert opened == {assignment: first.get(assignment) for assignment in opened}
    downgrade(old_database, "0008")
    assert contents(old_database) == before


def test_old_row_against_a_constraint_stops_the_migration_and_changes_nothing(
    old_database: sa.URL,
) -> None:
    engine = sa.create_engine(old_database, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE flag SET source = 'rumour'")
    before = contents(old_database)
    with pytest.raises(sa.exc.IntegrityError, match="ck_flag_source"):
        upgrade(old_database)
    assert contents(old_database) == before


def test_made_up_rows_have_every_code() -> None:
    columns = chain.from_iterable(table.columns for table in METADATA.tables.values())
    assert max(len(old_codes(column)) for column in columns) <= ROWS
