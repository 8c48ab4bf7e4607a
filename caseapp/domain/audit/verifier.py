"""Verifies that nothing in the log was changed.

The log is a number of streams. In each, every event has a number and a MAC: HMAC-SHA-256 of the MAC before it and of
the event as one line of text, under a key of the installation. So an event can't be changed, added, moved or left out
without the key; only the last ones of a stream can be cut off, which the signed checkpoints show.

This file imports nothing of the application: Python is enough, and for checkpoints the package `cryptography`.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    Entry = tuple[bytes, str]
    Checkpoint = dict[str, Any]

FIELDS = (
    "stream",
    "seq",
    "ring_number",
    "id",
    "occurred_at",
    "actor_id",
    "actor_role",
    "via",
    "action",
    "outcome",
    "object_kind",
    "object_id",
    "client_id",
    "request_id",
    "dedup_key",
    "details",
)
"""The fields of an event's line, with tabs between them; a missing value is a hyphen."""
TABS = len(FIELDS) - 1
NOTHING = "-"
START = bytes(32)
"""What stands for the MAC before a stream's first event."""
UNCHAINED = "unchained"
"""The `dedup_key` of the event that holds number and hash of the events which are in no stream."""
# How many events in a row may be missing, with the later ones numbered anew, for that to be recognised.
RENUMBERED = 8

KINDS = {
    "changed": "was changed, or was added at the end by somebody without the key",
    "missing": "is missing",
    "inserted": "was added by somebody without the key",
    "order": "stands where another event was written",
    "replaced": "is not the event that a checkpoint names: an earlier log was brought back, or another one",
}


@dataclass(frozen=True)
class Fault:
    """What is wrong, as one of the KINDS, and where: in a stream the first event that isn't what was written."""

    kind: str
    place: str

    @property
    def text(self) -> str:
        """Return a line for people."""
        return f"{self.place} {KINDS[self.kind]}"


@dataclass
class Verified:
    """How many events were looked at, what is wrong, and the number and MAC of each stream's last event."""

    events: int = 0
    faults: list[Fault] = field(default_factory=list)
    ends: dict[str, tuple[int, bytes]] = field(default_factory=dict)


class CheckpointBroken(Exception):
    """A checkpoint was changed, removed, added or moved."""


def mac_of(key: bytes, previous: bytes, line: str) -> bytes:
    """Return the MAC of an event's line that follows the event with the MAC `previous`."""
    return hmac.digest(key, previous + line.encode(), "sha256")


def hash_unchained(lines: Iterable[str]) -> tuple[int, str]:
    """Return the number and the SHA-256 of the events that are in no stream, in order of their ids."""
    total, digest = 0, hashlib.sha256()
    for line in lines:
        total += 1
        digest.update(f"{line}\n".encode())
    return total, digest.hexdigest()


def verify(
    unchained: Iterable[str],
    chained: Iterable[Entry],
    shown: Iterable[tuple[str, Sequence[str]]],
    keys: Mapping[int, bytes],
    checkpoints: Mapping[int, Mapping[int, bytes]],
) -> Verified:
    """Verify a log.

    `unchained` are the lines of the events without a stream, in order of their ids; `chained` MACs and lines, in order
    of streams and numbers; `shown` the ids of lists' events, each with the ids of the clients whom the list showed, in
    order; `checkpoints` the MACs by stream and number that signed checkpoints name.
    """
    found = Verified()
    lists: dict[str, str] = {}
    anchors: list[str] = []

    def note(lines: Iterable[str]) -> Iterator[str]:
        for line in lines:
            _note_list(line, lists)
            yield line

    total, digest = hash_unchained(note(unchained))
    found.events = total
    keys_as_read = {str(number): key for number, key in keys.items()}

    def read(entries: Iterable[Entry]) -> Iterator[Entry]:
        for entry in entries:
            found.events += 1
            line = entry[1]
            if '"sha256"' in line:
                if f"\t{UNCHAINED}\t" in line:
                    anchors.append(line)
                else:
                    _note_list(line, lists)
            yield entry

    for stream, entries in groupby(read(chained), key=lambda entry: entry[1].split("\t", 1)[0]):
        named = checkpoints.get(int(stream), {}) if stream.isdigit() else {}
        end, fault = _walk(stream, entries, keys_as_read, named)
        if fault is None and max(named, default=0) > end[0]:
            fault = Fault("missing", _place(stream, end[0] + 1))
        if fault is not None:
            found.faults.append(fault)
        found.ends[stream] = end
    found.faults += [
        Fault("missing", _place(stream, 1))
        for stream, named in sorted((str(number), named) for number, named in checkpoints.items())
        if named and stream not in found.ends
    ]
    found.faults += _check_unchained(total, digest, anchors)
    found.faults += _check_lists(shown, lists)
    return found


def _place(stream: str, seq: int) -> str:
    return f"Stream {stream}, event {seq}"


def _walk(
    stream: str,
    entries: Iterator[Entry],
    keys: Mapping[str, bytes],
    checkpoints: Mapping[int, bytes],
) -> tuple[tuple[int, bytes], Fault | None]:
    """Verify a stream up to its first fault; return number and MAC of the last event that is as it was written."""
    seq, previous = 0, START
    digest = hmac.digest
    for mac, line in entries:
        number, ring_number = line.split("\t", 3)[1:3]
        key = keys.get(ring_number)
        expected = seq + 1
        if (
            key is None
            or number != str(expected)
            or digest(key, previous + line.encode(), "sha256") != mac
            or line.count("\t") != TABS
        ):
            kind = _name(previous, expected, [(mac, line), *entries], keys)
            return (seq, previous), Fault(kind, _place(stream, expected))
        if expected in checkpoints and checkpoints[expected] != mac:
            return (seq, previous), Fault("replaced", _place(stream, expected))
        seq, previous = expected, mac
    return (seq, previous), None


