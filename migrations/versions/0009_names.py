"""Tables, columns and coded values take the names of the glossary; every row stays."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

if TYPE_CHECKING:
    from collections.abc import Iterator

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# Old name to new name.
TABLES: dict[str, str] = {
    "attempt": "sign_in_attempt",
    "client_word": "client_name_word",
    "audit_entry": "audit_event",
    "once_key": "idempotency_key",
    "giving": "bulk_assignment",
    "giving_item": "bulk_assignment_item",
    "answer_sheet": "worksheet_response",
    "returned_file": "worksheet_upload",
    "draft_step": "handout_draft_revision",
    "edition": "handout_version",
    "edition_review": "handout_version_review",
    "local_line": "practice_help_line",
}
# New table name, then old column name to new column name.
COLUMNS: dict[str, dict[str, str]] = {
    "outbox": {
        "made_at": "created_at",
        "not_before": "next_attempt_at",
        "tries": "attempts",
        "done_at": "delivered_at",
    },
    "coaching_case": {"changed_at": "updated_at"},
    "case_event": {"at": "occurred_at", "by": "recorded_by"},
    "attestation": {"at": "attested_at", "by": "attested_by"},
    "screening": {"at": "recorded_at"},
    "hold": {
        "cleared_at": "released_at",
        "cleared_by": "released_by",
        "clear_reason": "release_reason",
    },
    "flag": {
        "raised_at": "set_at",
        "raised_by": "set_by",
        "lowered_at": "cleared_at",
        "lowered_by": "cleared_by",
        "lower_reason": "clear_reason",
    },
    "follow_up": {
        "made_at": "created_at",
        "made_by": "created_by",
        "done_at": "completed_at",
        "done_by": "completed_by",
    },
    "audit_event": {"at": "occurred_at", "request": "request_id", "once": "dedup_key"},
    "idempotency_key": {"content": "content_hash", "made_id": "record_id", "at": "created_at"},
    "session": {"made_at": "created_at", "seen_at": "last_seen_at", "passed_pin": "pin_verified"},
    "sign_in_attempt": {"at": "occurred_at"},
    "token": {"made_at": "created_at", "ended_at": "revoked_at"},
    "user_account": {"made_at": "created_at"},
    "assignment": {"place": "position", "line": "message", "edition_id": "handout_version_id"},
    "bulk_assignment": {
        "edition_id": "handout_version_id",
        "made_at": "created_at",
        "made_by": "created_by",
    },
    "bulk_assignment_item": {
        "giving_id": "bulk_assignment_id",
        "line": "message",
        "tries": "attempts",
    },
    "worksheet_response": {"shared": "shared_answers"},
    "worksheet_upload": {"why": "reason"},
    "handout_version_review": {"edition_id": "handout_version_id"},
    "hidden_handout": {"since": "hidden_at", "by": "hidden_by"},
    "practice": {
        "changed_at": "updated_at",
        "numbers_confirmed_on": "help_lines_confirmed_on",
        "numbers_confirmed_by": "help_lines_confirmed_by",
    },
    "client": {
        "called": "preferred_name",
        "consent_how": "consent_method",
        "made_at": "created_at",
        "made_by": "created_by",
    },
    "care_team": {"since": "joined_at"},
    "note": {
        "held_at": "session_at",
        "how": "modality",
        "made_at": "created_at",
        "changed_at": "updated_at",
    },
    "export": {"made_at": "created_at", "made_by": "created_by"},
    "practice_help_line": {"added_at": "created_at", "added_by": "created_by"},
    "practice_logo": {"changed_at": "updated_at"},
    "handout_draft": {"started_at": "created_at", "changed_at": "updated_at"},
    "handout_draft_revision": {"at": "recorded_at", "by": "recorded_by"},
    "portal_access": {
        "wrong_tries": "failed_pin_attempts",
        "link_until": "link_expires_at",
        "first_entered_at": "first_signed_in_at",
    },
}
# New table name and new column name, then old code to new code.
VALUES: dict[tuple[str, str], dict[str, str]] = {
    ("follow_up", "kind"): {"own": "custom"},
    ("audit_event", "action"): {
        "assignment.make": "assignment.create",
        "flag.lower": "flag.clear",
        "flag.raise": "flag.set",
        "hold.clear": "hold.release",
    },
    ("audit_event", "actor_role"): {"arriving": "signing_in"},
    ("audit_event", "object_kind"): {
        "giving": "bulk_assignment",
        "log": "audit_event",
        "edition": "handout_version",
        "line": "help_line",
    },
    ("bulk_assignment_item", "state"): {"given": "assigned", "left_out": "skipped"},
    ("handout_draft_revision", "kind"): {
        "started": "created",
        "sent": "submitted",
        "dropped": "discarded",
    },
    ("outbox", "kind"): {"giving": "bulk_assignment"},
    ("worksheet_upload", "reason"): {"other_sheet": "wrong_form"},
}

# New table name and new column name of a JSON list of codes, then old code to new code.
LIST_VALUES: dict[tuple[str, str], dict[str, str]] = {
    ("bulk_assignment_item", "reasons"): {
        "already_given": "already_assigned",
        "case_gone": "case_not_found",
        "channel_not_offered": "channel_not_available",
        "fault": "failed",
        "sender_gone": "creator_inactive",
    },
}


PAYLOAD = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    for old, new in TABLES.items():
        op.rename_table(old, new)
    for table, columns in COLUMNS.items():
        for old, new in columns.items():
            op.execute(f'ALTER TABLE "{table}" RENAME COLUMN "{old}" TO "{new}"')
    for (table, column), codes in VALUES.items():
        _recode(table, column, codes)
    for (table, column), codes in LIST_VALUES.items():
        _recode_list(table, column, codes)
    _rename_payload_key("giving", "bulk_assignment")


def downgrade() -> None:
    _rename_payload_key("bulk_assignment", "giving")
    for (table, column), codes in LIST_VALUES.items():
        _recode_list(table, column, {new: old for old, new in codes.items()})
    for (table, column), codes in VALUES.items():
        _recode(table, column, {new: old for old, new in codes.items()})
    for table, columns in COLUMNS.items():
        for old, new in columns.items():
            op.execute(f'ALTER TABLE "{table}" RENAME COLUMN "{new}" TO "{old}"')
    for old, new in TABLES.items():
        op.rename_table(new, old)


def _recode(table: str, column: str, codes: dict[str, str]) -> None:
    """Replace codes in one column; several at once, so that two codes may change places."""
    place = sa.table(table, sa.column(column, sa.Text))
    with _triggers_off(table):
        op.execute(
            sa.update(place)
            .where(place.c[column].in_(codes))
            .values({column: sa.case(codes, value=place.c[column])})
        )


def _rename_payload_key(old: str, new: str) -> None:
    """Rename the key by which queued work names its bulk assignment."""
    outbox = sa.table("outbox", sa.column("id", sa.Uuid), sa.column("payload", PAYLOAD))
    connection = op.get_bind()
    for row in connection.execute(sa.select(outbox)).all():
        if old in row.payload:
            payload = {new if key == old else key: value for key, value in row.payload.items()}
            connection.execute(
                sa.update(outbox).where(outbox.c.id == row.id).values(payload=payload)
            )


def _recode_list(table: str, column: str, codes: dict[str, str]) -> None:
    """Replace codes in a column of JSON lists; a code never contains another one between quotes."""
    postgresql = op.get_bind().dialect.name == "postgresql"
    for old, new in codes.items():
        text = f'CAST("{column}" AS TEXT)'
        changed = f"replace({text}, '\"{old}\"', '\"{new}\"')"
        value = f"CAST({changed} AS JSONB)" if postgresql else changed
        op.execute(
            f'UPDATE "{table}" SET "{column}" = {value} WHERE {text} LIKE \'%"{old}"%\''  # noqa: S608 - constants
        )


@contextmanager
def _triggers_off(table: str) -> Iterator[None]:
    """Take off the triggers that guard a table against changes, and put them back, in this migration's transaction."""
    connection = op.get_bind()
    if connection.dialect.name == "postgresql":
        op.execute(f'ALTER TABLE "{table}" DISABLE TRIGGER USER')
        yield
        op.execute(f'ALTER TABLE "{table}" ENABLE TRIGGER USER')
        return
    guards = connection.execute(
        sa.text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = :table"),
        {"table": table},
    ).all()
    for guard in guards:
        op.execute(f'DROP TRIGGER "{guard.name}"')
    yield
    for guard in guards:
        connection.exec_driver_sql(guard.sql)
