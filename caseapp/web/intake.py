"""Intake: one form creates a client and their case in one transaction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flask import redirect, render_template, url_for
from marshmallow import Schema, fields, post_load

from caseapp.core.errors import Invalid, RuleBroken
from caseapp.core.permissions import Action, Role
from caseapp.core.transaction import transaction
from caseapp.domain.cases.facts import GOALS
from caseapp.domain.cases.operations import open_case
from caseapp.domain.cases.queries import get_case
from caseapp.domain.cases.schemas import CaseDetailsSchema
from caseapp.domain.clients.codes import CONSENT_METHODS
from caseapp.domain.clients.operations import create_client
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.clients.schemas import CHANNELS, ClientSchema
from caseapp.domain.users.queries import list_assignable_coaches
from caseapp.http.errors import record_refused_request
from caseapp.http.guard import current_actor, needs
from caseapp.http.idempotency import run_form_once
from caseapp.http.request_parsing import Form, read_forms, submitted_form
from caseapp.http.template_helpers import flash
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


@blueprint.get("/cases/new")
@needs(Action.CLIENT_CREATE)
def new_case_page() -> ResponseReturnValue:
    """Show the empty intake form."""
    return _intake()


def _intake(**variables: Any) -> str:  # noqa: ANN401 - template variables
    actor = current_actor()
    return render_template(
        "cases/new.html",
        coaches=list_assignable_coaches(actor) if actor.role is Role.SUPERVISOR else [],
        groups=fact_groups(),
        goals=GOALS,
        channels=CHANNELS,
        consent=CONSENT_METHODS,
        **{"form": Form(), "reasons": []} | variables,
    )


@blueprint.post("/cases/new")
@needs(Action.CLIENT_CREATE)
def create() -> ResponseReturnValue:
    """Create a client and their case."""
    actor = current_actor()
    try:
        client, case, options = read_forms(
            ClientSchema(), CaseDetailsSchema(), IntakeOptionsSchema()
        )
        with transaction():
            case_id = run_form_once(lambda: _create(client, case, options))
            number = get_case(actor, case_id).number
    except Invalid as error:
        return _intake(form=submitted_form(error)), 422
    except RuleBroken as error:
        record_refused_request(error)
        return _intake(form=submitted_form(), reasons=error.reasons), 409
    flash("client_added")
    return redirect(url_for("cases.case_page", number=number), code=303)


def _create(client: ClientDetails, case: CaseDetails, options: IntakeOptions) -> UUID:
    actor = current_actor()
    coach_id = options.coach_id or actor.id
    client_id = create_client(actor, client, coach_id=coach_id, agreed=options.agreed)
    return open_case(actor, lock_client(actor, client_id), case, coach_id=coach_id)
