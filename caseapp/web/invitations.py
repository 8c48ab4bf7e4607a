"""Invitations: the state of a client's portal access, and new codes, which are shown once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, redirect, render_template, url_for
from marshmallow import Schema

from caseapp.core import urls
from caseapp.core.errors import Reason, RuleBroken
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.auth.portal_access import (
    Invitation,
    invite_client,
)
from caseapp.domain.auth.queries import find_portal_access
from caseapp.domain.auth.rules import LINK_LIFETIME, MAX_PIN_ATTEMPTS
from caseapp.domain.cases.queries import lock_case
from caseapp.domain.users.queries import get_user_names
from caseapp.http.errors import record_refused_request
from caseapp.http.guard import current_actor, needs
from caseapp.http.idempotency import run_form_once
from caseapp.http.request_parsing import read_form
from caseapp.http.template_helpers import flash
from caseapp.web.case_header import load_case_context

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from flask.typing import ResponseReturnValue

    from caseapp.domain.clients.queries import LockedClient

blueprint = Blueprint("invitations", __name__)


@blueprint.get("/case/<string:number>/invite")
@needs(Action.PORTAL_INVITE)
def invite_page(number: str) -> ResponseReturnValue:
    """Show the state of a client's portal access."""
    return _page(number)


def _page(number: str, invitation: Invitation | None = None, reasons: Sequence[Reason] = ()) -> str:
    context = load_case_context(number)
    access = find_portal_access(context.case.client_id)
    return render_template(
        "invitations/invite.html",
        context=context,
        tab="Portal",
        access=access,
        invited_by=get_user_names({access.invited_by})[access.invited_by] if access else "",
        by_mail=bool(context.client.email) and context.client.safe.allows("email"),
        invitation=invitation,
        reasons=reasons,
        portal_url=urls.portal_url(),
        max_attempts=MAX_PIN_ATTEMPTS,
        minutes=LINK_LIFETIME.seconds // 60,
    )


@blueprint.post("/case/<string:number>/invite")
@needs(Action.PORTAL_INVITE)
def invite(number: str) -> ResponseReturnValue:
    """Create new codes and show them in this response only; a form sent twice creates them once."""
    invitations: list[Invitation] = []

    def create(client: LockedClient) -> UUID:
        invitations.append(invite_client(current_actor(), client))
        return client.id

    read_form(Schema())
    try:
        with transaction():
            client = lock_case(current_actor(), number).locked_client
            run_form_once(lambda: create(client))
    except RuleBroken as error:
        record_refused_request(error)
        return _page(number, reasons=error.reasons), 409
    if not invitations:
        flash("codes_shown")
        return redirect(url_for("invitations.invite_page", number=number), code=303)
    return _page(number, invitations[0])
