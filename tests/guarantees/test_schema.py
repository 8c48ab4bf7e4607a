"""Every column says what it may hold, and both databases enforce it."""

from __future__ import annotations

import re
from datetime import date
from itertools import chain
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.settings import ROOT
from caseapp.core.transaction import transaction
from caseapp.domain.models import METADATA

if TYPE_CHECKING:
    from collections.abc import Iterator

Column = sa.Column[Any]
COLUMNS = [column for table in METADATA.sorted_tables for column in table.columns]
# Shorter texts are codes, unless they are one of these.
SHORTEST_FREE_TEXT = 25
SHORT_FREE_TEXTS = {("coaching_case", "number")}
# Names that say nothing of what happened, or that another name is used for.
VAGUE_NAMES = {
    "at",
    "by",
    "since",
    "made_at",
    "made_by",
    "changed_at",
    "changed_by",
    "modified_at",
    "added_at",
    "added_by",
    "started_at",
    "done_by",
}
# Tables that hold the rows that they may hold from the start.
FILLED = {"alert_setting", "practice", "practice_logo", "key_ring"}
# Read by their case, never by their client.
READ_BY_CASE = {"case_event", "attestation"}


# Tables about nobody whom the practice coaches.
NOT_ABOUT_CLIENTS = {
    "alert_setting",
    "case_counter",
    "cover",
    "credential",
    "export",
    "handout_draft",
    "handout_draft_revision",
    "handout_version",
    "handout_version_review",
    "hidden_handout",
    "key_ring",
    "passkey",
    "program",
    "practice",
    "practice_help_line",
    "practice_logo",
    "session",
    "snippet",
    "token",
    "user_account",
    "conflict_question",
}
# Every plain text, number, truth value and list of a table about clients, by why it tells neither the kind of a hold,
# flag, alert or follow-up nor a level. Whatever does is sealed, and filled up to one length (`core.vault.seal_code`).
PLAIN = {
    "A number or key that the application has drawn or counted.": {
        "client_key.wrapped_by",
        "client_safety.seq",
        "form_draft.ring_number",
        "intake.ring_number",
        "process_note.ring_number",
        "writing_key.pin_salt",
        "writing_key.public_key",
        "writing_key.ring_number",
        "writing_key.tries",
        "amendment_request.seq",
        "note_addendum.key_number",
        "note_addendum.seq",
        "note_move.key_number",
        "note_move.seq",
        "note_return.seq",
        "note_signature.key_number",
        "safety_event.seq",
        "safety_plan.seq",
        "assignment.position",
        "coaching_case.number",
        "audit_event.request_id",
        "audit_event.dedup_key",
        "audit_event.ring_number",
        "audit_event.seq",
        "audit_event.stream",
        "idempotency_key.key",
        *(
            f"{table}.version"
            for table in (
                "assignment",
                "client",
                "coaching_case",
                "covered_client",
                "follow_up",
                "note",
                "process_note",
                "worksheet_response",
            )
        ),
    },
    "A keyed hash, or a hash of something drawn or of text that nobody could guess.": {
        "client.email_hash",
        "idempotency_key.content_hash",
        "name_hash.hash",
        "note.sha256",
        "note_addendum.digest",
        "note_signature.digest",
        "phone_hash.hash",
        "portal_access.card_hash",
        "portal_access.link_hash",
        "portal_access.pin_hash",
        "portal_access.start_code_hash",
        "portal_invitation.needs_card",
        "remembered_device.device_hash",
        "remembered_device.kind",
        "portal_invitation.way",
        "viewer_mark.bucket",
    },
    "Whether a supervisor lets somebody new be coached here; of nobody else's record anything.": {
        "intake.is_allowed"
    },
    "Who the client is, how they are spoken to and what they agreed to.": {
        "client.compared_as",
        "client.consent_method",
        "client.consent_version",
        "consent.kind",
        "consent_text.language",
        "consent_text.version",
        "consent_text.words",
        "client.is_merged",
        "client.language",
        "client.name",
        "client.preferred_name",
        "client.pronouns",
        "client_name_word.word",
        "name_hash.whose",
    },
    "How coaching goes on and ends, as lists and reports count it, with the criteria of a move that a coach attests.": {
        "assignment.stage",
        "attestation.criterion",
        "care_team.reason",
        "case_event.from_stage",
        "case_event.kind",
        "case_event.to_stage",
        "coaching_case.close_reason",
        "coaching_case.final_screening",
        "coaching_case.goal",
        "coaching_case.outcome",
        "coaching_case.stage",
        "coaching_case.status",
        "contact.kind",
        "transfer.state",
    },
    "How something is handed over, noted down or sent back, or how often it was tried.": {
        "assignment.channel",
        "bulk_assignment.channel",
        "bulk_assignment.language",
        "bulk_assignment.slug",
        "bulk_assignment_item.attempts",
        "bulk_assignment_item.confirmed",
        "bulk_assignment_item.failure",
        "bulk_assignment_item.state",
        "note.actual_minutes",
        "note.addenda",
        "note.format",
        "note.in_error",
        "note.minutes",
        "note.modality",
        "note.moves",
        "note.status",
        "note_addendum.kind",
        "note_addendum.role",
        "note_addendum.zone",
        "note_move.addenda",
        "note_move.role",
        "note_move.zone",
        "amendment_request.state",
        "note_review.state",
        "note_signature.meaning",
        "note_signature.role",
        "note_signature.zone",
        "outbox.attempts",
        "worksheet_upload.reason",
        "worksheet_upload.size",
    },
    "That there is an alert, a hold or an answer that isn't recorded, and whom it concerns; not which.": {
        "alert_recipient.step",
        "alert_step.step",
        "care_team.role",
        "follow_up.origin_kind",
        "note.has_unrecorded",
    },
    "Why a record is to be erased or kept, in the words of the law, and how many rows an erasure met.": {
        "erasure.counts",
        "erasure.ground",
        "erasure.refusal",
        "erasure.sha256",
        "erasure.state",
        "erasure.vault_keys",
        "legal_hold.kind",
        "legal_hold.lift_reason",
    },
    "The so many-eth attempt of anything.": {"follow_up.attempt"},
    "Failed tries to sign in, counted by what they share and by the hour.": {
        "failure_count.failures",
        "failure_count.scope",
        "security_event.kind",
        "security_event.times",
    },
    "The week of a hold, as its time of opening, which is plain in its event.": {
        "viewer_mark.week"
    },
    "Addresses and what follows a form: they carry ids, never kinds or levels.": {
        "form_draft.form",
        "form_draft.path",
        "idempotency_key.location",
        "idempotency_key.message",
        "idempotency_key.scope",
    },
    "Ids of an alert, a client, a person or a mail that is sent; emails name nobody and no reason.": {
        "outbox.kind",
        "outbox.payload",
    },
    "The log: what was done to which record. Its details are ids, names of fields, and codes that tell no kind.": {
        "audit_event.action",
        "audit_event.actor_role",
        "audit_event.details",
        "audit_event.object_kind",
        "audit_event.outcome",
        "audit_event.via",
    },
}


