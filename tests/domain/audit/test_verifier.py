"""The verifier names the first event that isn't what was written, and what happened to it."""

from __future__ import annotations

import hashlib
import json
import random

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from caseapp.domain.audit.verifier import (
    FIELDS,
    START,
    hash_lines,
    mac_of,
    main,
    signed_part,
    verify,
)
from tests.support.depth import times

KEYS = {1: b"k" * 32}
LENGTH = 9
FORGER = b"f" * 32
EARLIER = ["-\t-\t-\tid0\tthen", "-\t-\t-\tid1\tthen"]


def line(stream, seq, text, **fields):
    values = dict.fromkeys(FIELDS, "x") | {"stream": stream, "seq": seq, "ring_number": 1}
    return "\t".join(str(value) for value in (values | {"details": text} | fields).values())


def chain(stream, texts, key=KEYS[1], previous=START, first=1):
    entries = []
    for seq, text in enumerate(texts, first):
        written = line(stream, seq, text)
        previous = mac_of(key, previous, written)
        entries.append((previous, written))
    return entries


def log():
    """Make a log of two streams; the first event of the second holds the hash of the events without one."""
    total, digest = hash_lines(EARLIER)
    anchor = f'{{"events": {total}, "sha256": "{digest}"}}'
    first = line(4, 1, anchor, dedup_key="unchained")
    start = (mac_of(KEYS[1], START, first), first)
    texts = [f'{{"n": {n}}}' for n in range(LENGTH)]
    return [*chain(3, texts), start, *chain(4, texts, previous=start[0], first=2)]


def renumber(entry, by):
    mac, text = entry
    stream, seq, rest = text.split("\t", 2)
    return mac, f"{stream}\t{int(seq) + by}\t{rest}"


def change(entry, old="x", new="y"):
    return entry[0], entry[1].replace(f"\t{old}\t", f"\t{new}\t", 1)


def faults(entries, earlier=EARLIER, shown=(), checkpoints=None):
    found = verify(earlier, entries, shown, KEYS, checkpoints or {})
    return [(fault.kind, fault.place) for fault in found.faults]


def swapped(entries, a, b):
    """Exchange what stands at two places, as somebody does who gives each the other's number."""
    entries[a], entries[b] = renumber(entries[b], a - b), renumber(entries[a], b - a)
    return entries


def forged(entries, at):
    return chain(3, ["{}"], FORGER, first=at + 1)


