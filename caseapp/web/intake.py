"""Intake: one page and one transaction make a client and their case."""

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
from caseapp.domain.clients.operations import add_client
from caseapp.domain.clients.schemas import CHANNELS, CONSENT, ClientSchema
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
class Choice:
    """Say who will coach, and whether a possible conflict has been talked over."""

    coach_id: UUID | None
    agreed: bool


class ChoiceSchema(Schema):
    """Check what the intake form asks beside the client and the case."""

    coach_id = fields.UUID(load_default=None, allow_none=True)
    agreed = fields.Boolean(load_default=False)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> Choice:
        """Give the plain value."""
        return Choice(**data)


@blueprint.get("/cases/new")
@needs(Action.CLIENT_CREATE)
def new_case_page() -> ResponseReturnValue:
    """Show the empty intake form."""
    return _intake()


def _intake(**words: Any) -> str:  # noqa: ANN401 - forms and words of a page
    actor = current_actor()
    return render_template(
        "cases/new.html",
        coaches=list_assignable_coaches(actor) if actor.role is Role.SUPERVISOR else [],
        groups=fact_groups(),
        goals=GOALS,
        channels=CHANNELS,
        consent=CONSENT,
        **{"form": Form(), "reasons": []} | words,
    )


@blueprint.post("/cases/new")
@needs(Action.CLIENT_CREATE)
def create() -> ResponseReturnValue:
    """Make the client and their case, or neither."""
    actor = current_actor()
    try:
        client, case, choice = read_forms(ClientSchema(), CaseDetailsSchema(), ChoiceSchema())
        with transaction():
            case_id = run_form_once(lambda: _make(client, case, choice))
            number = get_case(actor, case_id).number
    except Invalid as error:
        return _intake(form=submitted_form(error)), 422
    except RuleBroken as error:
        record_refused_request(error)
        return _intake(form=submitted_form(), reasons=error.reasons), 409
    flash("client_added")
    return redirect(url_for("cases.case_page", number=number), code=303)


def _make(client: ClientDetails, case: CaseDetails, choice: Choice) -> UUID:
    actor = current_actor()
    coach_id = choice.coach_id or actor.id
    client_id = add_client(actor, client, coach_id=coach_id, agreed=choice.agreed)
    return open_case(actor, client_id, case, coach_id=coach_id)
