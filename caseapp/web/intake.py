"""Intake: one form creates a client and their case in one transaction; a supervisor decides where it fits others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flask import render_template, request, url_for
from marshmallow import Schema, fields, post_load

from caseapp.core.i18n import LANGUAGES
from caseapp.core.pagination import PAGE_SIZE
from caseapp.core.permissions import Action, Role
from caseapp.domain.cases.facts import GOALS
from caseapp.domain.cases.operations import open_case
from caseapp.domain.cases.queries import get_case
from caseapp.domain.cases.schemas import CaseDetailsSchema
from caseapp.domain.clients.codes import CONSENT_METHODS
from caseapp.domain.clients.operations import create_client
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.clients.schemas import CHANNELS, ClientSchema
from caseapp.domain.intakes import operations
from caseapp.domain.intakes.queries import (
    LockedIntake,
    get_intake,
    list_intake_matches,
    list_intakes,
    lock_intake,
    lock_own_intake,
)
from caseapp.domain.intakes.schemas import (
    EnteredIntake,
    IntakeDecision,
    IntakeDecisionSchema,
    IntakeRecord,
)
from caseapp.domain.users.queries import list_assignable_coaches
from caseapp.http.forms import Body, Done, FormPage, Forms, Sent, Typed, no_lock
from caseapp.http.guard import current_actor, needs
from caseapp.web.cases import blueprint, fact_groups

if TYPE_CHECKING:
    from uuid import UUID

    from flask.typing import ResponseReturnValue

    from caseapp.domain.cases.schemas import CaseDetails
    from caseapp.domain.clients.schemas import ClientDetails

__all__ = ["blueprint"]


@dataclass(frozen=True)
class IntakeOptions:
    """The chosen coach, and whether a possible conflict was discussed."""

    coach_id: UUID | None
    agreed: bool


class IntakeOptionsSchema(Schema):
    """Input of the intake form besides the client and the case."""

    coach_id = fields.UUID(load_default=None, allow_none=True)
    agreed = fields.Boolean(load_default=False)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> IntakeOptions:
        """Build the dataclass."""
        return IntakeOptions(**data)


@dataclass(frozen=True)
class Intake:
    """What the intake form holds: the client, the case and the options."""

    client: ClientDetails
    case: CaseDetails
    options: IntakeOptions

    @property
    def entered(self) -> EnteredIntake:
        """The client and the case, as the coach has entered them."""
        return EnteredIntake(self.client, self.case, self.options.agreed)


def load_intake(typed: Typed, _locked: object) -> Intake:
    """Load the intake form through the schemas of its three parts.

    Raises Invalid naming each field.
    """
    return Intake(*typed.load(ClientSchema(), CaseDetailsSchema(), IntakeOptionsSchema()))


page = FormPage(blueprint, "/cases/new", Action.CLIENT_CREATE, lambda: None)


@page.show
def new_case_page(_view: None, forms: Forms) -> str:
    """Show the intake form."""
    actor = current_actor()
    return render_template(
        "cases/new.html",
        forms=forms,
        coaches=list_assignable_coaches(actor) if actor.role is Role.SUPERVISOR else [],
        **form_options(),
    )


def form_options() -> dict[str, Any]:
    """Return what the fields of an intake offer."""
    return {
        "groups": fact_groups(),
        "goals": GOALS,
        "channels": CHANNELS,
        "consent": CONSENT_METHODS,
        "languages": LANGUAGES,
    }


def empty_values(_view: None) -> dict[str, object]:
    """Return what the intake form sends untouched."""
    return {"goal": "undecided"}


@page.form(
    Action.CLIENT_CREATE,
    load_intake,
    lock=no_lock,
    values=empty_values,
    refused="Check this before saving",
)
def create(_locked: None, intake: Intake, sent: Sent) -> Done:
    """Create a client and their case."""
    actor, options = sent.actor, intake.options
    coach_id = options.coach_id or actor.id
    client_id = create_client(actor, intake.client, coach_id=coach_id, agreed=options.agreed)
    case_id = open_case(actor, lock_client(actor, client_id), intake.case, coach_id=coach_id)
    number = get_case(actor, case_id).number
    return Done(url_for("cases.case_page", number=number), "client_added")


@page.form(
    Action.CONFLICT_ASK,
    load_intake,
    lock=no_lock,
    rule="/cases/new/ask",
    values=empty_values,
    refused="Your supervisor was not asked",
    part_of="create",
)
def ask(_locked: None, intake: Intake, sent: Sent) -> Done:
    """Put an intake to a supervisor, who decides whether both can be coached here."""
    intake_id = operations.put_to_supervisor(sent.actor, intake.entered)
    return Done(url_for("cases.intake_page", intake_id=intake_id), "supervisor_asked")


@blueprint.get("/intakes")
@needs(Action.CASE_READ)
def intake_list() -> ResponseReturnValue:
    """List the intakes that were sent to a supervisor."""
    actor = current_actor()
    found = list_intakes(actor, request.args.get("cursor"), PAGE_SIZE)
    return render_template("cases/intakes.html", page=found)


def load_asked(intake_id: UUID) -> IntakeRecord:
    """Load an intake that was sent to a supervisor."""
    return get_intake(current_actor(), intake_id)


asked = FormPage(blueprint, "/intakes/<uuid:intake_id>", Action.CASE_READ, load_asked)


@asked.show
def intake_page(intake: IntakeRecord, forms: Forms) -> str:
    """Show an intake: to its coach as the form that they sent, to the supervisor with the records that it fits."""
    actor = current_actor()
    is_own = intake.asked_by == actor.id
    return render_template(
        "cases/intake.html",
        intake=intake,
        is_own=is_own,
        forms=forms,
        matches=[] if is_own else list_intake_matches(actor, intake),
        **form_options(),
    )


def asked_values(intake: IntakeRecord | LockedIntake) -> dict[str, object]:
    """Return what the form of an intake sends untouched: what was entered."""
    record = intake.record if isinstance(intake, LockedIntake) else intake
    return record.client | record.case


@asked.form(
    Action.CLIENT_CREATE,
    load_intake,
    lock=lock_own_intake,
    rule="/intakes/<uuid:intake_id>/case",
    values=asked_values,
    refused="Check this before saving",
)
def open_asked(intake: LockedIntake, typed: Intake, sent: Sent) -> Done:
    """Create the client and the case of an intake that was sent to a supervisor."""
    case_id = operations.open_intake(sent.actor, intake, typed.entered)
    number = get_case(sent.actor, case_id).number
    return Done(url_for("cases.case_page", number=number), "client_added")


@asked.form(
    Action.CONFLICT_ASK,
    load_intake,
    lock=lock_own_intake,
    rule="/intakes/<uuid:intake_id>/ask",
    values=asked_values,
    refused="Your supervisor was not asked",
    part_of="open_asked",
)
def ask_again(intake: LockedIntake, typed: Intake, sent: Sent) -> Done:
    """Put an intake to a supervisor once more, as it is entered now."""
    intake_id = operations.ask_again(sent.actor, intake, typed.entered)
    return Done(url_for("cases.intake_page", intake_id=intake_id), "supervisor_asked")


@asked.form(
    Action.CONFLICT_DECIDE,
    Body(IntakeDecisionSchema, IntakeDecision),
    lock=lock_intake,
    rule="/intakes/<uuid:intake_id>/decision",
    refused="Nothing was decided",
)
def decide(intake: LockedIntake, decision: IntakeDecision, sent: Sent) -> Done:
    """Allow an intake that fits other records, or refuse it."""
    operations.decide_intake(sent.actor, intake, decision)
    return Done(url_for("cases.intake_page", intake_id=intake.row.id), "decision_recorded")
