"""Intake: one form creates a client and their case in one transaction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flask import render_template, url_for
from marshmallow import Schema, fields, post_load

from caseapp.core.i18n import LANGUAGES
from caseapp.core.permissions import Action, Role
from caseapp.domain.cases.facts import GOALS
from caseapp.domain.cases.operations import open_case
from caseapp.domain.cases.queries import get_case
from caseapp.domain.cases.schemas import CaseDetailsSchema
from caseapp.domain.clients.codes import CONSENT_METHODS
from caseapp.domain.clients.operations import create_client
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.clients.schemas import CHANNELS, ClientSchema
from caseapp.domain.users.queries import list_assignable_coaches
from caseapp.http.forms import Done, FormPage, Forms, Sent, Typed, no_lock
from caseapp.http.guard import current_actor
from caseapp.web.cases import blueprint, fact_groups

if TYPE_CHECKING:
    from uuid import UUID

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


def load_intake(typed: Typed, _locked: None) -> Intake:
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
        groups=fact_groups(),
        goals=GOALS,
        channels=CHANNELS,
        consent=CONSENT_METHODS,
        languages=LANGUAGES,
    )


@page.form(
    Action.CLIENT_CREATE,
    load_intake,
    lock=no_lock,
    values=lambda _view: {"goal": "undecided"},
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
