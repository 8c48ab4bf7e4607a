"""Invitations: a client's portal access and remembered devices, new codes and their card, and who made which codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Blueprint, render_template, request, url_for

from caseapp.core import urls
from caseapp.core.pagination import PAGE_SIZE
from caseapp.core.permissions import Action
from caseapp.domain.audit.security_events import get_wrong_pins
from caseapp.domain.auth.portal_codes import Invitation, invite_client, make_card
from caseapp.domain.auth.queries import find_missing_card, find_portal_access
from caseapp.domain.auth.remembered_devices import forget_devices_of
from caseapp.domain.auth.rules import LINK_LIFETIME, START_CODE_LIFETIME
from caseapp.domain.auth.schemas import NewCodesSchema, NewCodesWish
from caseapp.domain.cases.queries import LockedCase, lock_case
from caseapp.domain.clients.codes import DEVICE_KINDS, NEW_CODE_REASONS
from caseapp.domain.clients.remembered_devices import list_devices
from caseapp.domain.clients.rules import list_channel_blockers, may_be_mailed
from caseapp.domain.dashboard.new_codes import list_new_codes
from caseapp.domain.users.queries import get_user_names, list_users
from caseapp.http.forms import BUTTON, Body, Done, FormPage, Forms, Sent
from caseapp.http.guard import current_actor, needs
from caseapp.http.request_parsing import parse_uuid
from caseapp.web.case_header import load_case_context

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from caseapp.domain.dashboard.case_page import CasePage

blueprint = Blueprint("invitations", __name__)


@blueprint.get("/new-codes")
@needs(Action.BOARD_READ)
def new_codes_page() -> ResponseReturnValue:
    """List the new codes of the last 90 days, or those that the member of staff in the address has made."""
    person_id = parse_uuid(request.args.get("created_by", ""))
    return render_template(
        "invitations/new_codes.html",
        page=list_new_codes(current_actor(), person_id, request.args.get("cursor"), PAGE_SIZE),
        created_by=person_id,
        staff=list_users(),
        reasons=NEW_CODE_REASONS,
    )


page = FormPage(
    blueprint,
    "/case/<string:number>/invite",
    Action.PORTAL_INVITE,
    load_case_context,
    client_of=lambda context: context.case.client_id,
    only_asks=True,
)


@page.show
def invite_page(context: CasePage, forms: Forms) -> str:
    """Show the state of a client's portal access."""
    access = find_portal_access(context.case.client_id)
    client, flags = context.client, context.safety.flags
    missing = find_missing_card(context.case.client_id) if access else None
    return render_template(
        "invitations/invite.html",
        context=context,
        tab="Portal",
        access=access,
        invited_by=get_user_names({access.invited_by})[access.invited_by] if access else "",
        card_missing=missing is not None,
        made_start_code=missing is not None and missing.created_by == current_actor().id,
        had_pin=access is not None and access.had_pin,
        reasons=NEW_CODE_REASONS,
        by_mail=may_be_mailed(client, flags),
        blockers=list_channel_blockers(client, flags, "portal"),
        wrong_pins=get_wrong_pins(context.case.client_id) if access else None,
        devices=list_devices(context.case.client_id) if access else (),
        kinds=DEVICE_KINDS,
        forms=forms,
    )


@page.form(
    Action.PORTAL_INVITE,
    Body(NewCodesSchema, NewCodesWish),
    lock=lock_case,
    refused="The invitation wasn’t sent",
)
def invite(case: LockedCase, wish: NewCodesWish, sent: Sent) -> Done:
    """Create new codes and show them in this response only; a form sent twice creates them once."""
    number = case.case.number
    invitation = invite_client(sent.actor, case.locked_client, wish.reason)
    return Done(
        url_for("invitations.invite_page", number=number),
        "codes_shown",
        lambda: show_codes(number, invitation),
    )


@page.form(
    Action.PORTAL_INVITE,
    BUTTON,
    lock=lock_case,
    rule="/case/<string:number>/invite/card",
    refused="The card wasn’t made",
)
def add_card(case: LockedCase, _body: dict[str, Any], sent: Sent) -> Done:
    """Make the card that goes with a start code of somebody else, and show it in this response only."""
    number, card_code = case.case.number, make_card(sent.actor, case.locked_client)
    return Done(
        url_for("invitations.invite_page", number=number),
        "codes_shown",
        lambda: show_codes(number, None, card_code),
    )


@page.form(
    Action.DEVICE_FORGET,
    BUTTON,
    lock=lock_case,
    rule="/case/<string:number>/invite/forget-devices",
    refused="The devices were not forgotten",
)
def forget_devices(case: LockedCase, _body: dict[str, Any], sent: Sent) -> Done:
    """Forget the devices that are remembered for a client, and sign the client out."""
    forget_devices_of(sent.actor, case.locked_client)
    return Done(
        url_for("invitations.invite_page", number=case.case.number), "client_devices_forgotten"
    )


def show_codes(number: str, invitation: Invitation | None, card_code: str | None = None) -> str:
    """Show new codes, or only a card."""
    return render_template(
        "invitations/codes.html",
        context=load_case_context(number),
        tab="Portal",
        invitation=invitation,
        card_code=card_code or (invitation and invitation.card_code),
        portal_url=urls.portal_url(),
        minutes=LINK_LIFETIME.seconds // 60,
        code_days=START_CODE_LIFETIME.days,
    )
