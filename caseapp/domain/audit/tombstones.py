"""Tombstones: signed lines beside the checkpoints, one for each erased record, so that none comes back unnoticed.

A line names the client by id, the erasure, its time and the hash of its certificate, and holds what the certificate
says: a database that doesn't know the erasure gets it from there. It is signed as a checkpoint is, with other bytes
before it, and under every key of the ring, so that a database from before a renewal of that key can read it.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
import structlog

from caseapp.core import settings
from caseapp.core.database import db
from caseapp.core.errors import Reason
from caseapp.core.transaction import separate_transaction
from caseapp.domain.audit.signing import (
    ADVISORY_LOCK,
    UnknownKey,
    is_signed_with_any,
    public_keys,
    sign_with_every_key,
)
from caseapp.domain.keys.models import ClientKey

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

LABEL = b"caseapp/tombstone/v1\x1f"
ASKED_AT_ONCE = 500
# Clients belong to a package above this one; here only whether one has a name is read.
CLIENT = sa.table("client", sa.column("id", sa.Uuid), sa.column("name", sa.String))

log = structlog.get_logger()


class TombstoneBroken(Exception):
    """A line was changed, removed or added."""


class TombstoneOfUnknownKey(TombstoneBroken):
    """A line is signed with keys that this database doesn't have."""


@dataclass(frozen=True)
class Tombstone:
    """What a line says. `certificate` is what the certificate says; None in a line of an earlier release."""

    erasure_id: UUID
    client_id: UUID
    erased_at: datetime
    sha256: str
    certificate: Mapping[str, Any] | None
    vault_keys: list[str]


def add_tombstones(erased: Iterable[Mapping[str, Any]]) -> None:
    """Write a line for each of these erasures that has none, and wait until they are on the disk.

    `erased` say `erasure`, `client`, `at`, `sha256`, the `certificate` and the `vault_keys` that were listed. One
    process writes at a time. What a power cut has left of a line is removed first. Raises TombstoneBroken when the
    lines that stand aren't as they were written.
    """
    wanted = [*erased]
    if not wanted:
        return
    with separate_transaction() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({ADVISORY_LOCK})")
        found = read_tombstones()
        known = {one["erasure"] for one in found}
        added = [one for one in wanted if one["erasure"] not in known]
        if not added:
            return
        path = tombstone_path()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with path.open("a+b") as file:
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)
            for number, one in enumerate(added, len(found) + 1):
                line = json.dumps(sign_with_every_key({"number": number, **one}, LABEL))
                file.write(f"{line}\n".encode())
            file.flush()
            os.fsync(file.fileno())
    # Whoever keeps the application's log can tell later how many there were.
    log.info("erasure.tombstones", number=len(found) + len(added))


def read_tombstones() -> list[dict[str, Any]]:
    """Read all lines, oldest first; none when nothing was ever erased.

    Raises TombstoneBroken.
    """
    keys = public_keys()
    return [_open(line, number, keys) for number, line in enumerate(_read_lines(), 1)]


def _read_lines() -> list[str]:
    path = tombstone_path()
    if not path.exists():
        return []
    return path.read_bytes().decode(errors="replace").split("\n")[:-1]


def get_mark() -> list[Any]:
    """Return the number of lines and the hash of the last one, which the next checkpoint holds."""
    lines = _read_lines()
    return [len(lines), _hash(lines[-1]) if lines else ""]


def list_mark_faults(mark: list[Any] | None) -> list[Reason]:
    """List what is missing from the lines of which a checkpoint has held the `mark`; more of them are no fault."""
    number, digest = mark or (0, "")
    lines = _read_lines()
    if not number or (len(lines) >= number and _hash(lines[number - 1]) == digest):
        return []
    return [
        Reason(
            "tombstones_missing",
            f"The list of erased records, {tombstone_path()}, is shorter than it was at the last checkpoint of the "
            f"log, or it is a different list: it has {len(lines)} lines; at the checkpoint it had {number}.",
            "Put back the newest copy of that file: without it, nobody notices erased records that come back with an "
            "older database. If there is none: caseapp audit accept-rollback --reason …",
        )
    ]


def _hash(line: str) -> str:
    return hashlib.sha256(line.encode()).hexdigest()


def _open(line: str, number: int, keys: Mapping[int, bytes]) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(line)
        is_right = found["number"] == number and is_signed_with_any(found, keys, LABEL)
    except UnknownKey:
        raise TombstoneOfUnknownKey from None
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        is_right = False
    if not is_right:
        raise TombstoneBroken
    return found


def list_returned() -> list[Tombstone]:
    """List the tombstones of the clients who are in this database again: by their keys, or by their names.

    Yesterday's data with today's keys has a name without a key. Raises TombstoneBroken.
    """
    erased = {UUID(hex=one["client"]): one for one in read_tombstones()}
    ids = [*erased]
    returned: set[UUID] = set()
    for start in range(0, len(ids), ASKED_AT_ONCE):
        part = ids[start : start + ASKED_AT_ONCE]
        for found in (
            sa.select(ClientKey.client_id).where(ClientKey.client_id.in_(part)),
            sa.select(CLIENT.c.id).where(CLIENT.c.id.in_(part), CLIENT.c.name != ""),
        ):
            returned |= {*db.session.scalars(found)}
    return [
        Tombstone(
            UUID(hex=one["erasure"]),
            client_id,
            datetime.fromisoformat(one["at"]).replace(tzinfo=UTC),
            one["sha256"],
            one.get("certificate"),
            one.get("vault_keys", []),
        )
        for client_id, one in erased.items()
        if client_id in returned
    ]


def list_tombstone_faults() -> list[Reason]:
    """List why an application may not start: erased records are back, as in an earlier database, or a line is wrong."""
    try:
        returned = list_returned()
    except TombstoneOfUnknownKey:
        return [
            Reason(
                "tombstone_unknown_key",
                f"The list of erased records, {tombstone_path()}, is signed with a key that this database doesn’t "
                "have: the database is older than that key, or belongs to another installation.",
                "Restore a later database of this installation, whose `caseapp keys status` names that key, or the "
                "folder of the installation to which this database belongs.",
            )
        ]
    except TombstoneBroken:
        return [
            Reason(
                "tombstone_broken",
                f"The list of erased records was changed: {tombstone_path()}.",
                "Restore it from a copy of that folder.",
            )
        ]
    if not returned:
        return []
    return [
        Reason(
            "erased_returned",
            f"{len(returned)} records that were erased are in this database again.",
            "Erase them again: caseapp erasure repeat",
        )
    ]


def tombstone_path() -> Path:
    """Return the file of the list of erased records, beside the checkpoints."""
    return settings.active().checkpoint_dir / "erasures.jsonl"
