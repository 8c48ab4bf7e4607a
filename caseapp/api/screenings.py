"""API for screenings, flags and holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from marshmallow import Schema, fields

from caseapp.api.blueprint import ApiBlueprint, ListQuerySchema, ListRequest
from caseapp.core.pagination import page_in_memory
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.reading import list_client_suspended_assignments
from caseapp.domain.assignments.schemas import AssignmentResponseSchema
from caseapp.domain.cases.queries import lock_case
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.notes import operations as note_operations
from caseapp.domain.screening import (
    circumstance_operations,
    hold_operations,
    operations,
    queries,
)
from caseapp.domain.screening.history import get_safety_history
from caseapp.domain.screening.response_schemas import (
    CircumstanceResponseSchema,
    FlagResponseSchema,
    HoldDetailResponseSchema,
    HoldResponseSchema,
    ProposalResponseSchema,
    ScreeningResponseSchema,
)
from caseapp.domain.screening.schemas import (
    CircumstanceEnd,
    CircumstanceEndSchema,
    Decisions,
    DecisionsSchema,
    ErrorReasonSchema,
    ExceptionSchema,
    NewException,
    NewScreening,
    ReasonSchema,
    ScreeningSchema,
    SecondPerson,
    SecondPersonSchema,
)
from caseapp.domain.suitability import operations as suitability
from caseapp.http.guard import current_actor, needs
from caseapp.http.idempotency import create_api_once

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.core.actor import Actor
    from caseapp.core.pagination import Page
    from caseapp.domain.screening.proposals import Proposal
    from caseapp.domain.screening.records import CircumstanceRecord, Flag, Hold, ScreeningRecord

blueprint = ApiBlueprint(
    "screenings",
    "Screenings, flags and holds. They support a coach’s judgement. No clinician has approved the protocol yet.",
)


SCREENING_FIELDS = tuple(ScreeningResponseSchema().fields)


class NewScreeningResponseSchema(ScreeningResponseSchema):
    """A new screening with the assignments of the open case that are now suspended."""

    suspended = fields.List(fields.Nested(AssignmentResponseSchema), required=True)


class ProposalsResponseSchema(Schema):
    """The items of a client that are proposed as concerns."""

    proposals = fields.List(fields.Nested(ProposalResponseSchema), required=True)


@blueprint.route("/clients/<uuid:client_id>/screenings")
@needs(Action.SCREENING_READ)
@blueprint.list_response_schema(ScreeningResponseSchema())
@blueprint.query_params(ListQuerySchema())
def list_screenings(client_id: UUID, query: ListRequest) -> Page[ScreeningRecord]:
    """List a client’s screenings, newest first; one that is `in_error` doesn’t count."""
    actor = current_actor()
    return queries.list_screenings(actor, client_id, query.cursor, query.limit)


@blueprint.route("/clients/<uuid:client_id>/screenings", "POST")
@needs(Action.SCREENING_RECORD)
@blueprint.response_schema(NewScreeningResponseSchema(), 201)
@blueprint.request_schema(ScreeningSchema())
def create_screening(client_id: UUID, body: NewScreening) -> dict[str, Any]:
    """Record a screening with the holds, flags and follow-ups that it requires.

    `suspended` lists the assignments that are suspended now.
    """
    actor = current_actor()

    def create() -> ScreeningRecord:
        client, current = queries.lock_client_with_safety(actor, client_id)
        return operations.record_screening(actor, client, body, current=current)

    with transaction():
        found = create_api_once(
            create,
            lambda screening_id: queries.get_screening(actor, screening_id),
        )
        suspended = list_client_suspended_assignments(actor, client_id)
    return {name: getattr(found, name) for name in SCREENING_FIELDS} | {"suspended": suspended}


@blueprint.route("/clients/<uuid:client_id>/proposals")
@needs(Action.SCREENING_READ)
@blueprint.list_response_schema(ProposalResponseSchema())
@blueprint.query_params(ListQuerySchema())
def list_proposals(client_id: UUID, query: ListRequest) -> Page[Proposal]:
    """List the items that are proposed as concerns because they have stayed at watch or above."""
    return page_in_memory(
        queries.list_client_proposals(current_actor(), client_id),
        lambda proposal: (
            proposal.proposed_at.isoformat(timespec="microseconds"),
            proposal.item,
        ),
        query.cursor,
        query.limit,
    )


@blueprint.route("/clients/<uuid:client_id>/proposals", "POST", error_statuses=(409,))
@needs(Action.SCREENING_RECORD)
@blueprint.response_schema(ProposalsResponseSchema())
@blueprint.request_schema(DecisionsSchema())
def decide_proposals(client_id: UUID, body: Decisions) -> dict[str, Any]:
    """Decide about proposed items: record each as a concern, or write why it is not one.

    `proposals` lists what is still proposed.
    """
    actor = current_actor()
    with transaction():
        operations.decide_proposals(actor, lock_client(actor, client_id), body)
    return {"proposals": queries.list_client_proposals(actor, client_id)}


@blueprint.route("/screenings/<uuid:screening_id>/error", "POST", error_statuses=(409,))
@needs(Action.SCREENING_CORRECT)
@blueprint.response_schema(ScreeningResponseSchema())
@blueprint.request_schema(ErrorReasonSchema())
def mark_screening_in_error(screening_id: UUID, body: dict[str, str]) -> ScreeningRecord:
    """Mark a screening as recorded in error, with a reason: its answers no longer count.

    If only this screening opened a hold, that hold ends. Everybody who must know is alerted.
    """
    actor = current_actor()
    with transaction():
        screening = queries.lock_screening(actor, screening_id)
        note_operations.mark_screening_in_error(actor, screening, body["reason"])
    return queries.get_screening(actor, screening_id)


@blueprint.route("/clients/<uuid:client_id>/circumstances")
@needs(Action.SCREENING_READ)
@blueprint.list_response_schema(CircumstanceResponseSchema())
@blueprint.query_params(ListQuerySchema())
def list_circumstances(client_id: UUID, query: ListRequest) -> Page[CircumstanceRecord]:
    """List a client’s circumstances: current ones first, then those that have ended, the latest first."""
    return page_in_memory(
        queries.list_circumstances(current_actor(), client_id),
        lambda found: (int(found.ended is not None), -found.seq, found.circumstance),
        query.cursor,
        query.limit,
    )


@blueprint.route("/clients/<uuid:client_id>/circumstances/end", "POST", error_statuses=(409,))
@needs(Action.CIRCUMSTANCE_END)
@blueprint.response_schema(CircumstanceResponseSchema())
@blueprint.request_schema(CircumstanceEndSchema())
def end_circumstance(client_id: UUID, body: CircumstanceEnd) -> CircumstanceRecord:
    """Record that a circumstance has ended, with a reason: it is no longer current.

    Send `mentioned_at` as the list shows it. If the circumstance has been mentioned again since, it isn’t ended.
    Levels, holds, flags and follow-ups stay as they are.
    """
    actor = current_actor()
    with transaction():
        return circumstance_operations.end_circumstance(actor, lock_client(actor, client_id), body)


@blueprint.route("/clients/<uuid:client_id>/flags")
@needs(Action.SCREENING_READ)
@blueprint.list_response_schema(FlagResponseSchema())
@blueprint.query_params(ListQuerySchema())
def list_flags(client_id: UUID, query: ListRequest) -> Page[Flag]:
    """List a client’s active flags, oldest first."""
    actor = current_actor()
    return page_in_memory(
        queries.list_flags(actor, client_id),
        lambda flag: (flag.set_at.isoformat(timespec="microseconds"), flag.id.hex),
        query.cursor,
        query.limit,
    )


@blueprint.route("/clients/<uuid:client_id>/holds")
@needs(Action.HOLD_READ)
@blueprint.list_response_schema(HoldResponseSchema())
@blueprint.query_params(ListQuerySchema())
def list_holds(client_id: UUID, query: ListRequest) -> Page[Hold]:
    """List a client’s holds, open ones first, then newest first."""
    actor = current_actor()
    return page_in_memory(
        queries.list_holds(actor, client_id), _hold_position, query.cursor, query.limit
    )


def _hold_position(hold: Hold) -> tuple[int, int, str]:
    newest_first = -round(hold.opened_at.timestamp() * 1_000_000)
    return int(hold.released_at is not None), newest_first, hold.id.hex


@blueprint.route("/holds/<uuid:hold_id>")
@needs(Action.HOLD_READ)
@blueprint.response_schema(HoldDetailResponseSchema())
def get_hold(hold_id: UUID) -> dict[str, Any]:
    """Get a hold and what still blocks its release."""
    return _get_hold_detail(hold_id)


def _get_hold_detail(hold_id: UUID) -> dict[str, Any]:
    actor = current_actor()
    return _describe_hold(queries.get_hold(actor, hold_id), actor)


def _describe_hold(found: Hold, actor: Actor) -> dict[str, Any]:
    blockers = [] if found.released_at else queries.list_release_blockers(found, actor)
    shown = {name: getattr(found, name) for name in HoldResponseSchema().fields}
    return shown | {"blockers": blockers}


@blueprint.route("/holds/<uuid:hold_id>/release", "POST", error_statuses=(409,))
@needs(Action.HOLD_RELEASE)
@blueprint.response_schema(HoldDetailResponseSchema())
@blueprint.request_schema(ReasonSchema())
@blueprint.requires_if_match
def release_hold(hold_id: UUID, body: dict[str, str], version: int) -> dict[str, Any]:
    """Release a hold with a written reason when nothing blocks it."""
    actor = current_actor()
    with transaction():
        locked = queries.lock_hold(actor, hold_id)
        hold_operations.release_hold(actor, locked, body["reason"], version)
    # Whoever was named to release it doesn't see it any more.
    history = get_safety_history(locked.hold.client_id)
    return _describe_hold(history.holds[hold_id], actor)


@blueprint.route("/holds/<uuid:hold_id>/allowed-handout", "POST", error_statuses=(409,))
@needs(Action.HOLD_ALLOW)
@blueprint.response_schema(HoldDetailResponseSchema())
@blueprint.request_schema(ExceptionSchema())
@blueprint.requires_if_match
def allow_handout(hold_id: UUID, body: NewException, version: int) -> dict[str, Any]:
    """Allow one handout that only the care hold blocks, in one case; it replaces any handout allowed before."""
    actor = current_actor()
    with transaction():
        suitability.allow_handout(actor, lock_case(actor, body.case_id), hold_id, body, version)
    return _get_hold_detail(hold_id)


@blueprint.route("/holds/<uuid:hold_id>/second-person", "POST", error_statuses=(409,))
@needs(Action.HOLD_NAME)
@blueprint.response_schema(HoldDetailResponseSchema())
@blueprint.request_schema(SecondPersonSchema())
@blueprint.requires_if_match
def name_second_person(hold_id: UUID, body: SecondPerson, version: int) -> dict[str, Any]:
    """Name the supervisor who may release a hold. They can read it until they release it or another one is named."""
    actor = current_actor()
    with transaction():
        locked = queries.lock_hold(actor, hold_id)
        hold_operations.name_second_person(actor, locked, body.user_id, version)
    return _get_hold_detail(hold_id)
