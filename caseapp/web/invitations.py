"""Invitations: how far a client's way into the portal has come, and new codes, which are shown once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, redirect, render_template, url_for
from marshmallow import Schema

from caseapp.core import urls
from caseapp.core.errors import Reason, RuleBroken
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.cases.queries import case_by_number
from caseapp.domain.clients.portal_access import LINK_LASTS, TRIES, Invitation, access_of, invite
from caseapp.http.errors import remember_refusal
from caseapp.http.guard import needs, the_actor
from caseapp.http.idempotency import form_once
from caseapp.http.request_parsing import read_form
from caseapp.http.template_helpers import say
from caseapp.web.case_header import seen_case

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from flask.typing import ResponseReturnValue

blueprint = Blueprint("invitations", __name__)


@blueprint.get("/case/<string:number>/invite")
@needs(Action.PORTAL_INVITE)
def invite_page(number: str) -> ResponseReturnValue:
    """Show how far a client's way into the portal has come."""
    return _page(number)


def _page(number: str, made: Invitation | None = None, reasons: Sequence[Reason] = ()) -> str:
    head = seen_case(number)
    return render_template(
        "invitations/invite.html",
        head=head,
        tab="Portal",
        access=access_of(head.case.client_id),
        by_mail=bool(head.client.email) and head.client.safe.allows("email"),
        made=made,
        reasons=reasons,
        portal=urls.portal(),
        most_tries=TRIES,
        minutes=LINK_LASTS.seconds // 60,
    )


@blueprint.post("/case/<string:number>/invite")
@needs(Action.PORTAL_INVITE)
def invite_now(number: str) -> ResponseReturnValue:
    """Make new codes and show them in this answer only; the same form sent twice makes none anew."""
    made: list[Invitation] = []

    def make(client_id: UUID) -> UUID:
        made.append(invite(the_actor(), client_id))
        return client_id

    read_form(Schema())
    try:
        with transaction():
            client_id = case_by_number(the_actor(), number).case.client_id
            form_once(lambda: make(client_id))
    except RuleBroken as error:
        remember_refusal(error)
        return _page(number, reasons=error.reasons), 409
    if not made:
        say("codes_shown")
        return redirect(url_for("invitations.invite_page", number=number), code=303)
    return _page(number, made[0])
