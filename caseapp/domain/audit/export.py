"""The log of a period as a file that can be verified without the installation and its secret keys.

The file has a JSON object on each line: period, checkpoints and the keys that verify signatures, then the events, then
the clients of lists, and at the end a signature of it all. It holds ids and codes, as the log does.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from caseapp.core.actor import Actor, require
from caseapp.core.permissions import Action
from caseapp.domain.audit.checkpoints import read_lines, write_checkpoint
from caseapp.domain.audit.models import AuditEvent
from caseapp.domain.audit.operations import record
from caseapp.domain.audit.signing import public_keys, sign
from caseapp.domain.audit.stored_log_verification import (
    log_as_it_stands,
    read_part,
    read_shown,
    read_unchained,
)
from caseapp.domain.audit.verifier import (
    EXPORT,
    FIELDS,
    NOTHING,
    TABS,
    UNCHAINED,
    CheckpointBroken,
    open_checkpoint,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from sqlalchemy.engine import Connection

    from caseapp.domain.audit.verifier import Checkpoint

    Spans = dict[int, tuple[int, int]]


def record_export(actor: Actor, since: datetime | None, until: datetime | None) -> None:
    """Record that somebody exports the log of a period, see `export_log`."""
    require(actor, Action.AUDIT_READ)
    record(actor, Action.AUDIT_READ, "audit_event", details={"export": _describe(since, until)})


def export_log(since: datetime | None, until: datetime | None) -> Iterator[bytes]:
    """Write a checkpoint, so that one vouches for each event; then return the lines of the file.

    The period begins at `since` and ends before `until`. The file holds whole checkpoints, and so some events before
    and after it. `record_export` has recorded it.
    """
    write_checkpoint()
    return _signed({"kind": "log", **_describe(since, until)}, since, until)


def _describe(since: datetime | None, until: datetime | None) -> dict[str, str | None]:
    return {
        "since": since.isoformat() if since else None,
        "until": until.isoformat() if until else None,
    }


def _signed(
    header: dict[str, Any], since: datetime | None, until: datetime | None
) -> Iterator[bytes]:
    digest = hashlib.sha256()
    for content in _list_contents(header, since, until):
        line = _as_line(content)
        digest.update(line)
        yield line
    yield _as_line(sign({"kind": "end", "sha256": digest.hexdigest()}, EXPORT))


def _as_line(content: dict[str, Any]) -> bytes:
    return f"{json.dumps(content, ensure_ascii=False)}\n".encode()


def _list_contents(
    header: dict[str, Any], since: datetime | None, until: datetime | None
) -> Iterator[dict[str, Any]]:
    with log_as_it_stands() as connection:
        spans = _find_spans(connection, since, until)
        lines, checkpoints = _choose_checkpoints(spans, since, until)
        yield header | {
            "checkpoints": lines,
            "public_keys": {str(number): key.hex() for number, key in public_keys().items()},
        }
        for checkpoint in checkpoints:
            _widen(spans, checkpoint)
        if _holds_earlier_ones(connection, spans):
            for line in read_unchained(connection):
                yield _as_event("", line)
        lists = set()
        for stream, (first, last) in sorted(spans.items()):
            for mac, line in read_part(connection, stream, first, last):
                event = _as_event(mac.hex(), line)
                lists.add(event["id"])
                yield event
        for event_id, moment, client_ids in read_shown(connection):
            if event_id in lists:
                yield {"kind": "list", "event": event_id, "at": moment, "clients": client_ids}


def _as_event(mac: str, line: str) -> dict[str, Any]:
    values = line.split("\t", TABS)
    fields = {
        name: None if text == NOTHING else text for name, text in zip(FIELDS, values, strict=True)
    }
    return {"kind": "event", "mac": mac, **fields}


def _find_spans(connection: Connection, since: datetime | None, until: datetime | None) -> Spans:
    """Return the first and last number of each stream's events of a period."""
    found = sa.select(
        AuditEvent.stream, sa.func.min(AuditEvent.seq), sa.func.max(AuditEvent.seq)
    ).where(AuditEvent.stream.is_not(None))
    if since:
        found = found.where(AuditEvent.occurred_at >= since)
    if until:
        found = found.where(AuditEvent.occurred_at < until)
    rows: Iterable[Any] = connection.execute(found.group_by(AuditEvent.stream))
    return {stream: (first, last) for stream, first, last in rows}


def _choose_checkpoints(
    spans: Spans, since: datetime | None, until: datetime | None
) -> tuple[list[str], list[Checkpoint]]:
    """Return those from the first to the last that are of a period or name events of it, as lines and opened.

    Those before the last accepted one don't count; one that can't be opened stays, so that a verifier says so.
    """
    keys = public_keys()
    opened: list[tuple[str, Checkpoint | None]] = []
    for line in reversed(read_lines()):
        checkpoint = None
        with suppress(CheckpointBroken):
            checkpoint = open_checkpoint(line, keys)
        opened.insert(0, (line, checkpoint))
        if checkpoint and checkpoint["accepted"]:
            break
    wanted = [
        place
        for place, (_, checkpoint) in enumerate(opened)
        if checkpoint and (_is_in(checkpoint, since, until) or _names_one(checkpoint, spans))
    ]
    chosen = opened[wanted[0] : wanted[-1] + 1] if wanted else []
    return [line for line, _ in chosen], [found for _, found in chosen if found]


def _is_in(checkpoint: Checkpoint, since: datetime | None, until: datetime | None) -> bool:
    moment = checkpoint["at"]
    return not (
        (since and moment < f"{since:%Y-%m-%d %H:%M:%S}")
        or (until and moment >= f"{until:%Y-%m-%d %H:%M:%S}")
    )


def _list_parts(checkpoint: Checkpoint) -> Iterator[tuple[int, int, int]]:
    """List the streams of which a checkpoint holds a hash, each with the first and last number of its events."""
    for stream, (first, _) in checkpoint.get("hashes", {}).items():
        yield int(stream), first, checkpoint["ends"][stream][0]


def _names_one(checkpoint: Checkpoint, spans: Spans) -> bool:
    return any(
        stream in spans and first <= spans[stream][1] and last >= spans[stream][0]
        for stream, first, last in _list_parts(checkpoint)
    )


def _widen(spans: Spans, checkpoint: Checkpoint) -> None:
    for stream, first, last in _list_parts(checkpoint):
        before = spans.get(stream, (first, last))
        spans[stream] = min(before[0], first), max(before[1], last)


def _holds_earlier_ones(connection: Connection, spans: Spans) -> bool:
    """Tell whether the event that holds a hash of those without a stream is among the chosen ones."""
    found = connection.execute(
        sa.select(AuditEvent.stream, AuditEvent.seq).where(AuditEvent.dedup_key == UNCHAINED)
    ).first()
    if found is None:
        return False
    first, last = spans.get(found.stream, (0, -1))
    return bool(first <= found.seq <= last)
