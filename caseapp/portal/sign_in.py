"""Sign-in for clients: a link, a card or a remembered device, the PIN, and once how to use the portal safely."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, g, redirect, render_template, request, session, url_for

from caseapp.core.errors import Invalid, TooManyAttempts, Unauthenticated
from caseapp.core.i18n import use_language
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.auth import portal_access, portal_codes, remembered_devices
from caseapp.domain.auth.queries import find_link_language, get_sign_in_step
from caseapp.domain.auth.rules import SignInStep
from caseapp.domain.clients.schemas import (
    CardCodeSchema,
    PinSchema,
    PinSetupSchema,
    SignInLinkSchema,
)
from caseapp.domain.practice.queries import get_practice_info
from caseapp.http.devices import remember_device, sent_device
from caseapp.http.guard import current_actor, needs, public
from caseapp.http.interfaces import Interface
from caseapp.http.request_parsing import Form, read_form, submitted_form
from caseapp.http.sessions import begin_in_browser, clear_session_cookie
from caseapp.http.template_helpers import flash

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

blueprint = Blueprint("portal_sign_in", __name__, url_prefix="/portal")

# The name in the browser's cookie for a link's token, until the link is redeemed.
LINK = "link"


@blueprint.get("/sign-in")
@public("nobody is signed in yet")
def sign_in_page() -> ResponseReturnValue:
    """Show the forms for a link by email and for a printed card, and on a remembered device that for the PIN."""
    if g.actor:
        return redirect(url_for("portal_handouts.reading_list_page"), code=303)
    return _sign_in_form(Form())


def _sign_in_form(form: Form, refused: str = "") -> str:
    known = remembered_devices.find_known_device(sent_device())
    if known is not None:
        use_language(known.language)
    return render_template(
        "portal/sign_in.html", form=form, refused=refused, asks_pin=known is not None
    )


@blueprint.post("/sign-in/pin")
@public("nobody is signed in yet")
def enter_pin() -> ResponseReturnValue:
    """Check the PIN on a remembered device and open the reading list."""
    try:
        entered = remembered_devices.check_pin_on_device(
            sent_device(), read_form(PinSchema()), request.remote_addr or ""
        )
        with transaction():
            devices = remembered_devices.lock_devices(entered.known.client_id)
            reference = remembered_devices.enter_on_device(devices, entered)
            _end_session_here()
    except (Invalid, TooManyAttempts, Unauthenticated) as error:
        return _sign_in_error(error)
    return begin_in_browser(
        redirect(url_for("portal_handouts.reading_list_page"), code=303),
        Interface.PORTAL,
        reference,
    )


@blueprint.post("/sign-in")
@public("nobody is signed in yet")
def request_link() -> ResponseReturnValue:
    """Request a link; the response is the same for every address."""
    try:
        email = read_form(SignInLinkSchema())
        portal_codes.count_link_request(email, request.remote_addr or "", sent_device())
        with transaction():
            portal_codes.request_link(email)
    except (Invalid, TooManyAttempts) as error:
        return _sign_in_error(error)
    flash("link_sent")
    return redirect(url_for("portal_sign_in.sign_in_page"), code=303)


@blueprint.post("/card")
@public("nobody is signed in yet")
def use_card() -> ResponseReturnValue:
    """Redeem the code of a printed card."""
    try:
        return _start_session(read_form(CardCodeSchema()))
    except (Invalid, TooManyAttempts, Unauthenticated) as error:
        return _sign_in_error(error)


@blueprint.get("/enter/<string:token>")
@public("mail scanners follow links too, so opening one shows and redeems nothing")
def follow_link(token: str) -> ResponseReturnValue:
    """Put a link's token aside and redirect: the page's address, which the browser's history keeps, is without it."""
    session[LINK] = token
    return redirect(url_for("portal_sign_in.link_page"), code=303)


@blueprint.get("/enter")
@public("nobody is signed in yet")
def link_page() -> ResponseReturnValue:
    """Show a button that redeems the link, in the language of the client it was sent to."""
    if language := find_link_language(session.get(LINK, "")):
        use_language(language)
    return render_template("portal/open_link.html")


