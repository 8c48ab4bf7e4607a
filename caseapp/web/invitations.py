"""Invitations: the state of a client's portal access, and new codes, which are shown once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Blueprint, render_template, url_for

from caseapp.core import urls
from caseapp.core.permissions import Action
from caseapp.domain.audit.security_events import get_wrong_pins
from caseapp.domain.auth.portal_access import Invitation, invite_client
from caseapp.domain.auth.queries import find_portal_access
from caseapp.domain.auth.rules import LINK_LIFETIME, START_CODE_LIFETIME
from caseapp.domain.cases.queries import LockedCase, lock_case
from caseapp.domain.clients.rules import list_channel_blockers, may_be_mailed
from caseapp.domain.users.queries import get_user_names
from caseapp.http.forms import BUTTON, Done, FormPage, Forms, Sent
from caseapp.web.case_header import load_case_context

if TYPE_CHECKING:
    from caseapp.domain.dashboard.case_page import CasePage

blueprint = Blueprint("invitations", __name__)

page = FormPage(
    blueprint,
    "/case/<string:number>/invite",
    Action.PORTAL_INVITE,
    load_case_context,
    client_of=lambda context: context.case.client_id,
)


@page.show
def invite_page(context: CasePage, forms: Forms) -> str:
    """Show the state of a client's portal access."""
    access = find_portal_access(context.case.client_id)
    client, flags = context.client, context.safety.flags
    return render_template(
        "invitations/invite.html",
        context=context,
        tab="Portal",
        access=access,
        invited_by=get_user_names({access.invited_by})[access.invited_by] if access else "",
        by_mail=may_be_mailed(client, flags),
        blockers=list_channel_blockers(client, flags, "portal"),
        wrong_pins=get_wrong_pins(context.case.client_id) if access else None,
        forms=forms,
    )


@page.form(Action.PORTAL_INVITE, BUTTON, lock=lock_case, refused="The invitation wasn’t sent")
def invite(case: LockedCase, _body: dict[str, Any], sent: Sent) -> Done:
    """Create new codes and show them in this response only; a form sent twice creates them once."""
    number, invitation = case.case.number, invite_client(sent.actor, case.locked_client)
    return Done(
        url_for("invitations.invite_page", number=number),
        "codes_shown",
        lambda: show_codes(number, invitation),
    )


def show_codes(number: str, invitation: Invitation) -> str:
    """Show new codes."""
    return render_template(
        "invitations/codes.html",
        context=load_case_context(number),
        tab="Portal",
        invitation=invitation,
        portal_url=urls.portal_url(),
        minutes=LINK_LIFETIME.seconds // 60,
        code_days=START_CODE_LIFETIME.days,
    )
