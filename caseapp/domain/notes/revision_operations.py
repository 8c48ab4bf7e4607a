"""Operations on the earlier texts of a draft: keep one, restore one, delete them all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.orm.attributes import set_committed_value

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.ids import new_id
from caseapp.core.permissions import Action
from caseapp.core.vault import reseal_bytes, seal_json
from caseapp.domain.audit.operations import record
from caseapp.domain.notes.codes import MAX_REVISIONS
from caseapp.domain.notes.models import NoteRevision
from caseapp.domain.notes.revision_queries import get_revision
from caseapp.domain.notes.revision_rules import may_be_kept
from caseapp.domain.notes.rules import check_draft

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from caseapp.core.vault import DataKey
    from caseapp.domain.notes.queries import LockedNote
    from caseapp.domain.notes.records import NoteRecord


def keep_text(note: LockedNote, before: NoteRecord, after: NoteRecord, moment: datetime) -> None:
    """Keep the text that a save at a moment replaces in a draft, unless it is soon after the last one that was kept."""
    if may_be_kept(before, after, note.row.created_at, moment):
        kept = _list_kept(note.row.id)
        if not kept or may_be_kept(before, after, kept[0].saved_at, moment):
            _keep(note, before, kept)


def restore_text(actor: Actor, note: LockedNote, revision_id: UUID, expected_version: int) -> int:
    """Put an earlier text of the actor's own draft back, with its format, and return the draft's new version.

    The text that it replaces is kept. Raises NotFound, RuleBroken for a signed note, and Stale.
    """
    require(actor, Action.NOTE_WRITE)
    check_draft(note)
    row, before, wanted = note.row, note.record, get_revision(note, revision_id)
    if (before.format, before.sections) == (wanted.format, wanted.sections):
        return row.version
    if any(before.sections.values()):
        _keep(note, before, _list_kept(row.id))
    set_committed_value(row, "version", expected_version)
    row.format, row.sections = wanted.format, seal_json(row, "sections", wanted.sections, note.key)
    row.updated_at = now()
    db.session.flush()
    details = {"restored": str(revision_id)}
    record(actor, Action.NOTE_WRITE, "note", row.id, client_id=note.client.id, details=details)
    return row.version


def delete_texts(note_id: UUID) -> None:
    """Delete the earlier texts of a draft, which is being signed or discarded."""
    db.session.execute(sa.delete(NoteRevision).where(NoteRevision.note_id == note_id))


def take_texts_along(note_id: UUID, key: DataKey, other: DataKey) -> None:
    """Seal the earlier texts of a draft that was moved under the key of its other client."""
    table = NoteRevision.__tablename__
    rows = db.session.scalars(sa.select(NoteRevision).where(NoteRevision.note_id == note_id))
    for row in rows.all():
        row.content = reseal_bytes(table, "content", row.id, row.content, key, other)
        row.client_id = other.client_id
    db.session.flush()


def _list_kept(note_id: UUID) -> list[sa.Row[UUID, datetime]]:
    """List when the earlier texts of a draft were saved, newest first."""
    return [
        *db.session.execute(
            sa.select(NoteRevision.id, NoteRevision.saved_at)
            .where(NoteRevision.note_id == note_id)
            .order_by(NoteRevision.saved_at.desc(), NoteRevision.id.desc())
        )
    ]


def _keep(note: LockedNote, text: NoteRecord, kept: list[sa.Row[UUID, datetime]]) -> None:
    row = NoteRevision(
        id=new_id(), note_id=note.row.id, client_id=note.client.id, saved_at=text.updated_at
    )
    content = {"format": text.format, "sections": text.sections}
    row.content = seal_json(row, "content", content, note.key)
    db.session.add(row)
    if too_old := [each.id for each in kept[MAX_REVISIONS - 1 :]]:
        db.session.execute(sa.delete(NoteRevision).where(NoteRevision.id.in_(too_old)))
    db.session.flush()