def named(columns: list[Column]) -> list[str]:
    return [f"{column.table.name}.{column.name}" for column in columns]


def length(column: Column) -> int | None:
    found: int | None = getattr(column.type, "length", None)
    return found


def checks(column: Column) -> list[str]:
    """Return the conditions of a table's CHECKs that mention a column."""
    texts = [
        str(check.sqltext.compile(compile_kwargs={"literal_binds": True}))
        for check in column.table.constraints
        if isinstance(check, sa.CheckConstraint)
    ]
    return [text for text in texts if re.search(rf"\b{column.name}\b", text)]


def test_every_reference_has_a_foreign_key_or_says_why_not() -> None:
    loose = [
        column
        for column in COLUMNS
        if isinstance(column.type, sa.Uuid)
        and not column.foreign_keys
        and not (column.name == "id" and column.primary_key)
        and not column.info.get("unconstrained")
    ]
    assert named(loose) == []


def test_every_coded_text_and_number_has_a_check_or_says_why_not() -> None:
    loose = [
        column
        for column in COLUMNS
        if not column.info.get("unconstrained")
        and (
            (
                isinstance(column.type, sa.String)
                and "codes" not in column.info
                and (length(column) or 0) < SHORTEST_FREE_TEXT
                and (column.table.name, column.name) not in SHORT_FREE_TEXTS
            )
            or (isinstance(column.type, sa.Integer) and "range" not in column.info)
        )
    ]
    assert named(loose) == []