# What is done to stream 3, by name: the entries that are left, and what the verifier says of which event.
TAMPERINGS = {
    "changed in the middle": (lambda e: [*e[:4], change(e[4]), *e[5:]], "changed", 5),
    "changed at the start": (lambda e: [change(e[0]), *e[1:]], "changed", 1),
    "changed at the end": (lambda e: [*e[:-1], change(e[-1])], "changed", LENGTH),
    "another hash": (lambda e: [*e[:4], (bytes(32), e[4][1]), *e[5:]], "changed", 5),
    "another key number": (lambda e: [*e[:4], change(e[4], "1", "2"), *e[5:]], "changed", 5),
    "a field split in two": (lambda e: [*e[:4], change(e[4], "x", "x\ty"), *e[5:]], "changed", 5),
    "deleted in the middle": (lambda e: e[:4] + e[5:], "missing", 5),
    "deleted at the start": (lambda e: e[1:], "missing", 1),
    "deleted and numbered anew": (
        lambda e: e[:4] + [renumber(one, -1) for one in e[5:]],
        "missing",
        5,
    ),
    "inserted": (
        lambda e: e[:4] + forged(e, 4) + [renumber(one, 1) for one in e[4:]],
        "inserted",
        5,
    ),
    "inserted twice": (
        lambda e: e[:4] + forged(e, 4) + forged(e, 5) + [renumber(one, 2) for one in e[4:]],
        "inserted",
        5,
    ),
    "inserted with a number that is taken": (lambda e: e[:5] + forged(e, 4) + e[5:], "inserted", 6),
    "repeated": (lambda e: e[:5] + e[4:], "inserted", 6),
    "neighbours swapped": (lambda e: swapped(e, 4, 5), "order", 5),
    "far ones swapped": (lambda e: swapped(e, 2, 7), "order", 3),
    "moved to the end": (lambda e: e[:4] + e[5:] + [renumber(e[4], LENGTH)], "order", 5),
    "written with another key": (lambda _: chain(3, ["{}"] * LENGTH, FORGER), "changed", 1),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_first_event_that_was_tampered_with_is_named(name):
    tamper, kind, seq = TAMPERINGS[name]
    entries = log()
    one, other = entries[:LENGTH], entries[LENGTH:]
    assert faults([*one, *other]) == []
    assert faults([*tamper(one), *other]) == [(kind, f"Stream 3, event {seq}")]


def test_cut_and_replaced_streams_differ_from_checkpoints():
    entries = log()
    one, other = entries[:LENGTH], entries[LENGTH:]
    named = {3: {4: one[3][0], LENGTH: one[-1][0]}, 4: {1: other[0][0]}}
    assert faults(entries, checkpoints=named) == []
    assert faults(one[:-1] + other, checkpoints=named) == [("missing", f"Stream 3, event {LENGTH}")]
    assert faults(other, checkpoints=named) == [("missing", "Stream 3, event 1")]
    # Somebody who goes on writing from an earlier copy has the key, and still another history.
    forked = one[:3] + chain(3, ["{}"] * 9, previous=one[2][0], first=4)
    assert faults(forked + other, checkpoints=named) == [("replaced", "Stream 3, event 4")]
    everything = [("missing", "Stream 3, event 1"), ("missing", "Stream 4, event 1")]
    assert faults([], earlier=(), checkpoints=named) == everything


def test_events_of_releases_without_the_chain_are_held_by_one_event():
    place = "An event from a release that did not chain the log yet"
    for earlier, kind in (
        (EARLIER[:1], "missing"),
        ([*EARLIER, "-\t-\t-\tid2"], "inserted"),
        ([EARLIER[0], EARLIER[1] + "x"], "changed"),
    ):
        assert faults(log(), earlier=earlier) == [(kind, place)]
    assert faults(log()[:LENGTH]) == [("inserted", place)]


def test_clients_of_lists_are_held_by_their_events():
    ids = ["a" * 32, "b" * 32]

    digest = hashlib.sha256(bytes.fromhex("".join(ids))).hexdigest()
    entries = chain(3, [f'{{"clients": 2, "sha256": "{digest}"}}'])
    assert faults(entries, (), [("x", "x", ids)]) == []
    place = "A client in the list of event "
    for moment, left in (("x", ids[:1]), ("1999", ids)):
        assert faults(entries, (), [("x", moment, left)]) == [("changed", f"{place}x")]
    assert faults(entries, (), ()) == [("missing", f"{place}x")]
    assert faults(entries, (), [("x", "x", ids), ("y", "x", ids)]) == [("inserted", f"{place}y")]


@pytest.mark.soak
def test_no_random_tampering_is_missed():
    draw = random.Random(7)  # noqa: S311 - the same every time
    whole = log()
    ends = {3: {LENGTH: whole[LENGTH - 1][0]}, 4: {LENGTH + 1: whole[-1][0]}}
    for _ in range(times(400)):
        entries = [*whole]
        for _ in range(draw.randint(1, 3)):
            place = draw.randrange(len(entries) - 2)
            match draw.randrange(4):
                case 0:
                    entries[place] = change(entries[place])
                case 1:
                    del entries[place]
                case 2:
                    entries.insert(place, renumber(entries[place], draw.randint(-2, 2)))
                case 3:
                    other = draw.randrange(len(entries) - 1)
                    entries[place], entries[other] = entries[other], entries[place]
        entries.sort(key=lambda entry: [int(part) for part in entry[1].split("\t")[:2]])
        assert bool(faults(entries, checkpoints=ends)) == (entries != whole)


def test_file_of_a_stranger_writes_nothing_of_its_own_on_the_terminal(tmp_path, capsys):
    key = Ed25519PrivateKey.generate()
    unnamed = {"ring_number": 1, "accepted": True, "ends": {}}
    unnamed["signature"] = key.sign(signed_part(unnamed)).hex()
    start = {
        "kind": "log",
        "public_keys": {"1": key.public_key().public_bytes_raw().hex()},
        "checkpoints": [],
    }
    shown = {
        "kind": "list",
        "event": "\r\x1b[2A\x1b[JNothing is wrong.\n\ud800\u202e",
        "at": "",
        "clients": [],
    }
    for lines in (
        [json.dumps(start), json.dumps(shown)],
        [json.dumps(start | {"checkpoints": [json.dumps(unnamed)]})],
        [json.dumps(start | {"checkpoints": ["[" * 200_000]})],
        ["[" * 200_000],
    ):
        file = tmp_path / "export"
        file.write_text("\n".join(lines))
        assert main([str(file)]) == 1
        said = capsys.readouterr().out
        assert said.isascii()
        assert said.replace("\n", "").isprintable()
        assert said.startswith(
            "file: The file was changed after it was exported, or its end is missing.\n"
        )
        assert "\nNothing is wrong." not in said
