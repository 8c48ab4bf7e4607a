"""API for clients' requests to correct a signed note: list, record, accept and decline them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.api.blueprint import ApiBlueprint, ListQuerySchema, ListRequest
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.notes import amendment_operations, amendment_queries
from caseapp.domain.notes.amendment_schemas import (
    AcceptAmendmentSchema,
    DeclineAmendmentSchema,
    NewAmendmentRequest,
    NewAmendmentRequestSchema,
    NoteAmendmentsResponseSchema,
    WaitingAmendmentResponseSchema,
)
from caseapp.domain.notes.queries import lock_note
from caseapp.http.guard import current_actor, needs
from caseapp.http.idempotency import run_api_once

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.core.pagination import Page
    from caseapp.domain.notes.amendment_records import NoteAmendments, WaitingAmendment

blueprint = ApiBlueprint(
    "amendments",
    "Clients’ requests to correct a signed note. The note itself stays as it was signed.",
)


@blueprint.route("/amendment-requests")
@needs(Action.NOTE_READ)
@blueprint.list_response_schema(WaitingAmendmentResponseSchema())
@blueprint.query_params(ListQuerySchema())
def list_waiting(query: ListRequest) -> Page[WaitingAmendment]:
    """List the open requests about your clients, the soonest due first, without the text of the requests."""
    return amendment_queries.list_waiting_amendments(current_actor(), query.cursor, query.limit)


@blueprint.route("/notes/<uuid:signed_note_id>/amendments")
@needs(Action.NOTE_READ)
@blueprint.response_schema(NoteAmendmentsResponseSchema())
def get_amendments(signed_note_id: UUID) -> NoteAmendments:
    """Get a client’s requests to correct a note, and how they were answered."""
    return amendment_queries.get_amendments(current_actor(), signed_note_id)


@blueprint.route("/notes/<uuid:signed_note_id>/amendments", "POST", error_statuses=(409,))
@needs(Action.AMENDMENT_WRITE)
@blueprint.response_schema(NoteAmendmentsResponseSchema(), 201)
@blueprint.request_schema(NewAmendmentRequestSchema())
def record_request(signed_note_id: UUID, body: NewAmendmentRequest) -> NoteAmendments:
    """Record what a client wants corrected in a signed note; only one request can be open at a time."""
    actor = current_actor()
    with transaction():
        run_api_once(
            lambda: amendment_operations.record_request(
                actor, lock_note(actor, signed_note_id), body
            )
        )
    return amendment_queries.get_amendments(actor, signed_note_id)


@blueprint.route("/notes/<uuid:signed_note_id>/amendments/accept", "POST", error_statuses=(409,))
@needs(Action.NOTE_AMEND)
@blueprint.response_schema(NoteAmendmentsResponseSchema())
@blueprint.request_schema(AcceptAmendmentSchema())
@blueprint.requires_if_match
def accept_request(signed_note_id: UUID, body: str, version: int) -> NoteAmendments:
    """Accept the open request by signing a correction; If-Match takes the version of the note’s requests."""
    actor = current_actor()
    with transaction():
        note = lock_note(actor, signed_note_id)
        amendment_operations.accept_request(actor, note, body, version)
    return amendment_queries.get_amendments(actor, signed_note_id)


@blueprint.route("/notes/<uuid:signed_note_id>/amendments/decline", "POST", error_statuses=(409,))
@needs(Action.AMENDMENT_WRITE)
@blueprint.response_schema(NoteAmendmentsResponseSchema())
@blueprint.request_schema(DeclineAmendmentSchema())
@blueprint.requires_if_match
def decline_request(signed_note_id: UUID, body: str, version: int) -> NoteAmendments:
    """Decline the open request with a reason; If-Match takes the version of the note’s requests."""
    actor = current_actor()
    with transaction():
        note = lock_note(actor, signed_note_id)
        amendment_operations.decline_request(actor, note, body, version)
    return amendment_queries.get_amendments(actor, signed_note_id)
