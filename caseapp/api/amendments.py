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
    "Requests of clients to correct a signed note, which itself stays as it was signed.",
)


@blueprint.route("/amendment-requests")
@needs(Action.NOTE_READ)
@blueprint.list_response_schema(WaitingAmendmentResponseSchema())
@blueprint.query_params(ListQuerySchema())
def list_waiting(query: ListRequest) -> Page[WaitingAmendment]:
    """List the requests about your clients that wait for an answer, the soonest due first, without their words."""
    return amendment_queries.list_waiting_amendments(current_actor(), query.cursor, query.limit)


@blueprint.route("/notes/<uuid:signed_note_id>/amendments")
@needs(Action.NOTE_READ)
@blueprint.response_schema(NoteAmendmentsResponseSchema())
def get_amendments(signed_note_id: UUID) -> NoteAmendments:
    """Get what a client wants corrected in a note, and what became of it."""
    return amendment_queries.get_amendments(current_actor(), signed_note_id)


@blueprint.route("/notes/<uuid:signed_note_id>/amendments", "POST", error_statuses=(409,))
@needs(Action.AMENDMENT_WRITE)
@blueprint.response_schema(NoteAmendmentsResponseSchema(), 201)
@blueprint.request_schema(NewAmendmentRequestSchema())
def record_request(signed_note_id: UUID, body: NewAmendmentRequest) -> NoteAmendments:
    """Record what a client wants corrected in a signed note; one request at a time waits for an answer."""
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
    """Accept the open request by signing a correction; the version is that of the note's requests."""
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
    """Decline the open request with a reason; the version is that of the note's requests."""
    actor = current_actor()
    with transaction():
        note = lock_note(actor, signed_note_id)
        amendment_operations.decline_request(actor, note, body, version)
    return amendment_queries.get_amendments(actor, signed_note_id)
