"""Signed checkpoints: the ends of all streams, written outside the database, so that an earlier database shows.

A checkpoint is a line of a file for each month. It is numbered, holds a hash of the line before and one of the events
since then, and is signed (Ed25519) with a key that is derived from the ring's key for signatures. So whoever has its
public half can verify events without the secret key of their chain. It also holds the end of the list of erased
records.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
import structlog
from marshmallow import ValidationError

from caseapp.core import settings
from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import Invalid, Reason, RuleBroken
from caseapp.core.permissions import Action
from caseapp.core.schemas import WrittenReason
from caseapp.core.transaction import separate_transaction
from caseapp.domain.audit.models import STREAMS, AuditEvent
from caseapp.domain.audit.operations import (
    are_checkpoints_recorded,
    record,
    record_checkpoints,
)
from caseapp.domain.audit.signing import ADVISORY_LOCK, public_keys, sign
from caseapp.domain.audit.stored_log_verification import read_part
from caseapp.domain.audit.tombstones import get_mark, list_mark_faults, tombstone_path
from caseapp.domain.audit.verifier import (
    CheckpointBroken,
    UnknownCheckpointKey,
    hash_lines,
    list_marks,
    open_checkpoint,
    read_checkpoints,
)

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy.engine import Connection

    from caseapp.domain.audit.verifier import Checkpoint

GET_ENDS = sa.select(AuditEvent.stream, AuditEvent.seq, AuditEvent.mac).where(
    sa.or_(
        *(
            sa.and_(
                AuditEvent.stream == stream,
                AuditEvent.seq
                == sa.select(sa.func.max(AuditEvent.seq))
                .where(AuditEvent.stream == stream)
                .scalar_subquery(),
            )
            for stream in range(STREAMS)
        )
    )
)
WAY_OUT = (
    "Restore a database and a folder that belong together, but keep the newest erasures.jsonl: without it erased "
    "records come back unnoticed. If this database is the right one: caseapp audit accept-rollback --reason …"
)
ACCEPTANCE = WrittenReason("Write what happened to the database", 10, 300)

log = structlog.get_logger()


def write_checkpoint(*, accepted: bool = False) -> int | None:
    """Write a checkpoint unless nothing was logged since the last one; return its number.

    One process writes at a time. `accepted` says that somebody has accepted the log as it stands; else nothing is
    written, and an error logged, while the last checkpoint names another log or all checkpoints are gone.
    """
    folder = settings.active().checkpoint_dir
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with separate_transaction() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({ADVISORY_LOCK})")
        line = _read_last_line()
        last = None
        with suppress(CheckpointBroken):
            last = open_checkpoint(line, public_keys()) if line is not None else None
        if not accepted and _list_faults(connection, line):
            log.error("audit.rolled_back")
            return None
        ends, mark = _get_ends(connection), get_mark()
        # An erasure is logged before it has its tombstone.
        before = (last["ends"], last.get("erasures", [0, ""])) if last else ({}, mark)
        if not accepted and (ends, mark) == before:
            return None
        number = (last["number"] if last else 0) + 1
        known = last["ends"] if last and not accepted else {}
        hashes = _hash_events(connection, known, ends)
        _append(folder, _sign(number, ends, hashes, mark, line or "", accepted=accepted))
        # After the line, since a checkpoint that isn't there must never be missed.
        record_checkpoints(connection)
    log.info("audit.checkpoint", number=number)
    return number


def _get_ends(connection: Connection) -> dict[str, list[Any]]:
    rows = connection.execute(GET_ENDS)
    return {str(stream): [seq, (mac or b"").hex()] for stream, seq, mac in rows}


def _hash_events(
    connection: Connection, before: dict[str, list[Any]], ends: dict[str, list[Any]]
) -> dict[str, list[Any]]:
    """Return, for each stream that has grown since `before`, the number of the first new event and a hash of them."""
    found: dict[str, list[Any]] = {}
    for stream, (end, _) in ends.items():
        first = before.get(stream, [0])[0] + 1
        if first <= end:
            entries = read_part(connection, int(stream), first, end)
            found[stream] = [first, hash_lines(line for _, line in entries)[1]]
    return found


def _sign(
    number: int,
    ends: dict[str, list[Any]],
    hashes: dict[str, list[Any]],
    erasures: list[Any],
    before: str,
    *,
    accepted: bool,
) -> str:
    content = {
        "number": number,
        "at": f"{now():%Y-%m-%d %H:%M:%S}",
        "accepted": accepted,
        "ends": ends,
        "hashes": hashes,
        "erasures": erasures,
        "previous": hashlib.sha256(before.encode()).hexdigest(),
    }
    return json.dumps(sign(content))


def _append(folder: Path, line: str) -> None:
    """Append a line and wait until it is on the disk; what a power cut has left of a line is removed first.

    The file is never an earlier one than that of the last line, also where the clock has gone back.
    """
    path = max([folder / f"checkpoints-{now():%Y-%m}.jsonl", *_list_files()])
    with path.open("a+b") as file:
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
        file.write(f"{line}\n".encode())
        file.flush()
        os.fsync(file.fileno())


def _read_lines(path: Path) -> list[str]:
    """Read the whole lines of a file; what isn't text in them stays as a line that isn't signed."""
    return path.read_bytes().decode(errors="replace").split("\n")[:-1]


def _list_files() -> list[Path]:
    return sorted(settings.active().checkpoint_dir.glob("checkpoints-*.jsonl"))


def _read_last_line() -> str | None:
    """Return the last line of all files, which may be blank; None when there is no line."""
    found = (lines[-1] for path in reversed(_list_files()) if (lines := _read_lines(path)))
    return next(found, None)


def read_counting() -> list[Checkpoint]:
    """Return the checkpoints that count, oldest first: the last one that was accepted, and those after it.

    Raises CheckpointBroken when a line was changed, removed, added or moved.
    """
    lines = read_lines()
    if not lines and are_checkpoints_recorded(db.session.connection()):
        raise CheckpointBroken("All checkpoints are missing")
    return read_checkpoints(lines, public_keys())


def read_lines() -> list[str]:
    """Read the lines of all checkpoints, oldest first."""
    return [line for path in _list_files() for line in _read_lines(path)]


def list_rollback_faults() -> list[Reason]:
    """List why an application may not start with this database and these checkpoints.

    The database isn't the one of the last checkpoint, or later; all checkpoints are gone; or the list of erased records
    isn't the one of the last checkpoint, or a longer one.
    """
    return _list_faults(db.session.connection(), _read_last_line())


def _list_faults(connection: Connection, line: str | None) -> list[Reason]:
    """List what is wrong with a log whose last checkpoint is `line`, or None when there is none."""
    if line is None:
        # A database that was never set up has no log.
        missing = sa.inspect(connection).has_table("audit_event") and are_checkpoints_recorded(
            connection
        )
        folder = settings.active().checkpoint_dir
        text = f"Checkpoints of the log were written, but there are none in {folder}."
        return [Reason("checkpoints_missing", text, WAY_OUT)] if missing else []
    try:
        last = open_checkpoint(line, public_keys())
    except UnknownCheckpointKey as fault:
        text = f"{fault}: this database is older than that key, or belongs to another installation."
        return [Reason("checkpoint_unknown_key", text, WAY_OUT)]
    except CheckpointBroken:
        return [Reason("checkpoint_broken", "The last checkpoint of the log was changed.", WAY_OUT)]
    found = list_mark_faults(last.get("erasures"))
    wrong = _list_wrong_streams(connection, last)
    if not wrong:
        return found
    return [
        *found,
        Reason(
            "rolled_back",
            f"This database is older than checkpoint {last['number']} of {last['at']}, or a different one: "
            f"{len(wrong)} of {len(last['ends'])} streams of its log don’t match.",
            WAY_OUT,
        ),
    ]


def is_list_cut() -> bool:
    """Tell whether the list of erased records is shorter than at the last checkpoint, or another one."""
    line = _read_last_line()
    try:
        last = open_checkpoint(line, public_keys()) if line is not None else None
    except CheckpointBroken:
        return False
    return bool(last and list_mark_faults(last.get("erasures")))


def list_folder_faults() -> list[Reason]:
    """List why checkpoints and tombstones can't be written: the folder, its place or a file in it."""
    folder = settings.active().checkpoint_dir
    with suppress(PermissionError):
        place = next(found for found in (folder, *folder.parents) if found.exists())
        files = [*_list_files()[-1:], *([tombstone_path()] if tombstone_path().exists() else [])]
        if (
            place.is_dir()
            and os.access(place, os.W_OK | os.X_OK)
            and all(os.access(file, os.W_OK) for file in files)
        ):
            return []
    return [
        Reason(
            "checkpoints_unwritable",
            f"Checkpoints of the log and the list of erased records can’t be written in {folder}.",
            "Allow the user of this program to write in that folder, or choose another one: CASEAPP_CHECKPOINT_DIR.",
        )
    ]


