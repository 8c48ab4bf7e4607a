"""Every reference and coded column is constrained; names of constraints, indexes and triggers follow their tables.

`assignment.opened_at` is a column again, filled from the log of what clients read.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import sqlalchemy as sa
from alembic import op

if TYPE_CHECKING:
    from collections.abc import Collection

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# Table, then old name to new name.
CONSTRAINTS: dict[str, dict[str, str]] = {
    "audit_event": {
        "pk_audit_entry": "pk_audit_event",
        "uq_audit_entry_once": "uq_audit_event_dedup_key",
    },
    "idempotency_key": {"pk_once_key": "pk_idempotency_key"},
    "sign_in_attempt": {"pk_attempt": "pk_sign_in_attempt"},
    "handout_draft_revision": {
        "fk_draft_step_draft_id_handout_draft": "fk_handout_draft_revision_draft_id_handout_draft",
        "pk_draft_step": "pk_handout_draft_revision",
        "uq_draft_step_draft_id_number": "uq_handout_draft_revision_draft_id_number",
    },
    "handout_version": {
        "pk_edition": "pk_handout_version",
        "uq_edition_slug_language_number": "uq_handout_version_slug_language_number",
    },
    "practice_help_line": {"pk_local_line": "pk_practice_help_line"},
    "bulk_assignment": {
        "fk_giving_edition_id_edition": "fk_bulk_assignment_handout_version_id_handout_version",
        "pk_giving": "pk_bulk_assignment",
    },
    "client_name_word": {
        "fk_client_word_client_id_client": "fk_client_name_word_client_id_client",
        "pk_client_word": "pk_client_name_word",
    },
    "handout_version_review": {
        "fk_edition_review_edition_id_edition": "fk_handout_version_review_handout_version_id_handout_version",
        "pk_edition_review": "pk_handout_version_review",
    },
    "assignment": {
        "fk_assignment_edition_id_edition": "fk_assignment_handout_version_id_handout_version",
        "uq_assignment_client_id_place": "uq_assignment_client_id_position",
    },
    "bulk_assignment_item": {
        "fk_giving_item_assignment_id_assignment": "fk_bulk_assignment_item_assignment_id_assignment",
        "fk_giving_item_giving_id_giving": "fk_bulk_assignment_item_bulk_assignment_id_bulk_assignment",
        "fk_giving_item_case_id_coaching_case": "fk_bulk_assignment_item_case_id_coaching_case",
        "fk_giving_item_client_id_client": "fk_bulk_assignment_item_client_id_client",
        "pk_giving_item": "pk_bulk_assignment_item",
        "uq_giving_item_giving_id_case_id": "uq_bulk_assignment_item_bulk_assignment_id_case_id",
    },
    "worksheet_response": {
        "fk_answer_sheet_assignment_id_assignment": "fk_worksheet_response_assignment_id_assignment",
        "fk_answer_sheet_client_id_client": "fk_worksheet_response_client_id_client",
        "pk_answer_sheet": "pk_worksheet_response",
        "uq_answer_sheet_assignment_id": "uq_worksheet_response_assignment_id",
    },
    "worksheet_upload": {
        "fk_returned_file_assignment_id_assignment": "fk_worksheet_upload_assignment_id_assignment",
        "fk_returned_file_client_id_client": "fk_worksheet_upload_client_id_client",
        "pk_returned_file": "pk_worksheet_upload",
    },
}
# Old name to new name.
INDEXES: dict[str, str] = {
    "uq_flag_up": "uq_flag_active",
    "ix_audit_entry_actor": "ix_audit_event_actor",
    "ix_audit_entry_client": "ix_audit_event_client",
    "ix_audit_entry_at": "ix_audit_event_occurred_at",
    "ix_export_made": "ix_export_created_at",
    "ix_attempt_scope_at": "ix_sign_in_attempt_scope",
    "ix_giving_made_by": "ix_bulk_assignment_created_by",
    "ix_client_word_client": "ix_client_name_word_client",
    "ix_edition_review_edition_id": "ix_handout_version_review_handout_version_id",
    "ix_screening_client_at": "ix_screening_client_recorded_at",
    "ix_assignment_edition": "ix_assignment_handout_version",
    "ix_note_case_held": "ix_note_case_session_at",
    "ix_giving_item_client": "ix_bulk_assignment_item_client",
    "ix_giving_item_waiting": "ix_bulk_assignment_item_waiting",
    "ix_answer_sheet_client_id": "ix_worksheet_response_client_id",
    "ix_returned_file_assignment_id": "ix_worksheet_upload_assignment_id",
    "ix_returned_file_client_id": "ix_worksheet_upload_client_id",
}
# Table and column, then the table that it refers to.
FOREIGN_KEYS: dict[str, dict[str, str]] = {
    "client": {"created_by": "user_account"},
    "handout_draft_revision": {"recorded_by": "user_account"},
    "handout_version": {"recalled_by": "user_account"},
    "hidden_handout": {"hidden_by": "user_account"},
    "token": {"user_id": "user_account"},
    "bulk_assignment": {"created_by": "user_account"},
    "flag": {"cleared_by": "user_account", "set_by": "user_account"},
    "follow_up": {
        "assigned_to": "user_account",
        "completed_by": "user_account",
        "created_by": "user_account",
    },
    "handout_version_review": {"recorded_by": "user_account"},
    "hold": {"opened_by": "user_account", "released_by": "user_account"},
    "portal_access": {"invited_by": "user_account"},
    "screening": {"recorded_by": "user_account"},
    "assignment": {"assigned_by": "user_account", "withdrawn_by": "user_account"},
    "attestation": {"attested_by": "user_account"},
    "case_event": {"recorded_by": "user_account"},
    "note": {"screening_id": "screening", "signed_by": "user_account"},
}
# Table and what is checked, then the condition.
CHECKS: dict[str, dict[str, str]] = {
    "audit_event": {
        "actor_role": "actor_role IN ('coach', 'supervisor', 'admin', 'client', 'signing_in')",
        "outcome": "outcome IN ('done', 'refused')",
        "via": "via IN ('web', 'api', 'portal', 'cli', 'job')",
    },
    "case_counter": {"last": "last >= 1", "year": "year BETWEEN 1 AND 9999"},
    "export": {"format": "format IN ('csv', 'pdf')", "rows": "rows >= 0"},
    "handout_draft": {
        "language": "language IN ('en', 'es')",
        "number": "number >= 1",
        "state": "state IN ('draft', 'in_review', 'published', 'discarded')",
        "version": "version >= 1",
    },
    "outbox": {"attempts": "attempts >= 0"},
    "practice_logo": {"id": "id = 1"},
    "session": {"subject_kind": "subject_kind IN ('staff', 'client')"},
    "user_account": {"version": "version >= 1"},
    "client": {
        "consent_method": "consent_method IN ('', 'written', 'spoken')",
        "version": "version >= 1",
    },
    "handout_draft_revision": {
        "kind": "kind IN ('created', 'saved', 'submitted', 'withdrawn', 'returned', "
        "'published', 'discarded')",
        "number": "number >= 1",
    },
    "handout_version": {"language": "language IN ('en', 'es')", "number": "number >= 1"},
    "practice": {"id": "id = 1", "paper": "paper IN ('A4', 'Letter')", "version": "version >= 1"},
    "practice_help_line": {"kind": "kind IN ('crisis', 'dv', 'substance', 'ed', 'behaviour')"},
    "bulk_assignment": {
        "channel": "channel IN ('in_person', 'print', 'portal')",
        "language": "language IN ('en', 'es')",
    },
    "coaching_case": {
        "close_reason": "close_reason IN ('decision', 'goal_changed', 'no_movement', "
        "'referred', 'client_stopped')",
        "final_screening": "final_screening IN ('done', 'not_possible')",
        "goal": "goal IN ('undecided', 'together', 'apart_well', 'other')",
        "outcome": "outcome IN ('reunited', 'reconciling', 'separated', 'divorcing', "
        "'stopped_hoping', 'referred_care', 'referred_safety', "
        "'lost_contact', 'other')",
        "stage": "stage IN ('steady', 'understand', 'rebuild', 'contact', 'reconnect', "
        "'repair', 'close')",
        "version": "version >= 1",
    },
    "flag": {
        "kind": "kind IN ('contact_block', 'violence_flag', 'client_harm_flag', "
        "'self_harm_flag', 'eating_disorder_flag', 'withdrawal_risk', 'unsafe_delivery')",
        "source": "source IN ('person', 'screening', 'facts')",
    },
    "follow_up": {
        "kind": "kind IN ('recheck', 'referral', 'referral_outcome', 'safety_plan', "
        "'safety_24h', 'safety_72h', 'safety_7d', 'emergency_steps', 'duty_check', "
        "'tell_supervisor', 'close_screening', 'close_check_in', 'custom')",
        "origin_kind": "origin_kind IN ('person', 'screening', 'hold', 'case')",
        "version": "version >= 1",
    },
    "hold": {"version": "version >= 1"},
    "name_hash": {"whose": "whose IN ('client', 'partner')"},
    "portal_access": {"failed_pin_attempts": "failed_pin_attempts >= 0"},
    "screening": {
        "caring": "caring BETWEEN 0 AND 3",
        "eating": "eating BETWEEN 0 AND 3",
        "fear_at_home": "fear_at_home BETWEEN 0 AND 3",
        "harm_to_others": "harm_to_others BETWEEN 0 AND 3",
        "household": "household BETWEEN 0 AND 3",
        "self_harm": "self_harm BETWEEN 0 AND 3",
        "sleep": "sleep BETWEEN 0 AND 3",
        "substances": "substances BETWEEN 0 AND 3",
        "work": "work BETWEEN 0 AND 3",
    },
    "assignment": {
        "channel": "channel IN ('in_person', 'print', 'portal')",
        "position": "position >= 1",
        "stage": "stage IN ('steady', 'understand', 'rebuild', 'contact', 'reconnect', "
        "'repair', 'close')",
        "version": "version >= 1",
    },
    "case_event": {
        "from_stage": "from_stage IN ('steady', 'understand', 'rebuild', 'contact', "
        "'reconnect', 'repair', 'close')",
        "kind": "kind IN ('opened', 'moved', 'closed', 'reopened')",
        "to_stage": "to_stage IN ('steady', 'understand', 'rebuild', 'contact', "
        "'reconnect', 'repair', 'close')",
    },
    "note": {
        "format": "format IN ('dap', 'soap', 'free')",
        "minutes": "minutes BETWEEN 1 AND 600",
        "modality": "modality IN ('video', 'phone', 'in_person', 'messages')",
        "unrecorded_level": "unrecorded_level BETWEEN 0 AND 3",
        "version": "version >= 1",
    },
    "bulk_assignment_item": {
        "attempts": "attempts >= 0",
        "state": "state IN ('waiting', 'assigned', 'skipped')",
    },
    "worksheet_response": {"version": "version >= 1"},
    "worksheet_upload": {
        "reason": "reason IN ('no_form', 'wrong_form', 'broken')",
        "size": "size >= 0",
    },
}
# Table and column, then the most characters.
LENGTHS: dict[str, dict[str, int]] = {
    "audit_event": {"action": 40, "dedup_key": 32, "object_kind": 20, "request_id": 32},
    "handout_draft": {"based_on": 60, "slug": 60, "title": 200},
    "idempotency_key": {"content_hash": 64, "key": 80, "scope": 80},
    "outbox": {"kind": 40},
    "practice_logo": {"alternative": 120},
    "session": {"secret_hash": 64},
    "sign_in_attempt": {"scope": 64},
    "user_account": {"email": 254, "name": 120, "password_hash": 160},
    "client": {
        "email_hash": 26,
        "name": 120,
        "phone_hash": 26,
        "preferred_name": 60,
        "pronouns": 30,
    },
    "handout_draft_revision": {"reason": 300, "sha256": 64},
    "handout_version": {"recall_reason": 300, "sha256": 64, "slug": 60},
    "hidden_handout": {"slug": 60},
    "practice": {
        "contact": 200,
        "country": 2,
        "exit_url": 200,
        "name": 80,
        "region": 60,
        "tagline": 120,
        "zone": 40,
    },
    "practice_help_line": {"hours": 60, "name": 80, "phone": 30},
    "token": {"name": 80, "secret_hash": 64},
    "bulk_assignment": {"slug": 60},
    "client_key": {"wrapped_by": 16},
    "client_name_word": {"word": 60},
    "coaching_case": {"number": 16},
    "handout_version_review": {"clinician": 120},
    "name_hash": {"hash": 26},
    "portal_access": {"card_hash": 64, "link_hash": 64, "pin_hash": 160, "start_code_hash": 160},
    "attestation": {"criterion": 60},
    "note": {"sha256": 64},
}
TABLES = sorted({*CONSTRAINTS, *FOREIGN_KEYS, *CHECKS, *LENGTHS})
# Table, then old name to new name; the first ones are SQLite's, the others PostgreSQL's.
TRIGGERS: dict[str, dict[str, str]] = {
    "audit_event": {
        "audit_entry_no_update": "audit_event_no_update",
        "audit_entry_no_delete": "audit_event_no_delete",
        "audit_entry_no_replace": "audit_event_no_replace",
        "audit_entry_once_stands": "audit_event_no_duplicate",
        "audit_entry_no_change": "audit_event_no_change",
        "audit_entry_no_truncate": "audit_event_no_truncate",
    },
    "handout_draft_revision": {
        "draft_step_no_update": "handout_draft_revision_no_update",
        "draft_step_no_delete": "handout_draft_revision_no_delete",
        "draft_step_no_replace": "handout_draft_revision_no_replace",
        "draft_step_no_change": "handout_draft_revision_no_change",
        "draft_step_no_truncate": "handout_draft_revision_no_truncate",
    },
}
# What SQLite's triggers say, old to new; on PostgreSQL the table's own name stands there.
MESSAGES = {
    "audit entries never change": "audit events never change",
    "steps of a draft never change": "revisions of a draft never change",
}
# A draft's states are renamed here, since their CHECK and the index of open drafts change with them.
DRAFT_STATES = {"waiting": "in_review", "dropped": "discarded"}
DRAFT_STATE = "ck_handout_draft_state"
OLD_DRAFT_STATES = "state IN ('draft', 'waiting', 'published', 'dropped')"
OPEN_DRAFT = "uq_handout_draft_open"
BY_CLIENT = "ix_audit_entry_by_client"
# A client who did anything with a handout had opened it.
OPENED = """
    UPDATE assignment SET opened_at = (
        SELECT min(audit_event.occurred_at) FROM audit_event
        WHERE audit_event.actor_role = 'client' AND audit_event.outcome = 'done'
        AND audit_event.actor_id = assignment.client_id
        AND audit_event.object_id = assignment.id
    )
