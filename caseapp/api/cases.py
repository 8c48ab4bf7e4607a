"""API for cases: open, read, update, move between stages, close and reopen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from marshmallow import fields, validate

from caseapp.api.blueprint import ApiBlueprint, ListQuerySchema, ListRequest, merge_changes
from caseapp.api.serialization import build_serializer, to_json_types
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.cases import operations, queries
from caseapp.domain.cases.facts import FACTS
from caseapp.domain.cases.queries import CaseContext, CaseFilter, get_case_context, lock_case
from caseapp.domain.cases.schemas import (
    CaseClosing,
    CaseClosingSchema,
    CaseDetailsSchema,
    CaseListItemResponseSchema,
    CaseResponseSchema,
    NewCase,
    NewCaseSchema,
    ReopenSchema,
    StageMove,
    StageMoveSchema,
)
from caseapp.domain.cases.stages import stage_by_id
from caseapp.domain.clients.operations import create_client
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.consent.rules import derive_consent
from caseapp.domain.contacts.codes import CANCELLED, NO_SHOW
from caseapp.domain.contacts.queries import count_missed
from caseapp.domain.dashboard.record_printing import make_record_pdf
from caseapp.domain.dashboard.schemas import TimelineEvent, TimelineEventResponseSchema
from caseapp.domain.dashboard.timeline import list_timeline
from caseapp.domain.dashboard.timeline_filter import TimelineFilterSchema, build_filter
from caseapp.domain.followups.schemas import PLAUSIBLE_TIME
from caseapp.domain.notes.sessions import NO_SESSIONS, SessionCount, count_sessions
from caseapp.domain.practice.queries import get_practice_info
from caseapp.http.downloads import pdf_response
from caseapp.http.guard import current_actor, needs
from caseapp.http.idempotency import run_api_once

if TYPE_CHECKING:
    from uuid import UUID

    from flask import Response

    from caseapp.core.pagination import Page

blueprint = ApiBlueprint(
    "cases",
    "A case is one period of coaching for a client. A client can have several cases, but only one can be open at "
    "a time.",
)
serialize = build_serializer(CaseResponseSchema())


class CaseQuery(ListQuerySchema):
    """Filters of the list of cases."""

    stage = fields.String(validate=validate.OneOf(list(stage_by_id())))
    status = fields.String(validate=validate.OneOf(["open", "closed"]))
    coach = fields.UUID(attribute="coach_id")
    hold = fields.String(validate=validate.OneOf(["any", "care", "safety"]))
    q = fields.String(
        validate=validate.Length(max=120),
        metadata={
            "description": "A case number, the first letters of a name, or an exact email address or phone number."
        },
    )
    updated_since = fields.AwareDateTime(validate=PLAUSIBLE_TIME)


class TimelineQuery(TimelineFilterSchema, ListQuerySchema):
    """Filters of a timeline."""


def _record(context: CaseContext) -> dict[str, Any]:
    case, facts = context.case, context.facts
    missed = count_missed(case.client_id, case.opened_at, case.closed_at)
    return {
        **{
            fact.name: facts.get(fact.name, [] if fact.kind == "multiple" else None)
            for fact in FACTS
        },
        "id": case.id,
        "number": case.number,
        "client_id": case.client_id,
        "client": context.client.name,
        "coach_id": case.coach_id,
        "coach": context.coach,
        "status": case.status,
        "stage": case.stage,
        "stage_since": case.stage_since,
        "opened_at": case.opened_at,
        "updated_at": case.updated_at,
        "closed_at": case.closed_at,
        "hold": context.safety.hold,
        "consent_withdrawn_on": context.client.consent_withdrawn_on,
        "consent": derive_consent(
            context.client, get_practice_info().practice.consent_version
        ).state,
        "goal": case.goal,
        "goal_chosen_on": case.goal_chosen_on,
        "review_date": case.review_date,
        "outcome": case.outcome,
        "close_reason": case.close_reason,
        "final_screening": case.final_screening,
        "follow_up_on": case.follow_up_on,
        "version": case.version,
        **_sessions(count_sessions([case.id]).get(case.id, NO_SESSIONS)),
        "no_shows": missed[NO_SHOW],
        "cancelled_sessions": missed[CANCELLED],
    }


def _sessions(counted: SessionCount) -> dict[str, Any]:
    return {
        "sessions": counted.sessions,
        "session_minutes": counted.minutes,
        "last_session_at": counted.last,
    }


@blueprint.route("/cases")
@needs(Action.CASE_READ)
@blueprint.list_response_schema(CaseListItemResponseSchema())
@blueprint.query_params(CaseQuery())
def list_cases(query: ListRequest) -> Page[dict[str, Any]]:
    """List the cases of your clients, newest first; sessions and minutes are counted from signed notes."""
    actor = current_actor()
    page = queries.list_cases(actor, CaseFilter(**query.filters), query.cursor, query.limit)
    counted = count_sessions([item.id for item in page.items])
    return page.map(lambda item: {**vars(item), **_sessions(counted.get(item.id, NO_SESSIONS))})


@blueprint.route("/cases", "POST", error_statuses=(404,))
@needs(Action.CASE_OPEN)
@blueprint.response_schema(CaseResponseSchema(), 201, location=lambda case: f"/cases/{case['id']}")
@blueprint.request_schema(NewCaseSchema())
def create_case(body: NewCase) -> dict[str, Any]:
    """Open a case in the first stage for an existing or a new client."""
    actor = current_actor()
    with transaction():
        case_id = run_api_once(lambda: _open(body))
    return _record(get_case_context(actor, case_id))


def _open(new: NewCase) -> UUID:
    actor = current_actor()
    coach_id = new.coach_id or actor.id
    client_id = new.client_id
    if new.client:
        client_id = create_client(
            actor, new.client.details, coach_id=coach_id, agreed=new.client.agreed
        )
    assert client_id is not None  # noqa: S101 - the schema asks for one of the two
    client = lock_client(actor, client_id)
    return operations.open_case(actor, client, new.details, coach_id=coach_id)


@blueprint.route("/cases/<uuid:case_id>")
@needs(Action.CASE_READ)
@blueprint.response_schema(CaseResponseSchema())
def get_case(case_id: UUID) -> dict[str, Any]:
    """Get one case."""
    actor = current_actor()
    context = get_case_context(actor, case_id)
    return _record(context)


@blueprint.route("/cases/<uuid:case_id>", "PATCH")
@needs(Action.CASE_EDIT)
@blueprint.response_schema(CaseResponseSchema())
@blueprint.request_schema(CaseDetailsSchema(partial=True))
@blueprint.requires_if_match
def update_case(case_id: UUID, body: dict[str, Any], version: int) -> dict[str, Any]:
    """Update the facts, goal or review date that are sent; the resulting case is validated."""
    actor = current_actor()
    current = to_json_types(serialize(_record(get_case_context(actor, case_id))))
    details = merge_changes(CaseDetailsSchema(), current, body)
    with transaction():
        operations.update_case(actor, lock_case(actor, case_id), details, version)
    return _record(get_case_context(actor, case_id))


@blueprint.route("/cases/<uuid:case_id>/stage", "POST", error_statuses=(409,))
@needs(Action.CASE_MOVE)
@blueprint.response_schema(CaseResponseSchema())
@blueprint.request_schema(StageMoveSchema())
@blueprint.requires_if_match
def move_case(case_id: UUID, body: StageMove, version: int) -> dict[str, Any]:
    """Move a case to the next stage when its gate is open, or back with a reason."""
    actor = current_actor()
    with transaction():
        operations.move_case(actor, lock_case(actor, case_id), body, version)
    return _record(get_case_context(actor, case_id))


@blueprint.route("/cases/<uuid:case_id>/close", "POST", error_statuses=(409,))
@needs(Action.CASE_CLOSE)
@blueprint.response_schema(CaseResponseSchema())
@blueprint.request_schema(CaseClosingSchema())
@blueprint.requires_if_match
def close_case(case_id: UUID, body: CaseClosing, version: int) -> dict[str, Any]:
    """Close a case with its outcome."""
    actor = current_actor()
    with transaction():
        operations.close_case(actor, lock_case(actor, case_id), body, version)
    return _record(get_case_context(actor, case_id))


@blueprint.route("/cases/<uuid:case_id>/reopen", "POST", error_statuses=(409,))
@needs(Action.CASE_REOPEN)
@blueprint.response_schema(CaseResponseSchema())
@blueprint.request_schema(ReopenSchema())
@blueprint.requires_if_match
def reopen_case(case_id: UUID, body: dict[str, str], version: int) -> dict[str, Any]:
    """Reopen a closed case in the first stage, with a reason."""
    actor = current_actor()
    with transaction():
        operations.reopen_case(actor, lock_case(actor, case_id), body["reason"], version)
    return _record(get_case_context(actor, case_id))


@blueprint.route("/cases/<uuid:case_id>/timeline")
@needs(Action.CASE_READ)
@blueprint.list_response_schema(TimelineEventResponseSchema())
@blueprint.query_params(TimelineQuery())
def list_timeline_events(case_id: UUID, query: ListRequest) -> Page[TimelineEvent]:
    """List a case’s timeline events, newest first."""
    actor = current_actor()
    context = get_case_context(actor, case_id)
    filters = build_filter(query.filters)
    return list_timeline(actor, context, filters, cursor=query.cursor, limit=query.limit)


@blueprint.route("/cases/<uuid:case_id>/record", error_statuses=(409,))
@needs(Action.RECORD_EXPORT)
@blueprint.file_response("application/pdf")
@blueprint.query_params(TimelineFilterSchema())
def get_record(case_id: UUID, query: dict[str, Any]) -> Response:
    """Get the record of a case as a PDF: its timeline, the oldest first, with the full text of every signed note.

    Drafts are left out. One PDF can have at most 40 notes and 200 events. Every copy is recorded.
    """
    actor = current_actor()
    context = get_case_context(actor, case_id)
    content = make_record_pdf(actor, context, build_filter(query))
    return pdf_response(content, f"record-{context.case.number}.pdf")
