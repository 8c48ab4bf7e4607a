"""API for erasures: request one, list and read them, and decide about them."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from caseapp.api.blueprint import ApiBlueprint, ListQuerySchema, ListRequest
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.erasure import operations, queries
from caseapp.domain.erasure.printing import certificate_pdf, get_certificate
from caseapp.domain.erasure.schemas import (
    ErasureRecord,
    ErasureRefusalSchema,
    ErasureResponseSchema,
    NewErasureSchema,
)
from caseapp.http.downloads import pdf_response
from caseapp.http.guard import current_actor, needs
from caseapp.http.idempotency import run_api_once

if TYPE_CHECKING:
    from uuid import UUID

    from flask.typing import ResponseReturnValue

    from caseapp.core.pagination import Page

blueprint = ApiBlueprint(
    "erasures",
    "Requests to erase a client’s record. Somebody other than the person who requested it decides, and it "
    "can’t be undone.",
)


@blueprint.route("/clients/<uuid:client_id>/erasures", "POST", error_statuses=(409,))
@needs(Action.ERASURE_REQUEST)
@blueprint.response_schema(ErasureResponseSchema(), HTTPStatus.CREATED)
@blueprint.request_schema(NewErasureSchema())
def request_erasure(client_id: UUID, body: str) -> ErasureRecord:
    """Request the erasure of a client’s record; nothing is erased until somebody else agrees."""
    actor = current_actor()
    with transaction():
        erasure_id = run_api_once(
            lambda: operations.request_erasure(
                actor, queries.lock_record_of(actor, client_id), body
            )
        )
    return queries.get_erasure(actor, erasure_id)


@blueprint.route("/erasures")
@needs(Action.ERASURE_READ)
@blueprint.list_response_schema(ErasureResponseSchema())
@blueprint.query_params(ListQuerySchema())
def list_erasures(query: ListRequest) -> Page[ErasureRecord]:
    """List requests, newest first: yours, those that you decided, and those about your clients; an admin reads all."""
    return queries.list_erasures(current_actor(), query.cursor, query.limit)


@blueprint.route("/erasures/<uuid:erasure_id>")
@needs(Action.ERASURE_READ)
@blueprint.response_schema(ErasureResponseSchema())
def get_erasure(erasure_id: UUID) -> ErasureRecord:
    """Get a request, or the certificate of an erasure."""
    return queries.get_erasure(current_actor(), erasure_id)


@blueprint.route("/erasures/<uuid:erasure_id>/certificate", error_statuses=(409,))
@needs(Action.ERASURE_READ)
@blueprint.file_response("application/pdf")
def get_certificate_pdf(erasure_id: UUID) -> ResponseReturnValue:
    """Get the certificate of an erasure as a PDF."""
    found = get_certificate(current_actor(), erasure_id)
    return pdf_response(certificate_pdf(found), f"erasure-{found.id}.pdf")


@blueprint.route("/erasures/<uuid:erasure_id>/erase", "POST", error_statuses=(409,))
@needs(Action.ERASURE_DECIDE)
@blueprint.response_schema(ErasureResponseSchema())
def erase(erasure_id: UUID) -> ErasureRecord:
    """Erase the record, as somebody else has requested. It can’t be undone."""
    actor = current_actor()
    with transaction():
        operations.erase_record(actor, queries.lock_erasure(actor, erasure_id))
    return queries.get_erasure(actor, erasure_id)


@blueprint.route("/erasures/<uuid:erasure_id>/refuse", "POST", error_statuses=(409,))
@needs(Action.ERASURE_DECIDE)
@blueprint.response_schema(ErasureResponseSchema())
@blueprint.request_schema(ErasureRefusalSchema())
def refuse(erasure_id: UUID, body: str) -> ErasureRecord:
    """Refuse a request of somebody else: the record is kept."""
    actor = current_actor()
    with transaction():
        operations.refuse_erasure(actor, queries.lock_erasure(actor, erasure_id), body)
    return queries.get_erasure(actor, erasure_id)


@blueprint.route("/erasures/<uuid:erasure_id>/withdraw", "POST", error_statuses=(409,))
@needs(Action.ERASURE_REQUEST)
@blueprint.response_schema(ErasureResponseSchema())
def withdraw(erasure_id: UUID) -> ErasureRecord:
    """Withdraw one of your requests."""
    actor = current_actor()
    with transaction():
        operations.withdraw_erasure(actor, queries.lock_erasure(actor, erasure_id))
    return queries.get_erasure(actor, erasure_id)