def test_nothing_plain_about_a_client_tells_a_kind_or_a_level() -> None:
    about_clients = [
        table for table in METADATA.sorted_tables if table.name not in NOT_ABOUT_CLIENTS
    ]
    kinds = (sa.String, sa.Integer, sa.Boolean, sa.JSON, sa.Numeric)
    found = {
        f"{table.name}.{column.name}"
        for table in about_clients
        for column in table.columns
        if isinstance(column.type, kinds)
    }
    assert sorted(chain.from_iterable(PLAIN.values())) == sorted(found)
    others = [METADATA.tables[name] for name in NOT_ABOUT_CLIENTS]
    assert [
        table.name
        for table in others
        if "client_id" in table.columns
        or any(key.column.table in about_clients for key in table.foreign_keys)
    ] == []


def test_every_text_has_a_length_that_is_checked() -> None:
    texts = [column for column in COLUMNS if isinstance(column.type, sa.String)]
    assert texts
    loose = [
        column
        for column in texts
        if not checks(column) and not (column.info.get("unconstrained") and not length(column))
    ]
    assert named(loose) == []
    too_short = [
        column
        for column in texts
        if length(column) and max(map(len, column.info.get("codes", ("",)))) > length(column)
    ]
    assert named(too_short) == []


def test_reasons_for_no_constraint_are_sentences() -> None:
    reasons = [column.info["unconstrained"] for column in COLUMNS if "unconstrained" in column.info]
    assert [reason for reason in reasons if not re.fullmatch(r"[A-Z`].{10,}\.", reason)] == []


def test_every_client_id_is_indexed_or_read_by_case() -> None:
    loose = []
    for table in METADATA.sorted_tables:
        if "client_id" not in table.columns or table.name in READ_BY_CASE:
            continue
        firsts = [next(iter(index.columns)).name for index in table.indexes]
        firsts += [
            next(iter(constraint.columns)).name
            for constraint in table.constraints
            if isinstance(constraint, sa.PrimaryKeyConstraint | sa.UniqueConstraint)
        ]
        if "client_id" not in firsts:
            loose.append(table.name)
    assert loose == []


def test_times_and_people_are_named_alike() -> None:
    assert named([column for column in COLUMNS if column.name in VAGUE_NAMES]) == []
    unlike = [
        column
        for column in COLUMNS
        if (isinstance(column.type, sa.Date) and not re.search(r"_(on|date)$", column.name))
        or (type(column.type).__name__ == "UTCTime" and not re.search(r"_(at|since)$", column.name))
        or (column.name.endswith("_by") and not isinstance(column.type, sa.Uuid | sa.String))
    ]
    assert named(unlike) == []


def test_business_state_is_never_read_from_the_audit_log() -> None:
    """Only the log's own pages and the guard against duplicates select from it."""
    readers = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "caseapp").rglob("*.py")
        if path.name != "models.py"
        and ("AuditEvent." in path.read_text() or "audit_event." in path.read_text())
    }
    assert readers == {
        "caseapp/domain/audit/chain.py",
        "caseapp/domain/audit/checkpoints.py",
        "caseapp/domain/audit/export.py",
        "caseapp/domain/audit/queries.py",
    }


def literals(text: str) -> list[str]:
    return sorted(re.findall(r"'[^']*'|\b\d+\b", text))