def _name(previous: bytes, seq: int, rest: Sequence[Entry], keys: Mapping[str, bytes]) -> str:
    """Say what happened to event `seq` of a stream; `rest` are the entries from its place on."""
    first, *later = rest
    number = _number(first)
    if number < seq:
        return "inserted"
    stands_elsewhere = any(_follows(previous, entry, seq, keys) for entry in later)
    if number > seq:
        return "order" if stands_elsewhere or _follows(previous, first, seq, keys) else "missing"
    if stands_elsewhere:
        moved = any(
            _follows(entry[0], first, place, keys)
            for entry in later
            for place in {seq + 1, _number(entry), _number(entry) + 1}
        )
        return "order" if moved else "inserted"
    if later and any(
        _follows(first[0], later[0], seq + 1 + gone, keys) for gone in range(1, RENUMBERED + 1)
    ):
        return "missing"
    return "changed"


def _number(entry: Entry) -> int:
    number = entry[1].split("\t", 2)[1]
    return int(number) if number.isdigit() else 0


def _follows(previous: bytes, entry: Entry, seq: int, keys: Mapping[str, bytes]) -> bool:
    """Tell whether an entry is what was written as event `seq` after the one with the MAC `previous`."""
    mac, line = entry
    stream, _, ring_number, rest = line.split("\t", 3)
    key = keys.get(ring_number)
    written = f"{stream}\t{seq}\t{ring_number}\t{rest}"
    return key is not None and mac_of(key, previous, written) == mac


def _note_list(line: str, lists: dict[str, str]) -> None:
    fields = line.split("\t", TABS)
    try:
        details = json.loads(fields[-1])
    except ValueError:
        return
    if isinstance(details, dict) and details.keys() >= {"clients", "sha256"}:
        lists[fields[3]] = str(details["sha256"])


def _check_unchained(total: int, digest: str, anchors: Sequence[str]) -> list[Fault]:
    """Compare the events without a stream with the event that holds their number and hash."""
    place = "An event of a release without the chain"
    if not anchors:
        return [Fault("inserted", place)] if total else []
    details = json.loads(anchors[0].split("\t", TABS)[-1])
    if total != details["events"]:
        return [Fault("missing" if total < details["events"] else "inserted", place)]
    return [] if digest == details["sha256"] else [Fault("changed", place)]


def _check_lists(
    shown: Iterable[tuple[str, Sequence[str]]], lists: Mapping[str, str]
) -> list[Fault]:
    """Compare the clients of lists with the hashes that their events hold."""
    faults = []
    nobody = hashlib.sha256().hexdigest()
    left = {event_id: digest for event_id, digest in lists.items() if digest != nobody}
    for event_id, client_ids in shown:
        expected = left.pop(event_id, None)
        found = hashlib.sha256(b"".join(map(bytes.fromhex, client_ids))).hexdigest()
        if expected is None:
            faults.append(Fault("inserted", f"A client in the list of event {event_id}"))
        elif found != expected:
            faults.append(Fault("changed", f"A client in the list of event {event_id}"))
    faults += [Fault("missing", f"A client in the list of event {event_id}") for event_id in left]
    return faults


def signed_part(checkpoint: Checkpoint) -> bytes:
    """Return what the signature of a checkpoint signs."""
    content = {name: value for name, value in checkpoint.items() if name != "signature"}
    return json.dumps(content, sort_keys=True).encode()


def read_checkpoints(lines: Sequence[str], public_keys: Mapping[int, bytes]) -> list[Checkpoint]:
    """Read lines with checkpoints that follow one another.

    Those before the last one that was accepted don't count any more: somebody has accepted that the log is another one.
    Raises CheckpointBroken when one isn't signed with one of the keys, or doesn't follow the one before.
    """
    found: list[Checkpoint] = []
    for line in reversed(lines):
        checkpoint = open_checkpoint(line, public_keys)
        if found and found[-1]["previous"] != hashlib.sha256(line.encode()).hexdigest():
            raise CheckpointBroken(
                "A checkpoint is missing or stands where another one was written"
            )
        found.append(checkpoint)
        if checkpoint["accepted"]:
            break
    return found[::-1]


def open_checkpoint(line: str, public_keys: Mapping[int, bytes]) -> Checkpoint:
    """Read a line with a checkpoint.

    Raises CheckpointBroken when it isn't signed with one of the keys.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PublicKey,
    )

    try:
        checkpoint: Checkpoint = json.loads(line)
        key = Ed25519PublicKey.from_public_bytes(public_keys[checkpoint["ring_number"]])
        key.verify(bytes.fromhex(checkpoint["signature"]), signed_part(checkpoint))
    except (ValueError, TypeError, KeyError, InvalidSignature):
        raise CheckpointBroken("A checkpoint was changed") from None
    return checkpoint


def list_marks(checkpoints: Iterable[Checkpoint]) -> dict[int, dict[int, bytes]]:
    """Return the MACs by stream and number that checkpoints name."""
    marks: dict[int, dict[int, bytes]] = {}
    for checkpoint in checkpoints:
        for stream, (seq, mac) in checkpoint["ends"].items():
            marks.setdefault(int(stream), {})[seq] = bytes.fromhex(mac)
    return marks