@blueprint.post("/enter")
@public("nobody is signed in yet")
def use_link() -> ResponseReturnValue:
    """Redeem a one-time link."""
    try:
        return _start_session(session.pop(LINK, ""))
    except (TooManyAttempts, Unauthenticated) as error:
        return _sign_in_error(error)


def _start_session(secret: str) -> ResponseReturnValue:
    portal_access.check_entry(secret, request.remote_addr or "")
    with transaction():
        access = portal_access.lock_portal_access(secret)
        reference = portal_access.redeem_link_or_card(access)
        _end_session_here()
    return begin_in_browser(
        redirect(url_for("portal_sign_in.pin_page"), code=303), Interface.PORTAL, reference
    )


def _end_session_here() -> None:
    """End the session that was open in this browser, perhaps another client's; its cookie gets the new one's name."""
    if g.actor:
        portal_access.sign_out(g.actor)


def _sign_in_error(error: Invalid | TooManyAttempts | Unauthenticated) -> ResponseReturnValue:
    if isinstance(error, Invalid):
        return _sign_in_form(submitted_form(error)), 422
    page = _sign_in_form(submitted_form(), error.message)
    if isinstance(error, TooManyAttempts):
        return page, 429, {"Retry-After": str(error.retry_after)}
    return page, 401


@blueprint.get("/pin")
@needs(Action.PORTAL_PIN)
def pin_page() -> ResponseReturnValue:
    """Ask for the PIN, or on the first visit for the start code and a new PIN."""
    step = get_sign_in_step(current_actor())
    if step is SignInStep.FIRST_VISIT:
        return redirect(url_for("portal_sign_in.first_visit_page"), code=303)
    return _pin_form(step, Form())


@blueprint.post("/pin")
@needs(Action.PORTAL_PIN)
def submit_pin() -> ResponseReturnValue:
    """Check the PIN and open the reading list."""
    actor, device = current_actor(), sent_device()
    step = get_sign_in_step(actor)
    try:
        if step is SignInStep.CHOOSE_PIN:
            first = read_form(PinSetupSchema())
            started = portal_access.check_start_code(actor, first.start_code, first.pin, device)
            with transaction():
                reference = portal_access.choose_pin(actor, started)
        else:
            entered = portal_access.check_pin(actor, read_form(PinSchema()), device)
            with transaction():
                reference = portal_access.enter_pin(actor, entered)
    except Invalid as error:
        return _pin_form(get_sign_in_step(actor), submitted_form(error)), 422
    except TooManyAttempts as error:
        page = _pin_form(step, Form(), refused=error.message)
        return page, 429, {"Retry-After": str(error.retry_after)}
    response = redirect(url_for("portal_handouts.reading_list_page"), code=303)
    begin_in_browser(response, Interface.PORTAL, reference)
    known = remembered_devices.find_known_device(device)
    until = None if known is None else known.expires_at
    return remember_device(response, Interface.PORTAL, actor.id, until)


def _pin_form(step: SignInStep, form: Form, *, refused: str = "") -> str:
    emergency = get_practice_info().help_lines.emergency
    return render_template(
        "portal/pin.html", form=form, step=step, emergency=emergency, refused=refused
    )


@blueprint.get("/first")
@needs(Action.PORTAL_PIN)
def first_visit_page() -> ResponseReturnValue:
    """Explain once, before anything can be read, how to use the portal safely."""
    if get_sign_in_step(current_actor()) is not SignInStep.FIRST_VISIT:
        return redirect(url_for("portal_sign_in.pin_page"), code=303)
    return render_template(
        "portal/first_visit.html", emergency=get_practice_info().help_lines.emergency
    )


@blueprint.post("/first")
@needs(Action.PORTAL_PIN)
def finish_first_visit() -> ResponseReturnValue:
    """Complete the first visit and open the reading list."""
    with transaction():
        portal_access.complete_first_visit(current_actor())
    return redirect(url_for("portal_handouts.reading_list_page"), code=303)


@blueprint.post("/sign-out")
@needs(Action.SESSION_END)
def sign_out() -> ResponseReturnValue:
    """End the client's session."""
    with transaction():
        portal_access.sign_out(current_actor())
    flash("signed_out")
    return clear_session_cookie(
        redirect(url_for("portal_sign_in.sign_in_page"), code=303), Interface.PORTAL
    )