@pytest.mark.slow
@pytest.mark.both
def test_database_has_the_checks_and_keys_of_the_models(app: object) -> None:
    """Alembic's comparison leaves out CHECKs and names."""
    preparer = db.engine.dialect.identifier_preparer
    inspector = sa.inspect(db.engine)
    for table in METADATA.sorted_tables:
        found = {
            check["name"]: literals(check["sqltext"])
            for check in inspector.get_check_constraints(table.name)
        }
        expected = {}
        for check in table.constraints:
            if not isinstance(check, sa.CheckConstraint):
                continue
            if check._ddl_if is not None and db.engine.dialect.name != "sqlite":  # noqa: SLF001 - no public name
                continue
            text = str(check.sqltext.compile(compile_kwargs={"literal_binds": True}))
            expected[preparer.format_constraint(check)] = literals(text)
        assert found == expected, table.name
        names = {key["name"] for key in inspector.get_foreign_keys(table.name)}
        names |= {key["name"] for key in inspector.get_unique_constraints(table.name)}
        names |= {inspector.get_pk_constraint(table.name)["name"]}
        assert names == {
            preparer.format_constraint(constraint)
            for constraint in table.constraints
            if not isinstance(constraint, sa.CheckConstraint)
        }, table.name
        indexes = {
            index["name"]
            for index in inspector.get_indexes(table.name)
            if not index.get("duplicates_constraint")
        }
        assert indexes == {index.name for index in table.indexes}, table.name


def good_value(column: Column) -> Any:
    """Return a value that the column's own CHECK accepts."""
    if "codes" in column.info:
        return column.info["codes"][0]
    if "range" in column.info:
        return column.info["range"][0]
    if isinstance(column.type, sa.String):
        return f"own-{uuid4().hex}"[: length(column)]
    values: dict[type[Any], Any] = {
        sa.Uuid: uuid4(),
        sa.LargeBinary: b"sealed",
        sa.Boolean: True,
        sa.Date: date(2026, 1, 1),
        sa.JSON: {},
        sa.TypeDecorator: now(),
    }
    return next(value for kind, value in values.items() if isinstance(column.type, kind))


def bad_values(column: Column) -> Iterator[Any]:
    """Return values that a column must refuse."""
    if "codes" in column.info:
        yield "?"
    elif "range" in column.info:
        smallest, largest = column.info["range"]
        yield smallest - 1
        if largest is not None:
            yield largest + 1
    elif isinstance(column.type, sa.String) and length(column):
        yield "x" * (length(column) + 1)
    if column.foreign_keys:
        yield UUID(int=1)


def good_row(session: Any, table: sa.Table) -> dict[str, Any]:
    """Make up a row whose references exist, each parent made for it alone."""
    row = {column.name: good_value(column) for column in table.columns if not column.nullable}
    for column in table.columns:
        for key in column.foreign_keys:
            if column.name in row:
                parent = good_row(session, key.column.table)
                session.execute(sa.insert(key.column.table).values(parent))
                row[column.name] = parent["id"]
    return row


def refusal(column: Column) -> str:
    """Return a pattern for what a database says when it refuses a wrong value of a column."""
    if column.foreign_keys:
        return rf"FOREIGN KEY constraint failed|fk_{column.table.name}_{column.name}_"
    return rf"ck_{column.table.name}_{column.name}|value too long"


@pytest.mark.slow
@pytest.mark.both
def test_database_refuses_wrong_codes_numbers_lengths_and_references(app: object) -> None:
    tries = [(column, value) for column in COLUMNS for value in bad_values(column)]
    assert tries
    wrong = []
    for column, value in tries:
        table = column.table
        try:
            with transaction() as session:
                if table.name in FILLED:
                    session.execute(sa.delete(table))
                row = good_row(session, table) | {column.name: value}
                session.execute(sa.insert(table).values(row))
        except (sa.exc.IntegrityError, sa.exc.DataError) as error:
            if re.search(refusal(column), str(error.orig)):
                continue
        wrong.append((table.name, column.name, value))
    assert wrong == []


@pytest.mark.slow
@pytest.mark.both
def test_database_takes_rows_within_the_constraints(app: object) -> None:
    for table in METADATA.sorted_tables:
        with transaction() as session:
            if table.name in FILLED:
                session.execute(sa.delete(table))
            before = session.scalar(sa.select(sa.func.count()).select_from(table)) or 0
            session.execute(sa.insert(table).values(good_row(session, table)))
            after = session.scalar(sa.select(sa.func.count()).select_from(table))
        # A referenced row of the same table may have been inserted too.
        assert (after or 0) > before, table.name