def record_acceptance(actor: Actor, reason: str) -> list[Reason]:
    """Record that somebody accepts the log as it stands, in the open transaction; then write an accepted checkpoint.

    `reason` says what happened to the database, and nothing about a client. Return what was accepted. Raises Invalid
    when it says too little, and RuleBroken when the log is the one that the checkpoints name.
    """
    require(actor, Action.ROLLBACK_ACCEPT)
    try:
        words = ACCEPTANCE.deserialize(reason)
    except ValidationError as fault:
        raise Invalid({"reason": [str(text) for text in fault.messages]}) from None
    found = list_rollback_faults()
    if not found:
        try:
            read_counting()
        except CheckpointBroken as fault:
            found = [Reason("checkpoint_broken", f"{fault}.", WAY_OUT)]
    if not found:
        raise RuleBroken(
            Reason("no_rollback", "The log matches its checkpoints.", "Nothing to do.")
        )
    why = ", ".join(fault.code for fault in found)
    record(actor, Action.ROLLBACK_ACCEPT, "audit_event", details={"why": why, "reason": words})
    return found


def _list_wrong_streams(connection: Connection, checkpoint: Checkpoint) -> list[int]:
    """List the streams whose event of a checkpoint is missing or another one."""
    named = list_marks([checkpoint])
    wanted = (
        sa.and_(AuditEvent.stream == stream, AuditEvent.seq == seq)
        for stream, marks in named.items()
        for seq in marks
    )
    rows = connection.execute(
        sa.select(AuditEvent.stream, AuditEvent.mac).where(sa.or_(sa.false(), *wanted))
    )
    found = {row.stream: row.mac for row in rows}
    return [stream for stream, marks in named.items() if found.get(stream) not in marks.values()]
