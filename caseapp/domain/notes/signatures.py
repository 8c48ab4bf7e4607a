"""Signatures of notes: what is authenticated, with a key of the ring, and whether a note is still as it was signed."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from caseapp.core.vault import RingKey, is_mac, make_mac
from caseapp.domain.keys.queries import get_ring_key
from caseapp.domain.notes.cosign_rules import cosigned_digest
from caseapp.domain.notes.records import Signature
from caseapp.domain.notes.rules import addendum_digest, apply_addenda, note_digest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from caseapp.domain.notes.records import Addendum, NoteMove, NoteRecord

LABEL = "caseapp/note-signature/v1"
ADDENDUM_LABEL = "caseapp/note-addendum/v1"
MOVE_LABEL = "caseapp/note-move/v1"


def make_signature(
    note: NoteRecord, meaning: str, signed_by: UUID, role: str | None, zone: str, moment: datetime
) -> Signature:
    """Make the signature of a note that has its time of signing, to be recorded at `moment`."""
    assert note.signed_at is not None  # noqa: S101 - the caller has set it
    return Signature(
        note.id,
        meaning,
        note.client_id,
        note.case_id,
        signed_by,
        role,
        note.signed_at,
        zone,
        moment,
        note_digest(note),
    )


def make_cosignature(
    note: NoteRecord,
    digests: Sequence[str],
    signed_by: UUID,
    role: str,
    zone: str,
    moment: datetime,
) -> Signature:
    """Make the co-signature of a signed note and of its addenda, which have these digests, at `moment`."""
    assert note.sha256 is not None  # noqa: S101 - the note is signed
    digest = cosigned_digest(note.sha256, digests)
    return Signature(
        note.id,
        "cosign",
        note.client_id,
        note.case_id,
        signed_by,
        role,
        moment,
        zone,
        moment,
        digest,
    )


def is_cosigned(
    note: NoteRecord, cosignature: Signature, number: int, mac: bytes, digests: Sequence[str]
) -> bool:
    """Tell whether a co-signature is what was recorded with that key, and is that of the note.

    `digests` are those of its addenda, of which the first ones may have been there already.
    """
    key = find_key(number)
    if key is None or not is_mac(mac, _canonical(cosignature), LABEL, key):
        return False
    return note.sha256 is not None and cosignature.digest in {
        cosigned_digest(note.sha256, digests[:count]) for count in range(len(digests) + 1)
    }


def signature_row(signature: Signature) -> dict[str, Any]:
    """Return the columns of a signature, authenticated with the key in use."""
    key = get_ring_key("signatures")
    return {
        "note_id": signature.note_id,
        "meaning": signature.meaning,
        "signed_client_id": signature.client_id,
        "signed_case_id": signature.case_id,
        "signed_by": signature.signed_by,
        "role": signature.role,
        "signed_at": signature.signed_at,
        "zone": signature.zone,
        "recorded_at": signature.recorded_at,
        "digest": signature.digest,
        "key_number": key.number,
        "mac": make_mac(_canonical(signature), LABEL, key),
    }


def is_as_signed(note: NoteRecord, signature: Signature | None, number: int, mac: bytes) -> bool:
    """Tell whether a signed note is what its signature says, and the signature what was recorded with that key."""
    if signature is None:
        return False
    key = find_key(number)
    if key is None or not is_mac(mac, _canonical(signature), LABEL, key):
        return False
    as_signed = replace(note, client_id=signature.client_id, case_id=signature.case_id)
    return (
        note.sha256 == signature.digest == note_digest(as_signed)
        and note.signed_at == signature.signed_at
    )


def authenticate_addendum(addendum: Addendum) -> dict[str, Any]:
    """Return the columns that authenticate an addendum, with the key in use."""
    key, digest = get_ring_key("signatures"), addendum_digest(addendum)
    mac = make_mac(digest.encode(), ADDENDUM_LABEL, key)
    return {"digest": digest, "key_number": key.number, "mac": mac}


def authenticate_move(move: NoteMove) -> dict[str, Any]:
    """Return the columns that authenticate a move, with the key in use."""
    key = get_ring_key("signatures")
    return {"key_number": key.number, "mac": make_mac(_canonical_move(move), MOVE_LABEL, key)}


def is_move_as_recorded(move: NoteMove, number: int, mac: bytes) -> bool:
    """Tell whether a move is what was authenticated with that key."""
    key = find_key(number)
    return key is not None and is_mac(mac, _canonical_move(move), MOVE_LABEL, key)


def is_addendum_as_signed(addendum: Addendum, digest: str, number: int, mac: bytes) -> bool:
    """Tell whether an addendum is what was authenticated with that key."""
    key = find_key(number)
    return (
        key is not None
        and digest == addendum_digest(addendum)
        and is_mac(mac, digest.encode(), ADDENDUM_LABEL, key)
    )


def are_facts_as_signed(note: NoteRecord, number: int) -> bool:
    """Tell whether a note has all of so many addenda, and what lists use is what they say."""
    facts = (note.actual_session_at, note.actual_minutes, note.in_error)
    return [each.seq for each in note.addenda] == [*range(1, number + 1)] and facts == (
        apply_addenda(note.session_at, note.minutes, note.addenda)
    )


def find_key(number: int) -> RingKey | None:
    """Return the key for signatures that has a number; None for a number that nobody has given."""
    try:
        return get_ring_key("signatures", number)
    except LookupError:
        return None


def _canonical(signature: Signature) -> bytes:
    # Stored MACs were made of this text: it must never change.
    values = [
        signature.note_id.hex,
        signature.meaning,
        signature.client_id.hex,
        signature.case_id.hex,
        signature.signed_by.hex,
        signature.role,
        signature.signed_at.isoformat(),
        signature.zone,
        signature.recorded_at.isoformat(),
        signature.digest,
    ]
    return _to_bytes(values)


def _canonical_move(move: NoteMove) -> bytes:
    # As above. The reason is bound to its row by its own seal.
    values = [
        move.id.hex,
        move.note_id.hex,
        move.seq,
        move.from_client_id.hex,
        move.from_case_id.hex,
        move.to_client_id.hex,
        move.to_case_id.hex,
        move.addenda,
        move.moved_at.isoformat(),
        move.moved_by.hex,
        move.role,
        move.zone,
    ]
    return _to_bytes(values)


def _to_bytes(values: list[Any]) -> bytes:
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode()
