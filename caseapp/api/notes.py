"""Session notes: drafts of their author's, signed ones that can no longer change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.api.blueprint import Door, ListQuery, Wanted
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.audit.operations import record_read
from caseapp.domain.notes.operations import save_draft, sign_note, start_note
from caseapp.domain.notes.queries import note_shown, notes_of
from caseapp.domain.notes.schemas import (
    DraftChange,
    DraftSchema,
    NewNote,
    NewNoteSchema,
    NoteRecord,
    NoteView,
)
from caseapp.http.guard import needs, the_actor
from caseapp.http.idempotency import api_made

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.core.pagination import Page

door = Door(
    "notes", "Session notes: drafts of your own, and signed notes of everybody on the care team."
)


@door.at("/cases/<uuid:case_id>/notes")
@needs(Action.NOTE_READ)
@door.lists(NoteView())
@door.asks(ListQuery())
def note_list(case_id: UUID, query: Wanted) -> Page[NoteRecord]:
    """List a case's notes, the newest session first."""
    actor = the_actor()
    page = notes_of(actor, case_id, query.cursor, query.limit)
    client_id = page.items[0].client_id if page.items else None
    record_read(actor, Action.NOTE_READ, "case", case_id, client_id)
    return page


@door.at("/cases/<uuid:case_id>/notes", "POST")
@needs(Action.NOTE_WRITE)
@door.gives(NoteView(), 201, at=lambda note: f"/notes/{note['id']}")
@door.takes(NewNoteSchema())
def start(case_id: UUID, body: NewNote) -> NoteRecord:
    """Start a draft about a session."""
    actor = the_actor()
    with transaction():
        return api_made(
            lambda: start_note(actor, case_id, body), lambda note_id: note_shown(actor, note_id)
        )


@door.at("/notes/<uuid:note_id>")
@needs(Action.NOTE_READ)
@door.gives(NoteView())
def note(note_id: UUID) -> NoteRecord:
    """Show one note."""
    actor = the_actor()
    found = note_shown(actor, note_id)
    record_read(actor, Action.NOTE_READ, "note", note_id, found.client_id)
    return found


@door.at("/notes/<uuid:note_id>", "PATCH", also=(409,))
@needs(Action.NOTE_WRITE)
@door.gives(NoteView())
@door.takes(DraftSchema())
@door.changes
def change(note_id: UUID, body: DraftChange, version: int) -> NoteRecord:
    """Save what changed in your draft; what is not sent stays as it is."""
    actor = the_actor()
    with transaction():
        save_draft(actor, note_id, body, version)
        return note_shown(actor, note_id)


@door.at("/notes/<uuid:note_id>/sign", "POST", also=(409, 422))
@needs(Action.NOTE_SIGN)
@door.gives(NoteView())
@door.changes
def sign(note_id: UUID, version: int) -> NoteRecord:
    """Sign and lock your draft; levels in it that nobody has recorded are recorded with it."""
    actor = the_actor()
    with transaction():
        sign_note(actor, note_id, version)
        return note_shown(actor, note_id)
