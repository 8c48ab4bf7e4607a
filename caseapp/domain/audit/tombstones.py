"""Tombstones: signed lines beside the checkpoints, one for each erased record, so that none comes back unnoticed.

A line names the client by id, the erasure, its time and the hash of its certificate. It is signed as a checkpoint is,
with other bytes before it.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa

from caseapp.core import settings
from caseapp.core.database import db
from caseapp.core.errors import Reason
from caseapp.core.transaction import separate_transaction
from caseapp.domain.audit.checkpoints import ADVISORY_LOCK, public_keys, sign
from caseapp.domain.audit.verifier import is_signed
from caseapp.domain.keys.models import ClientKey

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

LABEL = b"caseapp/tombstone/v1\x1f"
ASKED_AT_ONCE = 500


class TombstoneBroken(Exception):
    """A line was changed, removed or added."""


def add_tombstones(erased: Iterable[Mapping[str, str]]) -> None:
    """Write a line for each of these erasures that has none, and wait until they are on the disk.

    `erased` say `erasure`, `client`, `at` and `sha256`. One process writes at a time. What a power cut has left of a
    line is removed first. Raises TombstoneBroken when the lines that stand aren't as they were written.
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
        path = _path()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with path.open("a+b") as file:
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)
            for number, one in enumerate(added, len(found) + 1):
                line = json.dumps(sign({"number": number, **one}, LABEL))
                file.write(f"{line}\n".encode())
            file.flush()
            os.fsync(file.fileno())


def read_tombstones() -> list[dict[str, Any]]:
    """Read all lines, oldest first; none when nothing was ever erased.

    Raises TombstoneBroken.
    """
    path = _path()
    if not path.exists():
        return []
    lines = path.read_bytes().decode(errors="replace").split("\n")[:-1]
    keys = public_keys()
    return [_open(line, number, keys) for number, line in enumerate(lines, 1)]


def _open(line: str, number: int, keys: Mapping[int, bytes]) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(line)
        is_right = found["number"] == number and is_signed(found, keys, LABEL)
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        is_right = False
    if not is_right:
        raise TombstoneBroken
    return found


@dataclass(frozen=True)
class Tombstone:
    """What a tombstone says of an erased client: which erasure it was, and when, to the second."""

    erasure_id: UUID
    erased_at: datetime


def list_returned() -> dict[UUID, Tombstone]:
    """List the erased clients whose keys are in this database, each with the tombstone.

    Raises TombstoneBroken.
    """
    erased = {
        UUID(hex=one["client"]): Tombstone(
            UUID(hex=one["erasure"]), datetime.fromisoformat(one["at"]).replace(tzinfo=UTC)
        )
        for one in read_tombstones()
    }
    ids = [*erased]
    returned: set[UUID] = set()
    for start in range(0, len(ids), ASKED_AT_ONCE):
        part = ids[start : start + ASKED_AT_ONCE]
        returned |= {
            *db.session.scalars(sa.select(ClientKey.client_id).where(ClientKey.client_id.in_(part)))
        }
    return {client_id: found for client_id, found in erased.items() if client_id in returned}


def list_tombstone_faults() -> list[Reason]:
    """List why an application may not start: erased records are back, as in an earlier database, or a line is wrong."""
    try:
        returned = list_returned()
    except TombstoneBroken:
        return [
            Reason(
                "tombstone_broken",
                f"The list of erased records was changed: {_path()}.",
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


def _path() -> Path:
    return settings.active().checkpoint_dir / "erasures.jsonl"
