"""API for legal holds: place one, list and read them, say when somebody looks again, and lift one."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from marshmallow import fields, validate

from caseapp.api.blueprint import ApiBlueprint, ListQuerySchema, ListRequest
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.legal_holds import operations, queries
from caseapp.domain.legal_holds.codes import SHOWN
from caseapp.domain.legal_holds.schemas import (
    LegalHoldLiftSchema,
    LegalHoldRecord,
    LegalHoldResponseSchema,
    LegalHoldReview,
    LegalHoldReviewSchema,
    NewLegalHold,
    NewLegalHoldSchema,
)
from caseapp.http.guard import current_actor, needs
from caseapp.http.idempotency import run_api_once

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.core.pagination import Page

blueprint = ApiBlueprint(
    "legal_holds",
    "Legal holds: while a record has one, it can’t be erased or merged into another record.",
)


class LegalHoldQuerySchema(ListQuerySchema):
    """Which legal holds to list."""

    show = fields.String(load_default="standing", validate=validate.OneOf([*SHOWN]))


@blueprint.route("/legal-holds")
@needs(Action.LEGAL_HOLD_READ)
@blueprint.list_response_schema(LegalHoldResponseSchema())
@blueprint.query_params(LegalHoldQuerySchema())
def list_legal_holds(query: ListRequest) -> Page[LegalHoldRecord]:
    """List legal holds, newest first: on the records of your clients; an admin reads all."""
    return queries.list_legal_holds(
        current_actor(), query.filters["show"], query.cursor, query.limit
    )


@blueprint.route("/legal-holds", "POST", error_statuses=(409,))
@needs(Action.LEGAL_HOLD_MANAGE)
@blueprint.response_schema(LegalHoldResponseSchema(), HTTPStatus.CREATED)
@blueprint.request_schema(NewLegalHoldSchema())
def place(body: NewLegalHold) -> LegalHoldRecord:
    """Place a legal hold on a client’s record, by case number."""
    actor = current_actor()
    with transaction():
        legal_hold_id = run_api_once(
            lambda: operations.place_legal_hold(
                actor, queries.lock_legal_holds(actor, body.number), body.kind, body.review_on
            )
        )
    return queries.get_legal_hold(actor, legal_hold_id)


@blueprint.route("/legal-holds/<uuid:legal_hold_id>")
@needs(Action.LEGAL_HOLD_READ)
@blueprint.response_schema(LegalHoldResponseSchema())
def get_legal_hold(legal_hold_id: UUID) -> LegalHoldRecord:
    """Get a legal hold."""
    return queries.get_legal_hold(current_actor(), legal_hold_id)


@blueprint.route("/legal-holds/<uuid:legal_hold_id>/review", "POST", error_statuses=(409,))
@needs(Action.LEGAL_HOLD_MANAGE)
@blueprint.response_schema(LegalHoldResponseSchema())
@blueprint.request_schema(LegalHoldReviewSchema())
def review(legal_hold_id: UUID, body: LegalHoldReview) -> LegalHoldRecord:
    """Record that a legal hold is still needed, and when it will be reviewed next."""
    actor = current_actor()
    with transaction():
        hold = queries.lock_legal_hold(actor, legal_hold_id)
        operations.review_legal_hold(actor, hold, body.review_on)
    return queries.get_legal_hold(actor, legal_hold_id)


@blueprint.route("/legal-holds/<uuid:legal_hold_id>/lift", "POST", error_statuses=(409,))
@needs(Action.LEGAL_HOLD_MANAGE)
@blueprint.response_schema(LegalHoldResponseSchema())
@blueprint.request_schema(LegalHoldLiftSchema())
def lift(legal_hold_id: UUID, body: str) -> LegalHoldRecord:
    """Lift a legal hold that somebody else placed."""
    actor = current_actor()
    with transaction():
        operations.lift_legal_hold(actor, queries.lock_legal_hold(actor, legal_hold_id), body)
    return queries.get_legal_hold(actor, legal_hold_id)
