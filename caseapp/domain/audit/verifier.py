"""Verifies that nothing in the log was changed; run as a program, it does so with an export of the log.

The log is a number of streams. In each, every event has a number and a MAC: HMAC-SHA-256 of the MAC before it and of
the event as one line of text, under a key of the installation. So an event can't be changed, added, moved or left out
without the key; only the last ones of a stream can be cut off, which the signed checkpoints show. The key is renewed
now and then; an earlier one counts for nothing behind the first event under a later one.

An export holds no secret key, so the MACs in it are compared only with those that checkpoints name, and computed where
the practice has given an auditor the closed key of a period. What it is verified by are the signatures (Ed25519): each
checkpoint signs a hash of the events since the one before, and the last line signs a hash of the whole file.

This file imports nothing of the application: Python is enough, and for signatures the package `cryptography`.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import json
import sys
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    Entry = tuple[bytes, str]
    Shown = tuple[str, str, Sequence[str]]
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
EXPORT = b"caseapp/log-export/v1\n"
"""What comes before the content that the last line of an export signs, so that it is no checkpoint."""

KINDS = {
    "changed": "was changed, or was added at the end by somebody without the key",
    "missing": "is missing",
    "inserted": "was added by somebody without the key",
    "order": "is in the place of another event",
    "replaced": "is not the event that a checkpoint names: an earlier or different log was restored",
    "unlike": "are not those that a checkpoint names: at least one was changed",
    "checkpoint": "was changed, is missing, or is in the place of another one",
    "file": "was changed after it was exported, or its end is missing",
    "key": "is signed with a different key from the one that was given",
    "closed": "was added by somebody with a key that was closed before",
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


class UnknownCheckpointKey(CheckpointBroken):
    """A checkpoint is signed with a key that isn't known here."""


def mac_of(key: bytes, previous: bytes, line: str) -> bytes:
    """Return the MAC of an event's line that follows the event with the MAC `previous`."""
    return hmac.digest(key, previous + line.encode(), "sha256")


def hash_lines(lines: Iterable[str]) -> tuple[int, str]:
    """Return the number and the SHA-256 of events as lines of text; those in no stream are in order of their ids."""
    total, digest = 0, hashlib.sha256()
    for line in lines:
        total += 1
        digest.update(f"{line}\n".encode())
    return total, digest.hexdigest()


def verify(
    unchained: Iterable[str],
    chained: Iterable[Entry],
    shown: Iterable[Shown],
    keys: Mapping[int, bytes],
    checkpoints: Mapping[int, Mapping[int, bytes]],
) -> Verified:
    """Verify a log.

    `unchained` are the lines of the events without a stream, in order of their ids; `chained` MACs and lines, in order
    of streams and numbers; `shown` the ids of lists' events and the time of their clients' rows, each with the ids of
    the clients whom the list showed, in order; `checkpoints` the MACs by stream and number that signed checkpoints
    name.
    """
    found = Verified()
    lists: dict[str, tuple[str, str]] = {}
    anchors: list[str] = []

    def note(lines: Iterable[str]) -> Iterator[str]:
        for line in lines:
            _note_list(line, lists)
            yield line

    total, digest = hash_lines(note(unchained))
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
    seq, previous, newest = 0, START, 0
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
        if int(ring_number) < newest:
            return (seq, previous), Fault("closed", _place(stream, expected))
        seq, previous, newest = expected, mac, int(ring_number)
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


def _note_list(line: str, lists: dict[str, tuple[str, str]]) -> None:
    fields = line.split("\t", TABS)
    try:
        details = json.loads(fields[-1])
    except ValueError:
        return
    if isinstance(details, dict) and details.keys() >= {"clients", "sha256"}:
        lists[fields[3]] = fields[4], str(details["sha256"])


def _check_unchained(total: int, digest: str, anchors: Sequence[str]) -> list[Fault]:
    """Compare the events without a stream with the event that holds their number and hash."""
    place = "An event from a release that did not chain the log yet"
    if not anchors:
        return [Fault("inserted", place)] if total else []
    details = json.loads(anchors[0].split("\t", TABS)[-1])
    if total != details["events"]:
        return [Fault("missing" if total < details["events"] else "inserted", place)]
    return [] if digest == details["sha256"] else [Fault("changed", place)]


