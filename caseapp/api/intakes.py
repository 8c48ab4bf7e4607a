"""API for intakes that are sent to a supervisor: ask, decide, open the case."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from caseapp.api.blueprint import ApiBlueprint, ListQuerySchema, ListRequest
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.intakes import operations
from caseapp.domain.intakes.queries import (
    get_intake,
    list_intake_matches,
    list_intakes,
    lock_intake,
    lock_own_intake,
)
from caseapp.domain.intakes.schemas import (
    AskedIntakeSchema,
    ComparedIntakeResponseSchema,
    EnteredIntake,
    EnteredIntakeSchema,
    IntakeDecision,
    IntakeDecisionSchema,
    IntakeRecord,
    IntakeResponseSchema,
    OpenedCase,
    OpenedCaseResponseSchema,
)
from caseapp.http.guard import current_actor, needs
from caseapp.http.idempotency import run_api_once

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.core.actor import Actor
    from caseapp.core.pagination import Page

blueprint = ApiBlueprint(
    "intakes",
    "When a new person matches the record of another coach’s client, a supervisor decides whether both "
    "can be coached here. What was entered is kept until then, for 30 days at most.",
)


def _show_intake(actor: Actor, intake_id: UUID) -> dict[str, Any]:
    intake = get_intake(actor, intake_id)
    is_own = intake.asked_by == actor.id
    return vars(intake) | {"matches": [] if is_own else list_intake_matches(actor, intake)}


@blueprint.route("/intakes")
@needs(Action.CASE_READ)
@blueprint.list_response_schema(IntakeResponseSchema())
@blueprint.query_params(ListQuerySchema())
def read_intakes(query: ListRequest) -> Page[IntakeRecord]:
    """List the intakes that you sent to a supervisor, or that you can decide about, newest first."""
    return list_intakes(current_actor(), query.cursor, query.limit)


@blueprint.route("/intakes", "POST")
@needs(Action.CONFLICT_ASK)
@blueprint.response_schema(
    ComparedIntakeResponseSchema(), 201, location=lambda intake: f"/intakes/{intake['id']}"
)
@blueprint.request_schema(AskedIntakeSchema())
def ask(body: EnteredIntake) -> dict[str, Any]:
    """Send somebody new and their case to a supervisor. Nothing is compared, so the response is always the same."""
    actor = current_actor()
    with transaction():
        intake_id = run_api_once(lambda: operations.put_to_supervisor(actor, body))
    return _show_intake(actor, intake_id)


@blueprint.route("/intakes/<uuid:intake_id>")
@needs(Action.CASE_READ)
@blueprint.response_schema(ComparedIntakeResponseSchema())
def read_intake(intake_id: UUID) -> dict[str, Any]:
    """Get one intake. A supervisor sees what is compared, and the records that match."""
    return _show_intake(current_actor(), intake_id)


@blueprint.route("/intakes/<uuid:intake_id>/ask", "POST")
@needs(Action.CONFLICT_ASK)
@blueprint.response_schema(
    ComparedIntakeResponseSchema(), 201, location=lambda intake: f"/intakes/{intake['id']}"
)
@blueprint.request_schema(AskedIntakeSchema())
def ask_again(intake_id: UUID, body: EnteredIntake) -> dict[str, Any]:
    """Send one of your intakes to a supervisor again, with your changes; a new intake replaces it."""
    actor = current_actor()

    def ask_once_more() -> UUID:
        return operations.ask_again(actor, lock_own_intake(actor, intake_id), body)

    with transaction():
        new_id = run_api_once(ask_once_more)
    return _show_intake(actor, new_id)


@blueprint.route("/intakes/<uuid:intake_id>/decision", "POST", error_statuses=(409,))
@needs(Action.CONFLICT_DECIDE)
@blueprint.response_schema(ComparedIntakeResponseSchema())
@blueprint.request_schema(IntakeDecisionSchema())
def decide(intake_id: UUID, body: IntakeDecision) -> dict[str, Any]:
    """Decide whether this person and the clients who match can be coached here. The coach sees only yes or no."""
    actor = current_actor()
    with transaction():
        operations.decide_intake(actor, lock_intake(actor, intake_id), body)
    return _show_intake(actor, intake_id)


@blueprint.route("/intakes/<uuid:intake_id>/case", "POST", error_statuses=(409,))
@needs(Action.CLIENT_CREATE)
@blueprint.response_schema(
    OpenedCaseResponseSchema(), 201, location=lambda opened: f"/cases/{opened['case_id']}"
)
@blueprint.request_schema(EnteredIntakeSchema())
def open_case(intake_id: UUID, body: EnteredIntake) -> OpenedCase:
    """Create the client and the case from one of your intakes; what a supervisor allowed needs no further decision."""
    actor = current_actor()

    def open_once() -> UUID:
        return operations.open_intake(actor, lock_own_intake(actor, intake_id), body)

    with transaction():
        case_id = run_api_once(open_once)
    return OpenedCase(case_id)
