"""API for consent: the practice's texts, and what clients have given and withdrawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.api.blueprint import ApiBlueprint, ListQuerySchema, ListRequest
from caseapp.core.pagination import page_in_memory
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.consent import operations, queries
from caseapp.domain.consent.schemas import (
    ConsentErrorSchema,
    ConsentRecord,
    ConsentResponseSchema,
    ConsentTextRecord,
    ConsentTextResponseSchema,
    ConsentWithdrawal,
    ConsentWithdrawalSchema,
    NewConsent,
    NewConsentSchema,
    NewConsentText,
    NewConsentTextSchema,
)
from caseapp.http.guard import current_actor, needs
from caseapp.http.idempotency import run_api_once

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from caseapp.core.pagination import Page

blueprint = ApiBlueprint(
    "consent",
    "The practice’s consent texts, and what clients have given and withdrawn. Texts and entries never change.",
)


@blueprint.route("/consent-texts")
@needs(Action.CONSENT_TEXT_READ)
@blueprint.list_response_schema(ConsentTextResponseSchema())
@blueprint.query_params(ListQuerySchema())
def list_consent_texts(query: ListRequest) -> Page[ConsentTextRecord]:
    """List every published text, the newest version first."""
    return page_in_memory(
        queries.list_texts(current_actor()),
        lambda one: (-one.version, one.language),
        query.cursor,
        query.limit,
    )


@blueprint.route("/consent-texts", "POST", error_statuses=(409,))
@needs(Action.CONSENT_TEXT_PUBLISH)
@blueprint.response_schema(ConsentTextResponseSchema(), 201)
@blueprint.request_schema(NewConsentTextSchema())
def publish_consent_text(body: NewConsentText) -> ConsentTextRecord:
    """Publish a text as a new version, or as a translation of the newest one."""
    actor = current_actor()
    with transaction():
        text_id = run_api_once(
            lambda: operations.publish_text(actor, queries.lock_texts(actor), body)
        )
    return queries.get_text(actor, text_id)


@blueprint.route("/clients/<uuid:client_id>/consents")
@needs(Action.CONSENT_READ)
@blueprint.list_response_schema(ConsentResponseSchema())
@blueprint.query_params(ListQuerySchema())
def list_consents(client_id: UUID, query: ListRequest) -> Page[ConsentRecord]:
    """List the entries about a client’s consent, the last one recorded first.

    What was recorded at intake is in the client’s `consent_on` and `consent_method`.
    """
    return queries.list_consents(current_actor(), client_id, query.cursor, query.limit)


@blueprint.route("/clients/<uuid:client_id>/consents", "POST")
@needs(Action.CONSENT_WRITE)
@blueprint.response_schema(ConsentResponseSchema(), 201)
@blueprint.request_schema(NewConsentSchema())
def record_consent(client_id: UUID, body: NewConsent) -> ConsentRecord:
    """Record that a client gave consent to a published text; this ends a withdrawal."""
    actor = current_actor()
    return _run(lambda: operations.record_consent(actor, lock_client(actor, client_id), body))


@blueprint.route("/clients/<uuid:client_id>/consents/withdrawal", "POST", error_statuses=(409,))
@needs(Action.CONSENT_WRITE)
@blueprint.response_schema(ConsentResponseSchema(), 201)
@blueprint.request_schema(ConsentWithdrawalSchema())
def withdraw_consent(client_id: UUID, body: ConsentWithdrawal) -> ConsentRecord:
    """Record that a client withdrew consent: handouts, mail and exports stop; screening, holds and alerts go on."""
    actor = current_actor()
    return _run(lambda: operations.withdraw_consent(actor, lock_client(actor, client_id), body))


@blueprint.route("/consents/<uuid:consent_id>/error", "POST", error_statuses=(409,))
@needs(Action.CONSENT_WRITE)
@blueprint.response_schema(ConsentResponseSchema())
@blueprint.request_schema(ConsentErrorSchema())
def mark_error(consent_id: UUID, body: str) -> ConsentRecord:
    """Mark an entry as recorded in error, with a reason; it stays readable but no longer counts.

    The other entries then decide whether there is consent.
    """
    actor = current_actor()
    with transaction():
        operations.mark_consent_in_error(actor, queries.lock_consent(actor, consent_id), body)
    return queries.get_consent(actor, consent_id)


def _run(change: Callable[[], UUID]) -> ConsentRecord:
    with transaction():
        entry_id = run_api_once(change)
    return queries.get_consent(current_actor(), entry_id)