def _check_lists(shown: Iterable[Shown], lists: Mapping[str, tuple[str, str]]) -> list[Fault]:
    """Compare the clients of lists with the hashes that their events hold, and their time with that of the event."""
    faults = []
    nobody = hashlib.sha256().hexdigest()
    left = {event_id: held for event_id, held in lists.items() if held[1] != nobody}
    for event_id, moment, client_ids in shown:
        expected = left.pop(event_id, None)
        found = hashlib.sha256(b"".join(map(bytes.fromhex, client_ids))).hexdigest()
        if expected is None:
            faults.append(Fault("inserted", f"A client in the list of event {event_id}"))
        elif (moment, found) != expected:
            faults.append(Fault("changed", f"A client in the list of event {event_id}"))
    faults += [Fault("missing", f"A client in the list of event {event_id}") for event_id in left]
    return faults


def signed_part(content: Mapping[str, Any]) -> bytes:
    """Return what the signature in a content signs."""
    signed = {name: value for name, value in content.items() if name != "signature"}
    return json.dumps(signed, sort_keys=True).encode()


def read_checkpoints(lines: Sequence[str], public_keys: Mapping[int, bytes]) -> list[Checkpoint]:
    """Read lines with checkpoints that follow one another.

    Those before the last one that was accepted don't count any more: somebody has accepted that the log is another one.
    Raises CheckpointBroken when one isn't signed with one of the keys, or doesn't follow the one before.
    """
    found: list[Checkpoint] = []
    for line in reversed(lines):
        checkpoint = open_checkpoint(line, public_keys)
        if found and found[-1]["previous"] != hashlib.sha256(line.encode()).hexdigest():
            raise CheckpointBroken("A checkpoint is missing or in the place of another one")
        found.append(checkpoint)
        if checkpoint["accepted"]:
            break
    return found[::-1]


def open_checkpoint(line: str, public_keys: Mapping[int, bytes]) -> Checkpoint:
    """Read a line with a checkpoint.

    Raises CheckpointBroken when it isn't signed with one of the keys.
    """
    try:
        checkpoint: Checkpoint = json.loads(line)
        signed = {"number", "at"} <= checkpoint.keys()
        number = checkpoint["ring_number"]
        if signed and isinstance(number, int) and number not in public_keys:
            raise UnknownCheckpointKey(
                f"A checkpoint is signed with key {number}, which isn’t known"
            )
        signed = signed and is_signed(checkpoint, public_keys)
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        signed = False
    if not signed:
        raise CheckpointBroken("A checkpoint was changed")
    return checkpoint


