"""Rows of the schema before the names of the glossary come through the migrations unchanged, and back again."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import chain
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory

from caseapp.core.database import db
from caseapp.core.migrate import alembic_config, downgrade, upgrade
from caseapp.core.vault import (
    keyed_digests,
    new_wrapped_key,
    seal,
    seal_json,
    unseal_code,
    unseal_text,
    unwrap_client_key,
)
from caseapp.domain.followups.codes import TASK_KINDS
from caseapp.domain.models import METADATA

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

pytestmark = [pytest.mark.both(every_set=True), pytest.mark.slow]

Row = dict[str, Any]
# More than any column has codes, so that each stands in a row.
ROWS = 15
START = datetime(2025, 1, 1, 12, tzinfo=UTC)
LATER_COLUMNS = {
    ("assignment", "opened_at"),
    ("audit_event", "mac"),
    ("audit_event", "ring_number"),
    ("audit_event", "seq"),
    ("audit_event", "stream"),
    ("bulk_assignment_item", "codes"),
    ("bulk_assignment_item", "failure"),
    ("case_event", "from_coach_id"),
    ("case_event", "to_coach_id"),
    ("care_team", "created_by"),
    ("care_team", "ends_at"),
    ("care_team", "reason"),
    ("care_team", "role"),
    ("client", "compared_as"),
    ("client", "contact_confirmed_at"),
    ("client", "is_merged"),
    ("client", "contact_confirmed_by"),
    ("client", "language"),
    ("follow_up", "attempt"),
    ("follow_up", "episode_id"),
    ("follow_up", "kind"),
    ("follow_up", "not_before_at"),
    ("follow_up", "previous_id"),
    ("follow_up", "result"),
    ("idempotency_key", "location"),
    ("idempotency_key", "message"),
    ("note", "actual_minutes"),
    ("note", "actual_session_at"),
    ("note", "addenda"),
    ("note", "has_unrecorded"),
    ("note", "in_error"),
    ("note", "moves"),
    ("session", "authenticated_at"),
    ("session", "assurance_level"),
    ("session", "method"),
    ("token", "expires_at"),
    ("token", "program_id"),
    ("token", "scopes"),
    ("token", "used_at"),
    ("session", "wrapped_writing_key"),
    ("portal_access", "pin_chosen_at"),
    ("client", "consent_version"),
    ("client", "consent_withdrawn_on"),
    ("practice", "consent_version"),
    ("practice", "requires_single_sign_on"),
    ("practice", "signs_out_at_provider"),
    ("practice", "tells_new_coach"),
    ("practice", "second_factor_roles"),
    ("practice", "language"),
    ("practice", "retention_profile"),
    ("practice", "retention_reason"),
    ("practice", "retention_years"),
    ("worksheet_response", "shared_read_at"),
    ("worksheet_response", "writing_key_id"),
    ("worksheet_upload", "read_at"),
    ("worksheet_upload", "writing_key_id"),
    ("user_account", "deputy_id"),
    ("user_account", "language"),
    ("user_account", "needs_cosignature"),
    ("user_account", "on_call_hours"),
    ("user_account", "phone"),
}
LATER_TABLES = {
    "access_denial",
    "alert",
    "alert_recipient",
    "alert_setting",
    "alert_step",
    "amendment_request",
    "audit_event_client",
    "client_merge",
    "client_safety",
    "conflict_question",
    "consent",
    "consent_text",
    "contact",
    "cover",
    "covered_client",
    "credential",
    "disclosure",
    "erasure",
    "emergency_access",
    "failure_count",
    "form_draft",
    "intake",
    "key_ring",
    "legal_hold",
    "note_addendum",
    "note_move",
    "note_return",
    "note_revision",
    "note_review",
    "note_signature",
    "passkey",
    "portal_invitation",
    "program",
    "phone_hash",
    "possible_conflict",
    "process_note",
    "remembered_device",
    "safety_event",
    "safety_plan",
    "security_event",
    "snippet",
    "transfer",
    "viewer_mark",
    "writing_key",
}
LATER_CODES = {
    ("case_event", "kind"): {"handed_over"},
    ("note", "format"): {"birp", "girp", "intake", "closing"},
    ("practice_help_line", "kind"): {"safeguarding", "children"},
}


def migration(revision: str) -> ModuleType:
    return ScriptDirectory.from_config(alembic_config()).get_revision(revision).module


NAMES, CONSTRAINTS, SAFETY = migration("0009"), migration("0010"), migration("0022")
# Tables that a later migration turned into others.
FORMER_TABLES = [*SAFETY.OLD_TABLES]
# Failed tries, which a later migration forgets.
FORGOTTEN = "attempt"
OLD_TABLES = {new: old for old, new in NAMES.TABLES.items()}
COLUMNS = NAMES.COLUMNS | {"care_team": {"since": "starts_at"}}
CODES = {**NAMES.VALUES, ("handout_draft", "state"): CONSTRAINTS.DRAFT_STATES}


def old_name(column: sa.Column[Any]) -> str:
    names = COLUMNS.get(column.table.name, {})
    return next((old for old, new in names.items() if new == column.name), column.name)


def old_codes(column: sa.Column[Any]) -> list[str]:
    renamed = CODES.get((column.table.name, column.name), {})
    new_codes = {*renamed.values(), *LATER_CODES.get((column.table.name, column.name), ())}
    return [*renamed, *(code for code in column.info.get("codes", ()) if code not in new_codes)]


def row_id(table: str, number: int) -> UUID:
    # A note refers to a screening by what is now an event.
    table = {"safety_event": "screening"}.get(table, table)
    tables = sorted({*METADATA.tables, *FORMER_TABLES})
    return UUID(int=(1 + tables.index(table)) << 64 | number + 1)


@cache
def wrapped_key(number: int) -> bytes:
    """Return the wrapped key of a client: safety data are sealed again when they are converted."""
    return new_wrapped_key(row_id("client", number))


def sealed_text(table: str, number: int) -> bytes | None:
    """Seal what somebody wrote with a screening, a hold or a flag, under the names that columns had then."""
    client_id = row_id("client", number)
    row = SimpleNamespace(__tablename__=table, id=row_id(table, number), client_id=client_id)
    key = unwrap_client_key(client_id, wrapped_key(number))
    return seal(row, SAFETY.FIRST_NAMES[table], f"{table} {number}", key)


def draft_level(number: int) -> int | None:
    """Return the highest level in the draft of a note of revision 0008; every other note is signed."""
    return number % 4 if number % 2 == 0 else None


def draft_answers(number: int) -> bytes | None:
    """Seal the answers in the draft of a note."""
    if draft_level(number) is None:
        return None
    client_id = row_id("client", number)
    row = SimpleNamespace(__tablename__="note", id=row_id("note", number), client_id=client_id)
    about = {"asked_alone": True, "actions_taken": [], "comment": ""}
    answers = {"answers": {"sleep": draft_level(number)}, **about}
    return seal_json(
        row, "draft_screening", answers, unwrap_client_key(client_id, wrapped_key(number))
    )


def safety_rows() -> dict[str, list[Row]]:
    """Make up screenings, holds and flags of revision 0016, some of them released and cleared."""
    rows: dict[str, list[Row]] = {table: [] for table in FORMER_TABLES}
    for number in range(ROWS):
        moment, is_ended = START + timedelta(hours=number, microseconds=number), number % 3 == 0
        screening, client = row_id("screening", number), row_id("client", number)
        person, later = row_id("user_account", number), moment + timedelta(days=8)
        rows["screening"].append(
            {
                "id": screening,
                "client_id": client,
                "recorded_at": moment,
                "recorded_by": person,
                "note_id": row_id("note", number),
                **{item: (number + n) % 5 for n, item in enumerate(SAFETY.ITEMS)},
                "asked_alone": number % 2 == 0,
                "actions_taken": ["gave_numbers"] * (number % 2),
                "comment": sealed_text("screening", number) if number % 4 else None,
            }
        )
        for item in SAFETY.ITEMS:
            if rows["screening"][-1][item] == 4:
                rows["screening"][-1][item] = None
        renewals = number % 3
        reasons = [
            {"item": "sleep", "level": 2, "screening": str(row_id("screening", number + n))}
            for n in range(1 + renewals)
        ]
        rows["hold"].append(
            {
                "id": row_id("hold", number),
                "client_id": client,
                "kind": ("care", "safety")[number % 2],
                "opened_at": moment,
                "opened_by": person,
                "reasons": reasons,
                "released_at": later if is_ended else None,
                "released_by": person if is_ended else None,
                "release_reason": sealed_text("hold", number) if is_ended else None,
                "version": 1 + renewals + is_ended,
            }
        )
        rows["flag"].append(
            {
                "id": row_id("flag", number),
                "client_id": client,
                "kind": SAFETY.FLAGS[number % len(SAFETY.FLAGS)],
                "source": ("person", "screening", "facts")[number % 3],
                "set_at": moment,
                "set_by": person,
                "cleared_at": later if is_ended else None,
                "cleared_by": person if is_ended else None,
                "clear_reason": sealed_text("flag", number) if is_ended else None,
            }
        )
    return rows


def opened(tables: dict[str, list[Row]]) -> dict[str, list[Row]]:
    """Return the rows of tables with the texts about safety opened: a text that is sealed again has other bytes."""
    keys = {row["client_id"]: row["wrapped"] for row in tables["client_key"]}
    found = dict(tables)
    for table in FORMER_TABLES:
        found[table] = []
        for row in tables[table]:
            # SQLite gives ids as texts.
            client_id, own_id = UUID(str(row["client_id"])), UUID(str(row["id"]))
            key = unwrap_client_key(client_id, keys[row["client_id"]])
            column = {SAFETY.TEXTS[table], SAFETY.FIRST_NAMES[table]} & row.keys()
            texts = {
                name: unseal_text(table, SAFETY.FIRST_NAMES[table], own_id, row[name], key)
                for name in column
            }
            found[table].append({**row, **texts})
    return found


def value(column: sa.Column[Any], number: int) -> Any:
    """Make up what row `number` has in a column before the migrations."""
    name, kind = column.name, column.type
    for key in column.foreign_keys:
        return row_id(key.column.table.name, number)
    if (column.table.name, name) == ("client_key", "wrapped"):
        return wrapped_key(number)
    if (column.table.name, name) == ("note", "draft_screening"):
        return draft_answers(number)
    if codes := old_codes(column):
        return codes[number % len(codes)]
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


def left_out_for(number: int) -> list[str]:
    """Return the codes of one case of a bulk assignment: none when the handout was assigned."""
    state = METADATA.tables["bulk_assignment_item"].c.state
    codes = [*NAMES.LIST_VALUES["bulk_assignment_item", "reasons"]]
    return [] if value(state, number) == "given" else codes[number % 5 :]


LATER_KINDS = {"declined_decision", "plan_review", "welfare_check"}
FORMER_KINDS = ["own", *(kind for kind in TASK_KINDS if kind not in {"custom", *LATER_KINDS})]


def former_kind(number: int) -> str:
    """Return a kind of follow-up, which was plain."""
    return FORMER_KINDS[number % len(FORMER_KINDS)]


def opened_kinds(tables: dict[str, list[Row]]) -> list[Row]:
    """Return the follow-ups with their kinds opened."""
    keys = {row["client_id"]: row["wrapped"] for row in tables["client_key"]}
    found = []
    for row in tables["follow_up"]:
        key = unwrap_client_key(UUID(str(row["client_id"])), keys[row["client_id"]])
        kind = unseal_code("follow_up", "kind", UUID(str(row["id"])), row["kind"], key)
        found.append({**row, "kind": kind})
    return found


FORMER_COLUMNS: dict[str, dict[str, Callable[[int], Any]]] = {
    "bulk_assignment_item": {"reasons": left_out_for},
    "client": {"phone_hash": "phone {}".format},
    "follow_up": {"kind": former_kind},
    "note": {"unrecorded_level": draft_level},
    # A later migration forgets failed tries.
    "portal_access": {"wrong_tries": lambda _number: 0},
    "user_account": {"password_hash": "hash {}".format},
}
FORMER_TYPES = {"reasons": SAFETY.JSON}


def fill(connection: sa.Connection) -> None:
    """Insert rows into every table of revision 0008, with every code that a column may have."""
    for table in METADATA.sorted_tables:
        if table.name in LATER_TABLES:
            continue
        columns = [c for c in table.columns if (table.name, c.name) not in LATER_COLUMNS]
        old = sa.table(
            OLD_TABLES.get(table.name, table.name),
            *(sa.column(old_name(column), column.type) for column in columns),
            *(
                sa.column(name, FORMER_TYPES.get(name))
                for name in FORMER_COLUMNS.get(table.name, ())
            ),
        )
        single = table.columns.get("id") is not None and table.c.id.info.get("range") == (1, 1)
        if single and connection.scalar(sa.select(sa.func.count()).select_from(old)):
            continue
        connection.execute(
            sa.insert(old),
            [
                {old_name(column): value(column, number) for column in columns}
                | {name: made(number) for name, made in FORMER_COLUMNS.get(table.name, {}).items()}
                for number in range(1 if single else ROWS)
            ],
        )


def fill_former_tables(connection: sa.Connection) -> None:
    """Insert rows into the tables of revision 0008 that are no more, under the names and codes of that revision."""
    for table, rows in safety_rows().items():
        names = {new: old for old, new in COLUMNS.get(table, {}).items()}
        converted = []
        for row in rows:
            old_row = {}
            for name, content in row.items():
                codes = {new: old for old, new in CODES.get((table, name), {}).items()}
                is_code = isinstance(content, str)
                old_row[names.get(name, name)] = codes.get(content, content) if is_code else content
            converted.append(old_row)
        former = SAFETY.OLD_TABLES[table]
        columns = (sa.column(names.get(c.name, c.name), c.type) for c in former.columns)
        connection.execute(sa.insert(sa.table(table, *columns)), converted)


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
            if table.name not in {"alembic_version", "sqlite_stat1", FORGOTTEN}
        }


def renamed(table: str, row: Row) -> Row:
    """Give a row of the old schema as it should stand in the new one."""
    names = COLUMNS.get(table, {})
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
        fill_former_tables(connection)
    return database_url


def check_ways_in(after: dict[str, list[Row]]) -> None:
    """Check what is new of sessions, tokens and settings, and take it out."""
    for row in after["practice"]:
        assert (row.pop("second_factor_roles"), row.pop("requires_single_sign_on")) == ([], False)
        assert row.pop("consent_version") == 0
        assert row.pop("tells_new_coach") is False
        assert row.pop("signs_out_at_provider") is False
        assert row.pop("retention_profile") is None
        assert (row.pop("retention_years"), row.pop("retention_reason")) == ({}, "")
    for row in after["session"]:
        assert (row.pop("assurance_level"), row.pop("method")) == (1, None)
        assert row.pop("wrapped_writing_key") is None
        assert row.pop("authenticated_at") == row["created_at"]
    for row in after["token"]:
        assert row.pop("expires_at").replace(tzinfo=UTC) > START
        assert "clients:write" in row.pop("scopes")
        assert (row.pop("used_at"), row.pop("program_id")) == (None, None)
    assert {row.pop("pin_chosen_at") for row in after["portal_access"]} == {None}


def check_notes(notes):
    """Check that each note counts with its own time and minutes, without an addendum or a move."""
    for row in notes:
        assert row.pop("actual_session_at") == row["session_at"]
        assert row.pop("actual_minutes") == row["minutes"]
        assert (row.pop("in_error"), row.pop("addenda"), row.pop("moves")) == (False, 0, 0)


def test_every_row_of_the_old_schema_comes_through_and_goes_back(old_database: sa.URL) -> None:
    before = contents(old_database)
    assert all(before.values())
    upgrade(old_database)
    after = contents(old_database)
    after["follow_up"] = opened_kinds(after)
    hashed = {row.pop("content_hash") for row in after["idempotency_key"]}
    assert hashed == {keyed_digests(row.pop("content"))[0] for row in before["once_key"]}
    events = after.pop("safety_event")
    assert len(events) > ROWS * 3
    assert {row["client_id"] for row in events} == {row["client_id"] for row in before["hold"]}
    passwords = {str(row["person_id"]): row["secret"] for row in after.pop("credential")}
    assert passwords == {
        str(row["id"]): row["password_hash"].encode() for row in before["user_account"]
    }
    hashes = {row["client_id"]: row["hash"] for row in after.pop("phone_hash")}
    assert hashes == {row["id"]: row["phone_hash"] for row in before["client"]}
    empty = LATER_TABLES - {"safety_event", "credential", "phone_hash"}
    assert [table for table in empty if after.pop(table)] == ["alert_setting"]
    check_notes(after["note"])
    assert {row.pop("has_unrecorded"): row["status"] for row in after["note"]} == {
        True: "draft",
        False: "signed",
    }
    why = {
        (row["state"], row.pop("failure"), row.pop("codes") is not None)
        for row in after["bulk_assignment_item"]
    }
    assert why == {
        ("assigned", None, False),
        ("skipped", "creator_inactive", False),
        ("skipped", None, True),
        ("waiting", None, True),
    }
    opened_at = {row["id"]: row.pop("opened_at") for row in after["assignment"]}
    assert {row.pop("language") for row in after["practice"]} == {"en-GB"}
    assert {(row.pop("location"), row.pop("message")) for row in after["idempotency_key"]} == {
        (None, None)
    }
    assert {(row.pop("language"), row.pop("is_merged")) for row in after["client"]} <= {
        (None, False),
        ("es", False),
    }
    consent = ("consent_version", "consent_withdrawn_on")
    for column in ("compared_as", "contact_confirmed_at", "contact_confirmed_by", *consent):
        assert {row.pop(column) for row in after["client"]} == {None}
    coaches = {(row.pop("from_coach_id"), row.pop("to_coach_id")) for row in after["case_event"]}
    assert coaches == {(None, None)}
    kept = ("role", "reason", "created_by", "ends_at")
    members = {tuple(map(row.pop, kept)) for row in after["care_team"]}
    assert {found[:-1] for found in members} == {("coach", "", None)}
    assert {str(found[-1])[:10] for found in members} == {"9999-12-31"}
    later = ("attempt", "episode_id", "not_before_at", "previous_id", "result")
    found = {tuple(map(row.pop, later)) for row in after["follow_up"]}
    assert found == {(1, None, None, None, None)}
    for table, shared, read in (
        ("worksheet_response", "shared_at", "shared_read_at"),
        ("worksheet_upload", "sent_at", "read_at"),
    ):
        assert all(
            (row.pop(read), row.pop("writing_key_id")) == (row[shared], None)
            for row in after[table]
        )
    assert {
        tuple(
            map(row.pop, ("deputy_id", "phone", "on_call_hours", "needs_cosignature", "language"))
        )
        for row in after["user_account"]
    } == {(None, "", "", False, None)}
    check_ways_in(after)
    chained = ("stream", "seq", "ring_number", "mac")
    assert {tuple(map(row.pop, chained)) for row in after["audit_event"]} == {(None,) * 4}
    expected = {
        NAMES.TABLES.get(old, old): [renamed(NAMES.TABLES.get(old, old), row) for row in rows]
        for old, rows in before.items()
        if old not in FORMER_TABLES
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
    assert opened_at == {assignment: first.get(assignment) for assignment in opened_at}
    downgrade(old_database, "0008")
    again = contents(old_database)
    assert {row.pop("content") for row in again["once_key"]} == hashed
    assert opened(again) == opened(before)


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
    assert max(len(FORMER_KINDS), *(len(old_codes(column)) for column in columns)) <= ROWS
