"""Cases: opened, described, moved from stage to stage, closed and reopened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from marshmallow import fields, validate

from caseapp.api.blueprint import Door, ListQuery, Wanted, merged
from caseapp.api.serialization import plain, shows
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.audit.operations import record_read
from caseapp.domain.cases.facts import FACTS
from caseapp.domain.cases.operations import (
    change_case,
    close_case,
    move_case,
    open_case,
    reopen_case,
)
from caseapp.domain.cases.queries import CaseFilter, CaseHead, case_head, list_cases
from caseapp.domain.cases.schemas import (
    CaseInList,
    CaseLine,
    CaseView,
    Closing,
    ClosingSchema,
    DetailsSchema,
    Move,
    MoveSchema,
    NewCase,
    NewCaseSchema,
    WhySchema,
)
from caseapp.domain.cases.stages import stage_by_id
from caseapp.domain.clients.operations import add_client
from caseapp.domain.dashboard.queries import timeline
from caseapp.domain.dashboard.schemas import Happening, HappeningView
from caseapp.domain.dashboard.timeline import KINDS
from caseapp.domain.followups.schemas import A_LIKELY_TIME
from caseapp.http.guard import needs, the_actor
from caseapp.http.idempotency import api_once

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.core.pagination import Page

door = Door("cases", "Courses of coaching; a client has many over time and at most one open.")
show = shows(CaseView())


class CaseQuery(ListQuery):
    """Narrow the list of cases."""

    stage = fields.String(validate=validate.OneOf(list(stage_by_id())))
    status = fields.String(validate=validate.OneOf(["open", "closed"]))
    coach = fields.UUID(attribute="coach_id")
    hold = fields.String(validate=validate.OneOf(["any", "care", "safety"]))
    q = fields.String(
        validate=validate.Length(max=120),
        metadata={
            "description": "A case number, a name's first letters, an exact e-mail or phone."
        },
    )
    updated_since = fields.AwareDateTime(validate=A_LIKELY_TIME)


class TimelineQuery(ListQuery):
    """Narrow a timeline."""

    kind = fields.String(validate=validate.OneOf(KINDS))


def _record(head: CaseHead) -> dict[str, Any]:
    case, facts = head.case, head.facts
    return {
        **{
            fact.name: facts.get(fact.name, [] if fact.kind == "several" else None)
            for fact in FACTS
        },
        "id": case.id,
        "number": case.number,
        "client_id": case.client_id,
        "client": head.client.name,
        "coach_id": case.coach_id,
        "coach": head.coach,
        "status": case.status,
        "stage": case.stage,
        "stage_since": case.stage_since,
        "opened_at": case.opened_at,
        "changed_at": case.changed_at,
        "closed_at": case.closed_at,
        "hold": head.safety.hold,
        "goal": case.goal,
        "goal_chosen_on": case.goal_chosen_on,
        "review_date": case.review_date,
        "outcome": case.outcome,
        "close_reason": case.close_reason,
        "final_screening": case.final_screening,
        "follow_up_on": case.follow_up_on,
        "version": case.version,
    }


@door.at("/cases")
@needs(Action.CASE_READ)
@door.lists(CaseLine())
@door.asks(CaseQuery())
def case_list(query: Wanted) -> Page[CaseInList]:
    """List the cases of your clients, newest first."""
    actor = the_actor()
    page = list_cases(actor, CaseFilter(**query.filters), query.cursor, query.limit)
    record_read(actor, Action.CASE_READ, "case", None, None)
    return page


@door.at("/cases", "POST", also=(404,))
@needs(Action.CASE_OPEN)
@door.gives(CaseView(), 201, at=lambda case: f"/cases/{case['id']}")
@door.takes(NewCaseSchema())
def open_one(body: NewCase) -> dict[str, Any]:
    """Open a case in the first stage, for a client who is known or for a new one."""
    actor = the_actor()
    with transaction():
        case_id = api_once(lambda: _open(body))
    return _record(case_head(actor, case_id))


def _open(new: NewCase) -> UUID:
    actor = the_actor()
    coach_id = new.coach_id or actor.id
    client_id = new.client_id
    if new.client:
        client_id = add_client(
            actor, new.client.details, coach_id=coach_id, agreed=new.client.agreed
        )
    assert client_id is not None  # noqa: S101 - the schema asks for one of the two
    return open_case(actor, client_id, new.details, coach_id=coach_id)


@door.at("/cases/<uuid:case_id>")
@needs(Action.CASE_READ)
@door.gives(CaseView())
def case(case_id: UUID) -> dict[str, Any]:
    """Show one case whole."""
    actor = the_actor()
    head = case_head(actor, case_id)
    record_read(actor, Action.CASE_READ, "case", case_id, head.case.client_id)
    return _record(head)


@door.at("/cases/<uuid:case_id>", "PATCH")
@needs(Action.CASE_EDIT)
@door.gives(CaseView())
@door.takes(DetailsSchema(partial=True))
@door.changes
def change(case_id: UUID, body: dict[str, Any], version: int) -> dict[str, Any]:
    """Change the facts, the goal or the review date that are sent; the whole is checked."""
    actor = the_actor()
    stands = plain(show(_record(case_head(actor, case_id))))
    details = merged(DetailsSchema(), stands, body)
    with transaction():
        change_case(actor, case_id, details, version)
    return _record(case_head(actor, case_id))


@door.at("/cases/<uuid:case_id>/stage", "POST", also=(409,))
@needs(Action.CASE_MOVE)
@door.gives(CaseView())
@door.takes(MoveSchema())
@door.changes
def move(case_id: UUID, body: Move, version: int) -> dict[str, Any]:
    """Move a case to the next stage when its gate is open, or back with a reason."""
    actor = the_actor()
    with transaction():
        move_case(actor, case_id, body, version)
    return _record(case_head(actor, case_id))


@door.at("/cases/<uuid:case_id>/close", "POST", also=(409,))
@needs(Action.CASE_CLOSE)
@door.gives(CaseView())
@door.takes(ClosingSchema())
@door.changes
def close(case_id: UUID, body: Closing, version: int) -> dict[str, Any]:
    """Close a case with its outcome."""
    actor = the_actor()
    with transaction():
        close_case(actor, case_id, body, version)
    return _record(case_head(actor, case_id))


@door.at("/cases/<uuid:case_id>/reopen", "POST", also=(409,))
@needs(Action.CASE_REOPEN)
@door.gives(CaseView())
@door.takes(WhySchema())
@door.changes
def reopen(case_id: UUID, body: dict[str, str], version: int) -> dict[str, Any]:
    """Reopen a closed case in the first stage, with a reason."""
    actor = the_actor()
    with transaction():
        reopen_case(actor, case_id, body["reason"], version)
    return _record(case_head(actor, case_id))


@door.at("/cases/<uuid:case_id>/timeline")
@needs(Action.CASE_READ)
@door.lists(HappeningView())
@door.asks(TimelineQuery())
def happenings(case_id: UUID, query: Wanted) -> Page[Happening]:
    """List everything that happened in a case, newest first."""
    actor = the_actor()
    head = case_head(actor, case_id)
    record_read(actor, Action.CASE_READ, "case", case_id, head.case.client_id)
    return timeline(
        actor, head, kind=query.filters.get("kind"), cursor=query.cursor, limit=query.limit
    )