def is_signed(
    content: Mapping[str, Any], public_keys: Mapping[int, bytes], before: bytes = b""
) -> bool:
    """Tell whether the signature in a content is one of the keys'; `before` comes before what it signs."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PublicKey,
    )

    key = Ed25519PublicKey.from_public_bytes(public_keys[content["ring_number"]])
    try:
        key.verify(bytes.fromhex(content["signature"]), before + signed_part(content))
    except InvalidSignature:
        return False
    return True


def list_marks(checkpoints: Iterable[Checkpoint]) -> dict[int, dict[int, bytes]]:
    """Return the MACs by stream and number that checkpoints name."""
    marks: dict[int, dict[int, bytes]] = {}
    for checkpoint in checkpoints:
        for stream, (seq, mac) in checkpoint["ends"].items():
            marks.setdefault(int(stream), {})[seq] = bytes.fromhex(mac)
    return marks


def describe_checkpoints(checkpoints: Sequence[Checkpoint]) -> str:
    """Say with which checkpoints a log was compared, oldest first, as a line for people."""
    if not checkpoints:
        return "Not compared with any checkpoint."
    named = [f"{found['number']} of {found['at']} UTC" for found in checkpoints]
    if len(named) == 1:
        return f"Compared with checkpoint {named[0]}."
    return f"Compared with checkpoints {named[0]} to {named[-1]}."


@dataclass
class VerifiedExport:
    """How many events an export holds, its checkpoints, for how many events they vouch, what is wrong, and the keys.

    `computed` is of how many events the MAC was computed with the keys of the log that were given.
    """

    events: int = 0
    checkpoints: list[Checkpoint] = field(default_factory=list)
    vouched: int = 0
    computed: int = 0
    faults: list[Fault] = field(default_factory=list)
    public_keys: dict[int, bytes] = field(default_factory=dict)


class _Part:
    """The events of one stream in an export, compared with the checkpoints one after the other."""

    def __init__(
        self, stream: str, checkpoints: Sequence[Checkpoint], keys: Mapping[str, bytes]
    ) -> None:
        """Take the checkpoints of the export, oldest first, and the keys of the log that an auditor was given."""
        self.stream, self.keys = stream, keys
        self.computed = 0
        self._previous: tuple[int, bytes] = (0, START)
        self._newest = 0
        self.marks = list_marks(checkpoints).get(int(stream), {})
        self.hashes = {
            found["hashes"][stream][0]: (found["ends"][stream][0], found["hashes"][stream][1])
            for found in checkpoints
            if stream in found.get("hashes", {})
        }
        self.expected = min(self.hashes, default=0)
        self.last = max((end for end, _ in self.hashes.values()), default=0)
        self.vouched = 0
        self.fault: Fault | None = None
        self._begin, self._digest = 0, hashlib.sha256()

    def add(self, mac: str, line: str, seq: int) -> None:
        """Compare the next event."""
        if self.fault is None:
            self.fault = self._compute(mac, line, seq) or self._compare(mac, line, seq)
        elif self.fault.kind == "missing" and seq == self.expected:
            self.fault = Fault("order", self.fault.place)

    def _compute(self, mac: str, line: str, seq: int) -> Fault | None:
        """Compute the MAC of an event that follows the one before, where the key of its period was given."""
        ring_number = line.split("\t", 3)[2]
        key, (before, previous) = self.keys.get(ring_number), self._previous
        self._previous = seq, bytes.fromhex(mac)
        if int(ring_number) < self._newest:
            return Fault("closed", _place(self.stream, seq))
        self._newest = int(ring_number)
        if key is None or seq != before + 1:
            return None
        if mac_of(key, previous, line).hex() != mac:
            return Fault("changed", _place(self.stream, seq))
        self.computed += 1
        return None

    def _compare(self, mac: str, line: str, seq: int) -> Fault | None:
        if self.vouched == 0 and self._begin == 0 and (seq < self.expected or not self.expected):
            # Events before the first checkpoint.
            self.expected, self._begin = seq, -1
        if seq != self.expected:
            return Fault(
                "missing" if seq > self.expected else "inserted", _place(self.stream, self.expected)
            )
        if seq in self.marks and self.marks[seq].hex() != mac:
            return Fault("replaced", _place(self.stream, seq))
        if seq in self.hashes:
            self._begin, self._digest = seq, hashlib.sha256()
        self._digest.update(f"{line}\n".encode())
        end, expected = self.hashes.get(self._begin, (0, ""))
        if seq == end:
            if self._digest.hexdigest() != expected:
                return Fault("unlike", f"Stream {self.stream}, events {self._begin} to {end}")
            self.vouched += end - self._begin + 1
        self.expected = seq + 1
        return None

    def find_fault(self) -> Fault | None:
        """Return the first fault, once all events were compared."""
        if self.fault is None and self.expected <= self.last:
            return Fault("missing", _place(self.stream, self.expected))
        return self.fault


class _Export:
    """The content of an export, read line by line."""

    def __init__(self, keys: Mapping[int, bytes]) -> None:
        self.keys = {str(number): key for number, key in keys.items()}
        self.found = VerifiedExport()
        self.parts: dict[str, _Part] = {}
        self.unchained: list[str] = []
        self.anchors: list[str] = []
        self.lists: dict[str, tuple[str, str]] = {}
        self.shown: list[Shown] = []

    def read(self, content: Mapping[str, Any]) -> None:
        """Take one line."""
        match content["kind"]:
            case "log":
                self._read_start(content)
            case "event":
                self._read_event(content)
            case "list":
                self.shown.append((content["event"], content["at"], content["clients"]))

    def _read_start(self, content: Mapping[str, Any]) -> None:
        keys = content["public_keys"].items()
        self.found.public_keys = {int(number): bytes.fromhex(key) for number, key in keys}
        try:
            self.found.checkpoints = read_checkpoints(
                content["checkpoints"], self.found.public_keys
            )
        except CheckpointBroken:
            self.found.faults.append(Fault("checkpoint", "A checkpoint"))
        streams = {stream for found in self.found.checkpoints for stream in found.get("hashes", {})}
        self.parts = {stream: self._start_part(stream) for stream in sorted(streams)}

    def _start_part(self, stream: str) -> _Part:
        return _Part(stream, self.found.checkpoints, self.keys)

    def _read_event(self, content: Mapping[str, Any]) -> None:
        line = "\t".join(NOTHING if content[name] is None else content[name] for name in FIELDS)
        self.found.events += 1
        if content["dedup_key"] == UNCHAINED:
            self.anchors.append(line)
        else:
            _note_list(line, self.lists)
        stream = content["stream"]
        if stream is None:
            self.unchained.append(line)
            return
        if stream not in self.parts:
            self.parts[stream] = self._start_part(stream)
        self.parts[stream].add(content["mac"], line, int(content["seq"]))

    def finish(self) -> None:
        """Compare what was read as a whole."""
        faults = [fault for part in self.parts.values() if (fault := part.find_fault())]
        self.found.vouched = sum(part.vouched for part in self.parts.values())
        self.found.computed = sum(part.computed for part in self.parts.values())
        faults += _check_unchained(*hash_lines(self.unchained), self.anchors)
        self.found.faults += faults + _check_lists(self.shown, self.lists)


def verify_export(
    lines: Iterable[bytes],
    trusted_keys: Collection[bytes] | None = None,
    log_keys: Mapping[int, bytes] | None = None,
) -> VerifiedExport:
    """Verify the lines of an export; without `trusted_keys` it is believed about the keys that it is signed with.

    `log_keys` are closed keys of the log by their number: the MACs of the events under them are computed.
    """
    export, digest, is_same = _Export(log_keys or {}), hashlib.sha256(), False
    try:
        for line in lines:
            is_same = False
            content = json.loads(line)
            if content["kind"] == "end":
                is_same = content["sha256"] == digest.hexdigest()
                is_same = is_same and is_signed(content, export.found.public_keys, EXPORT)
            digest.update(line)
            export.read(content)
        export.finish()
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError):
        is_same = False
    if not is_same:
        export.found.faults.insert(0, Fault("file", "The file"))
    if trusted_keys is not None and not set(export.found.public_keys.values()) <= {*trusted_keys}:
        export.found.faults.insert(0, Fault("key", "The file"))
    return export.found


def _read_log_key(text: str) -> tuple[int, bytes]:
    number, _, key = text.partition(":")
    return int(number), bytes.fromhex(key)


def main(arguments: Sequence[str] | None = None) -> int:
    """Verify the export of a log; return the exit code: 0 when nothing is wrong, else 1."""
    parser = argparse.ArgumentParser(description="Verify an export of the audit log.")
    parser.add_argument("file", type=Path, help="what `caseapp audit export` has written")
    parser.add_argument(
        "--key",
        action="append",
        type=bytes.fromhex,
        metavar="HEX",
        help="the key that the practice gave you; repeat for several keys",
    )
    parser.add_argument(
        "--log-key",
        action="append",
        type=_read_log_key,
        default=[],
        metavar="NUMBER:HEX",
        help="the closed key of a period of the log that the practice gave you; repeat for several",
    )
    given = parser.parse_args(arguments)
    with given.file.open("rb") as lines:
        found = verify_export(lines, given.key, dict(given.log_key))
    said = [f"{fault.kind}: {fault.text}." for fault in found.faults]
    if not found.faults:
        said = [f"{found.events} events are unchanged since they were exported."]
    said.append(describe_checkpoints(found.checkpoints))
    said.append(f"Checkpoints cover {found.vouched} of {found.events} events.")
    if given.log_key:
        said.append(f"{found.computed} events match the keys of the log.")
    if given.key is None:
        said.append(
            "Compare these keys with those that the practice gave you, or pass them as options:"
        )
        said += [f"  --key {key.hex()}" for key in found.public_keys.values()]
    # What the file contains must not move the cursor or end a line.
    sys.stdout.write("".join(f"{line.encode('unicode_escape').decode()}\n" for line in said))
    return 1 if found.faults else 0


if __name__ == "__main__":
    sys.exit(main())
