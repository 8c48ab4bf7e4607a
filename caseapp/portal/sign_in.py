"""Getting in: a link or a card, then the PIN; the first time also how to use these pages safely. And signing out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, g, redirect, render_template, request, url_for

from caseapp.core.errors import Invalid, RuleBroken, TooManyAttempts, Unauthenticated
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.clients.portal_access import (
    Step,
    ask_for_link,
    choose_pin,
    enter_first_time,
    enter_pin,
    leave,
    next_step,
    redeem,
)
from caseapp.domain.clients.schemas import CardSchema, FirstPinSchema, LinkSchema, PinSchema
from caseapp.domain.practice.queries import office
from caseapp.http.errors import remember_refusal
from caseapp.http.guard import needs, public, the_actor
from caseapp.http.interfaces import Door
from caseapp.http.request_parsing import Form, form_of, read_form
from caseapp.http.sessions import forget, remember
from caseapp.http.template_helpers import say

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

blueprint = Blueprint("portal_entry", __name__, url_prefix="/portal")


@blueprint.get("/sign-in")
@public("nobody is signed in yet")
def sign_in_page() -> ResponseReturnValue:
    """Show the two ways in."""
    if g.actor:
        return redirect(url_for("portal_reading.list_page"), code=303)
    return render_template("portal/sign_in.html", form=Form())


@blueprint.post("/sign-in")
@public("nobody is signed in yet")
def ask_now() -> ResponseReturnValue:
    """Order a link; the answer is the same for every address."""
    try:
        ask_for_link(read_form(LinkSchema()), request.remote_addr or "")
    except (Invalid, TooManyAttempts) as error:
        return _sign_in_again(error)
    say("link_sent")
    return redirect(url_for("portal_entry.sign_in_page"), code=303)


@blueprint.post("/card")
@public("nobody is signed in yet")
def card_now() -> ResponseReturnValue:
    """Redeem the code of a printed card."""
    try:
        return _let_in(read_form(CardSchema()))
    except (Invalid, TooManyAttempts, Unauthenticated) as error:
        return _sign_in_again(error)


@blueprint.get("/enter/<string:token>")
@public("a link is followed by mail scanners too, so opening it neither tells nor uses anything")
def enter_page(token: str) -> ResponseReturnValue:  # noqa: ARG001 - the form posts to this address
    """Ask whether to open the list now."""
    return render_template("portal/enter.html")


@blueprint.post("/enter/<string:token>")
@public("nobody is signed in yet")
def enter_now(token: str) -> ResponseReturnValue:
    """Redeem a one-time link."""
    try:
        return _let_in(token)
    except (TooManyAttempts, Unauthenticated) as error:
        return _sign_in_again(error)


def _let_in(secret: str) -> ResponseReturnValue:
    reference = redeem(secret, request.remote_addr or "")
    return remember(redirect(url_for("portal_entry.pin_page"), code=303), Door.PORTAL, reference)


def _sign_in_again(error: Invalid | TooManyAttempts | Unauthenticated) -> ResponseReturnValue:
    if isinstance(error, Invalid):
        return render_template("portal/sign_in.html", form=form_of(error)), 422
    page = render_template("portal/sign_in.html", form=form_of(), refused=error.message)
    if isinstance(error, TooManyAttempts):
        return page, 429, {"Retry-After": str(error.retry_after)}
    return page, 401


@blueprint.get("/pin")
@needs(Action.PORTAL_PIN)
def pin_page() -> ResponseReturnValue:
    """Ask for the PIN, or the first time for the start code and a PIN of one's own."""
    step = next_step(the_actor())
    if step is Step.READ_FIRST:
        return redirect(url_for("portal_entry.first_page"), code=303)
    return _pin_form(step, Form())


@blueprint.post("/pin")
@needs(Action.PORTAL_PIN)
def pin_now() -> ResponseReturnValue:
    """Check the PIN and open the list."""
    actor = the_actor()
    step = next_step(actor)
    try:
        if step is Step.CHOOSE:
            first = read_form(FirstPinSchema())
            reference = choose_pin(actor, first.start_code, first.pin)
        else:
            reference = enter_pin(actor, read_form(PinSchema()))
    except Invalid as error:
        return _pin_form(next_step(actor), form_of(error)), 422
    except RuleBroken as error:
        remember_refusal(error)
        return _pin_form(Step.CLOSED, Form()), 409
    return remember(redirect(url_for("portal_reading.list_page"), code=303), Door.PORTAL, reference)


def _pin_form(step: Step, form: Form) -> str:
    emergency = office().numbers.emergency
    return render_template("portal/pin.html", form=form, step=step, emergency=emergency)


@blueprint.get("/first")
@needs(Action.PORTAL_PIN)
def first_page() -> ResponseReturnValue:
    """Say once, before anything is read, how to use these pages safely."""
    if next_step(the_actor()) is not Step.READ_FIRST:
        return redirect(url_for("portal_entry.pin_page"), code=303)
    return render_template("portal/first.html", emergency=office().numbers.emergency)


@blueprint.post("/first")
@needs(Action.PORTAL_PIN)
def first_read() -> ResponseReturnValue:
    """Go on to the list."""
    with transaction():
        enter_first_time(the_actor())
    return redirect(url_for("portal_reading.list_page"), code=303)


@blueprint.post("/sign-out")
@needs(Action.SESSION_END)
def sign_out_now() -> ResponseReturnValue:
    """End the session."""
    with transaction():
        leave(the_actor())
    say("signed_out")
    return forget(redirect(url_for("portal_entry.sign_in_page"), code=303), Door.PORTAL)