"""


def upgrade() -> None:
    op.add_column("assignment", sa.Column("opened_at", sa.DateTime(timezone=True), nullable=True))
    op.execute(OPENED)
    op.drop_index(BY_CLIENT, "audit_event")
    op.drop_index(OPEN_DRAFT, "handout_draft")
    _change("handout_draft", drop={DRAFT_STATE})
    _recode_drafts(DRAFT_STATES)
    _shorten_names()
    for table in TABLES:
        _change(table, rename=CONSTRAINTS.get(table, {}), add=_new_clauses(table))
    _rename_indexes(INDEXES)
    _rename_triggers(TRIGGERS, MESSAGES)
    _create_open_draft_index("in_review")
    op.create_index("ix_note_client_id", "note", ["client_id"])
    _analyze_again()


def _shorten_names() -> None:
    """Shorten the names that earlier versions stored without a limit on SQLite; PostgreSQL always had one."""
    if not _is_sqlite():
        return
    for table, column in (
        ("client", "preferred_name"),
        ("user_account", "name"),
        ("token", "name"),
    ):
        length = LENGTHS[table][column]
        op.execute(
            f'UPDATE "{table}" SET "{column}" = substr("{column}", 1, {length})'  # noqa: S608 - our own names
            f' WHERE length("{column}") > {length}'
        )


def downgrade() -> None:
    op.drop_index("ix_note_client_id", "note")
    op.drop_index(OPEN_DRAFT, "handout_draft")
    _rename_triggers(
        {table: _turned(names) for table, names in TRIGGERS.items()}, _turned(MESSAGES)
    )
    _rename_indexes(_turned(INDEXES))
    for table in reversed(TABLES):
        _change(table, rename=_turned(CONSTRAINTS.get(table, {})), drop=set(_new_clauses(table)))
    _recode_drafts(_turned(DRAFT_STATES))
    _change("handout_draft", add={DRAFT_STATE: _check(DRAFT_STATE, OLD_DRAFT_STATES)})
    _create_open_draft_index("waiting")
    by_client = sa.text("actor_role = 'client'")
    op.create_index(
        BY_CLIENT,
        "audit_event",
        ["object_id", "occurred_at"],
        sqlite_where=by_client,
        postgresql_where=by_client,
    )
    op.execute("ALTER TABLE assignment DROP COLUMN opened_at")
    _analyze_again()


def _turned(names: dict[str, str]) -> dict[str, str]:
    return {new: old for old, new in names.items()}


def _is_sqlite() -> bool:
    return op.get_bind().dialect.name == "sqlite"


def _check(name: str, condition: str) -> str:
    return f"CONSTRAINT {name} CHECK ({condition})"


def _new_clauses(table: str) -> dict[str, str]:
    """Return the constraints that a table gets, by name."""
    clauses = {}
    for column, parent in FOREIGN_KEYS.get(table, {}).items():
        name = f"fk_{table}_{column}_{parent}"
        clauses[name] = f"CONSTRAINT {name} FOREIGN KEY({column}) REFERENCES {parent} (id)"
    for what, condition in CHECKS.get(table, {}).items():
        name = f"ck_{table}_{what}"
        clauses[name] = _check(name, condition)
    # PostgreSQL enforces the length of a VARCHAR itself.
    for column, length in LENGTHS.get(table, {}).items() if _is_sqlite() else ():
        name = f"ck_{table}_{column}_length"
        clauses[name] = _check(name, f"length({column}) <= {length}")
    return clauses


def _change(
    table: str,
    *,
    rename: dict[str, str] | None = None,
    add: dict[str, str] | None = None,
    drop: Collection[str] = (),
) -> None:
    """Rename, add and drop constraints of a table with its rows in place."""
    rename, add = rename or {}, add or {}
    if not (rename or add or drop):
        return
    if _is_sqlite():
        _rebuild(table, rename, add, drop)
        return
    for name in drop:
        op.execute(f'ALTER TABLE "{table}" DROP CONSTRAINT "{name}"')
    for old, new in rename.items():
        op.execute(f'ALTER TABLE "{table}" RENAME CONSTRAINT "{old}" TO "{new}"')
    for clause in add.values():
        op.execute(f'ALTER TABLE "{table}" ADD {clause}')


def _rebuild(
    table: str, rename: dict[str, str], add: dict[str, str], drop: Collection[str]
) -> None:
    """Build a table anew, since SQLite cannot change constraints; its indexes and triggers come along."""
    connection = op.get_bind()
    stored = sa.text("SELECT type, sql FROM sqlite_master WHERE tbl_name = :table AND sql NOT NULL")
    found = connection.execute(stored, {"table": table}).all()
    clauses = []
    for clause in _split(next(row.sql for row in found if row.type == "table")):
        named = re.match(r'CONSTRAINT "?(\w+)"? ', clause)
        name = named[1] if named else ""
        if name not in drop:
            clauses.append(clause.replace(name, rename[name], 1) if name in rename else clause)
    definition = ",\n\t".join([*clauses, *add.values()])
    columns = ", ".join(
        f'"{column["name"]}"' for column in sa.inspect(connection).get_columns(table)
    )
    for statement in (
        f'CREATE TABLE "rebuilt" (\n\t{definition}\n)',
        f'INSERT INTO "rebuilt" ({columns}) SELECT {columns} FROM "{table}" ORDER BY rowid',  # noqa: S608
        f'DROP TABLE "{table}"',
        f'ALTER TABLE "rebuilt" RENAME TO "{table}"',
        *(row.sql for row in found if row.type != "table"),
    ):
        connection.exec_driver_sql(statement)


def _split(table_sql: str) -> list[str]:
    """Split the definition of a table into its columns and constraints."""
    clauses, depth, quote = [""], 0, ""
    for sign in table_sql[table_sql.index("(") + 1 : table_sql.rindex(")")]:
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "'\"":
            quote = sign
        else:
            depth += (sign == "(") - (sign == ")")
        if sign == "," and not depth and not quote:
            clauses.append("")
        else:
            clauses[-1] += sign
    return [clause.strip() for clause in clauses]


def _recode_drafts(states: dict[str, str]) -> None:
    draft = sa.table("handout_draft", sa.column("state", sa.Text))
    op.execute(
        sa.update(draft)
        .where(draft.c.state.in_(states))
        .values(state=sa.case(states, value=draft.c.state))
    )


def _create_open_draft_index(in_review: str) -> None:
    is_open = sa.text(f"state IN ('draft', '{in_review}')")
    op.create_index(
        OPEN_DRAFT,
        "handout_draft",
        ["slug", "language"],
        unique=True,
        sqlite_where=is_open,
        postgresql_where=is_open,
    )


def _rename_indexes(names: dict[str, str]) -> None:
    connection = op.get_bind()
    for old, new in names.items():
        if not _is_sqlite():
            op.execute(f'ALTER INDEX "{old}" RENAME TO "{new}"')
            continue
        sql = _stored_sql("index", old)
        connection.exec_driver_sql(f'DROP INDEX "{old}"')
        connection.exec_driver_sql(sql.replace(old, new, 1))


def _rename_triggers(tables: dict[str, dict[str, str]], messages: dict[str, str]) -> None:
    """Rename the triggers that each database has; on SQLite what they say changes as well."""
    connection = op.get_bind()
    for table, names in tables.items():
        for old, new in names.items():
            if not _is_sqlite():
                if _has_trigger(table, old):
                    op.execute(f'ALTER TRIGGER "{old}" ON "{table}" RENAME TO "{new}"')
                continue
            sql = _stored_sql("trigger", old)
            if not sql:
                continue
            sql = sql.replace(old, new, 1)
            for before, after in messages.items():
                sql = sql.replace(before, after)
            connection.exec_driver_sql(f'DROP TRIGGER "{old}"')
            connection.exec_driver_sql(sql)


def _stored_sql(kind: str, name: str) -> str:
    stored = sa.text("SELECT sql FROM sqlite_master WHERE type = :kind AND name = :name")
    return str(op.get_bind().execute(stored, {"kind": kind, "name": name}).scalar() or "")


def _has_trigger(table: str, name: str) -> bool:
    found = sa.text(
        "SELECT 1 FROM pg_trigger WHERE tgrelid = CAST(:table AS regclass) AND tgname = :name"
    )
    return op.get_bind().execute(found, {"table": table, "name": name}).scalar() is not None


def _analyze_again() -> None:
    """Count a SQLite database that had been counted: the statistics of a table go with the old one."""
    counted = sa.text("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_stat1'")
    if _is_sqlite() and op.get_bind().execute(counted).scalar():
        op.execute("ANALYZE")
