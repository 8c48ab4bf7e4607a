"""The operation on process notes: save one's own.

The log doesn't mention it: who wrote what for themselves is nobody else's business.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from caseapp.core import reads
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import Stale
from caseapp.core.ids import new_id
from caseapp.core.vault import combine_keys, seal_bytes
from caseapp.domain.keys.queries import get_ring_key
from caseapp.domain.process_notes.models import ProcessNote
from caseapp.domain.process_notes.rules import require_writer

if TYPE_CHECKING:
    from caseapp.core.actor import Actor
    from caseapp.domain.process_notes.queries import LockedProcessNote

BLOCK_SIZE = 16 * 1024
"""Bytes: sealed contents have a multiple of this length, so that it tells little of how much somebody wrote."""


def save_process_note(
    actor: Actor, note: LockedProcessNote, words: str, expected_version: int
) -> None:
    """Save the actor's own process note about a case, open or closed; `expected_version` is 0 for the first time.

    Raises Forbidden, InsufficientScope for a token, and Stale when another window saved a newer version first.
    """
    require_writer(actor)
    if note.record.version != expected_version:
        raise Stale
    # Whoever saves is shown nothing; an event of reading in this request would tell it from discarded words.
    reads.note_changed(note.case.case.client_id)
    if note.record.words == words:
        return
    moment, row = now(), note.row
    if row is None:
        row = ProcessNote(
            id=new_id(),
            client_id=note.case.case.client_id,
            case_id=note.case.case.id,
            author_id=actor.id,
            created_at=moment,
        )
        db.session.add(row)
    ring_key = get_ring_key("process_notes")
    key = combine_keys(note.case.key, ring_key.for_person(row.author_id))
    content = json.dumps({"words": words}, ensure_ascii=False).encode()
    filled = content.ljust(-(-len(content) // BLOCK_SIZE) * BLOCK_SIZE)
    row.content = seal_bytes(row, "content", filled, key)
    row.ring_number, row.updated_at = ring_key.number, moment
    db.session.flush()
