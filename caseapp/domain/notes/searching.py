"""Searching notes for words: each note is opened and looked through in this process, and nothing is stored.

There is no index of words: it would tell a thief of the database what the notes say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from caseapp.core import reads
from caseapp.core.actor import Actor, require
from caseapp.core.database import db
from caseapp.core.errors import Invalid
from caseapp.core.pagination import make_cursor, newest_before, parse_cursor
from caseapp.core.permissions import Action
from caseapp.domain.audit.operations import hash_ids
from caseapp.domain.cases.queries import get_case
from caseapp.domain.clients.visibility import looked_after_by
from caseapp.domain.keys.queries import open_listed_client_key
from caseapp.domain.notes.matching import has_words, list_excerpts, split_words
from caseapp.domain.notes.models import Note
from caseapp.domain.notes.queries import select_readable
from caseapp.domain.notes.sealing import build_records
from caseapp.domain.notes.search_schemas import FoundNote, FoundNotes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from uuid import UUID

    from caseapp.core.vault import DataKey
    from caseapp.domain.notes.records import NoteRecord
    from caseapp.domain.notes.search_schemas import NoteSearch

MAX_NOTES = 1000
"""The most notes that one request looks through."""
BATCH_SIZE = 250
NO_WORD = "We can’t search for these characters alone. Enter another word."


def search_notes(actor: Actor, search: NoteSearch) -> FoundNotes:
    """Look through signed notes and the actor's own drafts for words, newest session first.

    These are the notes of one case, or of the clients who are the actor's work. At most MAX_NOTES are looked through:
    `next` goes on from there. The log names the clients whose notes were opened for it; of those that were shown it
    holds a number and a hash, as of any list, since the event is in the log of each of them.
    Raises NotFound for a case that the actor doesn't see, and Invalid for a cursor that this application did not make
    and for what holds no word that can be looked for.
    """
    require(actor, Action.NOTE_READ)
    if search.case_id is not None:
        get_case(actor, search.case_id)
    words = split_words(search.words)
    if not words:
        raise Invalid({"words": [NO_WORD]})
    position = parse_cursor(search.cursor) if search.cursor else None
    shown = reads.List(set(), "note_search", search.case_id, always=True)
    reads.note_list(Action.NOTE_READ, shown)
    found, looked_at = list[FoundNote](), 0
    is_more = True
    while is_more and looked_at < MAX_NOTES and len(found) < search.limit:
        rows = _load_batch(actor, search, position)
        is_more = len(rows) == BATCH_SIZE
        for note in _open(rows, shown):
            looked_at, position = looked_at + 1, (note.actual_session_at, note.id)
            if has_words(note, words):
                found.append(FoundNote(note, list_excerpts(note, words)))
                if len(found) == search.limit:
                    is_more = is_more or note.id != rows[-1].id
                    break
    clients = {each.note.client_id for each in found}
    shown.details = {
        "notes": looked_at,
        "found": len(found),
        "shown": len(clients),
        "shown_sha256": hash_ids(clients),
    }
    return FoundNotes(
        found,
        looked_at,
        position[0] if position and looked_at else None,
        make_cursor(*position) if position and is_more else None,
    )


def _load_batch(actor: Actor, search: NoteSearch, position: tuple[datetime, UUID] | None) -> Any:  # noqa: ANN401 - rows
    query = select_readable(actor.role, actor.id)
    if search.case_id is not None:
        query = query.where(Note.case_id == search.case_id)
    else:
        query = query.where(Note.client_id.in_(looked_after_by(actor)))
    return db.session.execute(
        newest_before(query, Note.actual_session_at, Note.id, position, BATCH_SIZE)
    ).all()


def _open(rows: Any, shown: reads.List) -> Iterator[NoteRecord]:  # noqa: ANN401 - result rows
    shown.client_ids |= {row.client_id for row in rows}
    keys: dict[UUID, DataKey] = {}
    for row in rows:
        if row.client_id not in keys:
            keys[row.client_id] = open_listed_client_key(row.wrapped, row.client_id)
    yield from build_records(rows, keys)
