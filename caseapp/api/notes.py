"""Session notes: drafts of their author's, signed ones that can no longer change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.api.blueprint import ApiBlueprint, ListQuerySchema, ListRequest
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.audit.operations import record_read
from caseapp.domain.notes.operations import save_draft, sign_note, create_note
from caseapp.domain.notes.queries import get_note, list_case_notes
from caseapp.domain.notes.schemas import (
    DraftChange,
    DraftSchema,
    NewNote,
    NewNoteSchema,
    NoteRecord,
    NoteResponseSchema,
)
from caseapp.http.guard import current_actor, needs
from caseapp.http.idempotency import create_api_once

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.core.pagination import Page

blueprint = ApiBlueprint(
    "notes", "Session notes: drafts of your own, and signed notes of everybody on the care team."
)


@blueprint.route("/cases/<uuid:case_id>/notes")
@needs(Action.NOTE_READ)
@blueprint.list_response_schema(NoteResponseSchema())
@blueprint.query_params(ListQuerySchema())
def note_list(case_id: UUID, query: ListRequest) -> Page[NoteRecord]:
    """List a case's notes, the newest session first."""
    actor = current_actor()
    page = list_case_notes(actor, case_id, query.cursor, query.limit)
    client_id = page.items[0].client_id if page.items else None
    record_read(actor, Action.NOTE_READ, "case", case_id, client_id)
    return page


@blueprint.route("/cases/<uuid:case_id>/notes", "POST")
@needs(Action.NOTE_WRITE)
@blueprint.response_schema(NoteResponseSchema(), 201, location=lambda note: f"/notes/{note['id']}")
@blueprint.request_schema(NewNoteSchema())
def start(case_id: UUID, body: NewNote) -> NoteRecord:
    """Start a draft about a session."""
    actor = current_actor()
    with transaction():
        return create_api_once(
            lambda: create_note(actor, case_id, body), lambda note_id: get_note(actor, note_id)
        )


@blueprint.route("/notes/<uuid:note_id>")
@needs(Action.NOTE_READ)
@blueprint.response_schema(NoteResponseSchema())
def note(note_id: UUID) -> NoteRecord:
    """Show one note."""
    actor = current_actor()
    found = get_note(actor, note_id)
    record_read(actor, Action.NOTE_READ, "note", note_id, found.client_id)
    return found


@blueprint.route("/notes/<uuid:note_id>", "PATCH", error_statuses=(409,))
@needs(Action.NOTE_WRITE)
@blueprint.response_schema(NoteResponseSchema())
@blueprint.request_schema(DraftSchema())
@blueprint.requires_if_match
def change(note_id: UUID, body: DraftChange, version: int) -> NoteRecord:
    """Save what changed in your draft; what is not sent stays as it is."""
    actor = current_actor()
    with transaction():
        save_draft(actor, note_id, body, version)
        return get_note(actor, note_id)


@blueprint.route("/notes/<uuid:note_id>/sign", "POST", error_statuses=(409, 422))
@needs(Action.NOTE_SIGN)
@blueprint.response_schema(NoteResponseSchema())
@blueprint.requires_if_match
def sign(note_id: UUID, version: int) -> NoteRecord:
    """Sign and lock your draft; levels in it that nobody has recorded are recorded with it."""
    actor = current_actor()
    with transaction():
        sign_note(actor, note_id, version)
        return get_note(actor, note_id)
