"""API for transfers: offer cases to a colleague, list the offers, and decide about them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from caseapp.api.blueprint import ApiBlueprint, ListQuerySchema, ListRequest
from caseapp.core.pagination import page_in_memory
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.consent.rules import derive_consent
from caseapp.domain.practice.queries import get_practice_info
from caseapp.domain.staffing import transfer_operations as operations
from caseapp.domain.staffing.cover_queries import lock_caseload
from caseapp.domain.staffing.transfer_briefs import get_brief as find_brief
from caseapp.domain.staffing.transfer_queries import list_transfers as list_all
from caseapp.domain.staffing.transfer_queries import lock_transfer
from caseapp.domain.staffing.transfer_schemas import (
    BriefResponseSchema,
    DecidedTransfer,
    DecidedTransferResponseSchema,
    MadeOffers,
    MadeOffersResponseSchema,
    NewTransfer,
    TransferRecord,
    TransferResponseSchema,
    TransferSchema,
)
from caseapp.http.briefs import make_brief_pdf
from caseapp.http.downloads import pdf_response
from caseapp.http.guard import current_actor, needs
from caseapp.http.idempotency import run_api_once

if TYPE_CHECKING:
    from uuid import UUID

    from flask import Response

    from caseapp.core.pagination import Page

blueprint = ApiBlueprint(
    "transfers", "Cases that a coach offers to a colleague, who accepts or declines each of them."
)


@blueprint.route("/transfers")
@needs(Action.CLIENT_READ)
@blueprint.list_response_schema(TransferResponseSchema())
@blueprint.query_params(ListQuerySchema())
def list_transfers(query: ListRequest) -> Page[TransferRecord]:
    """List the cases offered to you, and those that you or your coaches offered in the last 30 days, oldest first."""
    return page_in_memory(
        list_all(current_actor()),
        lambda one: (one.offered_at.isoformat(timespec="microseconds"), one.id.hex),
        query.cursor,
        query.limit,
    )


@blueprint.route("/coaches/<uuid:coach_id>/transfers", "POST")
@needs(Action.TRANSFER)
@blueprint.response_schema(MadeOffersResponseSchema(), 201)
@blueprint.request_schema(TransferSchema())
def offer_cases(coach_id: UUID, body: NewTransfer) -> MadeOffers:
    """Offer your cases, or those of a coach whom you supervise, to a colleague, who has seven days to decide."""
    actor = current_actor()

    def offer() -> UUID:
        operations.offer_cases(actor, lock_caseload(actor, coach_id), body)
        return coach_id

    with transaction():
        run_api_once(offer)
    return MadeOffers(coach_id, body.to_id)


@blueprint.route("/transfers/<uuid:transfer_id>/accept", "POST", error_statuses=(409,))
@needs(Action.TRANSFER)
@blueprint.response_schema(DecidedTransferResponseSchema())
def accept(transfer_id: UUID) -> DecidedTransfer:
    """Accept a case that was offered to you: you are the client’s coach from now on."""
    actor = current_actor()
    with transaction():
        operations.accept_transfer(actor, lock_transfer(actor, transfer_id))
    return DecidedTransfer(transfer_id, "accepted")


@blueprint.route("/transfers/<uuid:transfer_id>/decline", "POST", error_statuses=(409,))
@needs(Action.TRANSFER)
@blueprint.response_schema(DecidedTransferResponseSchema())
def decline(transfer_id: UUID) -> DecidedTransfer:
    """Decline a case that was offered to you."""
    actor = current_actor()
    with transaction():
        operations.decline_transfer(actor, lock_transfer(actor, transfer_id))
    return DecidedTransfer(transfer_id, "declined")


@blueprint.route("/transfers/<uuid:transfer_id>/withdraw", "POST", error_statuses=(409,))
@needs(Action.TRANSFER)
@blueprint.response_schema(DecidedTransferResponseSchema())
def withdraw(transfer_id: UUID) -> DecidedTransfer:
    """Withdraw an offer that you or a coach whom you supervise made, and that nobody has decided about."""
    actor = current_actor()
    with transaction():
        operations.withdraw_transfer(actor, lock_transfer(actor, transfer_id))
    return DecidedTransfer(transfer_id, "withdrawn")


@blueprint.route("/transfers/<uuid:transfer_id>/undo", "POST", error_statuses=(409,))
@needs(Action.TRANSFER)
@blueprint.response_schema(DecidedTransferResponseSchema())
def undo(transfer_id: UUID) -> DecidedTransfer:
    """Undo a transfer within 24 hours after it was accepted: the former coach is the client’s coach again.

    Cover for the client ended with the acceptance and has to be arranged again.
    """
    actor = current_actor()
    with transaction():
        operations.undo_transfer(actor, lock_transfer(actor, transfer_id))
    return DecidedTransfer(transfer_id, "undone")


@blueprint.route("/transfers/<uuid:accepted_id>/brief")
@needs(Action.CASE_READ)
@blueprint.response_schema(BriefResponseSchema())
def get_brief(accepted_id: UUID) -> dict[str, Any]:
    """Get the brief of a case that you accepted, for 15 days and while you are the client’s coach."""
    brief = find_brief(current_actor(), accepted_id)
    context = brief.context
    return {
        **{
            name: getattr(brief, name) for name in ("id", "former", "accepted_at", "readable_until")
        },
        **{name: getattr(brief, name) for name in ("due", "drafts", "unread", "plan")},
        "case_id": context.case.id,
        "client_id": context.client.id,
        "number": context.case.number,
        "holds": context.safety.holds,
        "flags": sorted(context.safety.flags),
        "consent": derive_consent(
            context.client, get_practice_info().practice.consent_version
        ).state,
        "consent_withdrawn_on": context.client.consent_withdrawn_on,
    }


@blueprint.route("/transfers/<uuid:accepted_id>/brief/file")
@needs(Action.CASE_EXPORT)
@blueprint.file_response("application/pdf")
def get_brief_file(accepted_id: UUID) -> Response:
    """Get the brief of a case that you accepted as a PDF. It shows the case number, but not the client’s name."""
    actor = current_actor()
    return pdf_response(make_brief_pdf(actor, find_brief(actor, accepted_id)), "brief.pdf")
