"""Queries for the earlier texts of a draft: its author's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core.database import db
from caseapp.core.errors import NotFound
from caseapp.core.vault import unseal_json
from caseapp.domain.keys.queries import get_client_key
from caseapp.domain.notes.models import NoteRevision
from caseapp.domain.notes.queries import get_note
from caseapp.domain.notes.revision_schemas import RevisionRecord

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.core.actor import Actor
    from caseapp.core.vault import DataKey
    from caseapp.domain.notes.queries import LockedNote
    from caseapp.domain.notes.records import NoteRecord


def get_own_draft(actor: Actor, note_id: UUID) -> NoteRecord:
    """Return a draft of the actor's.

    Raises NotFound, also for a signed note.
    """
    note = get_note(actor, note_id)
    if note.status != "draft" or note.author_id != actor.id:
        raise NotFound
    return note


def list_revisions(actor: Actor, note: NoteRecord) -> list[RevisionRecord]:
    """List the earlier texts of a draft of the actor's, as `get_own_draft` has returned it, newest first.

    Raises NotFound.
    """
    if note.author_id != actor.id:
        raise NotFound
    rows = db.session.scalars(
        sa.select(NoteRevision)
        .where(NoteRevision.note_id == note.id, NoteRevision.client_id == note.client_id)
        .order_by(NoteRevision.saved_at.desc(), NoteRevision.id.desc())
    ).all()
    key = get_client_key(note.client_id)
    return [_open(row, key) for row in rows]


def get_revision(note: LockedNote, revision_id: UUID) -> RevisionRecord:
    """Return an earlier text of a locked draft.

    Raises NotFound.
    """
    row = db.session.get(NoteRevision, revision_id)
    if row is None or (row.note_id, row.client_id) != (note.row.id, note.client.id):
        raise NotFound
    return _open(row, note.key)


def _open(row: NoteRevision, key: DataKey) -> RevisionRecord:
    content = unseal_json(row, "content", key)
    return RevisionRecord(row.id, row.saved_at, content["format"], content["sections"])
