"""Signing in and out, and the redirect from `/` to Today."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, g, redirect, render_template, request, url_for

from caseapp.core.errors import Invalid, TooManyAttempts, Unauthenticated
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.auth import operations, passwords, second_factor
from caseapp.domain.auth.queries import find_waiting_person
from caseapp.domain.auth.schemas import SignInSchema
from caseapp.http.devices import remember_device, sent_device
from caseapp.http.guard import current_actor, needs, public
from caseapp.http.interfaces import Interface, find_page
from caseapp.http.request_parsing import Form, read_form, submitted_form
from caseapp.http.sessions import COOKIES, clear_session_cookie, set_session_cookie
from caseapp.http.template_helpers import flash

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from caseapp.core.actor import Actor

# Longer than any code, also with blanks between.
LONGEST_CODE = 40

blueprint = Blueprint("sign_in", __name__)


@blueprint.get("/")
@public("redirects to Today, which requires a session")
def home() -> ResponseReturnValue:
    """Redirect to Today."""
    return redirect(url_for("today.today"), code=303)


@blueprint.get("/sign-in")
@public("nobody is signed in yet")
def sign_in_page() -> ResponseReturnValue:
    """Show the sign-in form."""
    if g.actor:
        return redirect(url_for("today.today"), code=303)
    if _find_waiting():
        return redirect(_code_page(), code=303)
    return render_template("sign_in/sign_in.html", form=Form())


@blueprint.post("/sign-in")
@public("nobody is signed in yet")
def sign_in() -> ResponseReturnValue:
    """Check the password and begin a session."""
    try:
        attempt = read_form(SignInSchema())
        checked = passwords.check_password(attempt, request.remote_addr or "", sent_device())
        with transaction():
            token = second_factor.sign_in(checked)
            waits = second_factor.has_second_factor(checked.actor.id)
    except Invalid as error:
        return render_template("sign_in/sign_in.html", form=submitted_form(error)), 422
    except Unauthenticated as error:
        return render_template(
            "sign_in/sign_in.html", form=submitted_form(), refused=error.message
        ), 401
    except TooManyAttempts as error:
        page = render_template(
            "sign_in/sign_in.html", form=submitted_form(), refused=error.message, waits=True
        )
        return page, 429, {"Retry-After": str(error.retry_after)}
    if waits:
        return set_session_cookie(redirect(_code_page(), code=303), Interface.STAFF, token)
    return _begin(token, checked.actor)


def _begin(token: str, actor: Actor) -> ResponseReturnValue:
    """Go on to the page that was asked for, in a browser that now knows this person."""
    response = set_session_cookie(redirect(_target(), code=303), Interface.STAFF, token)
    return remember_device(response, Interface.STAFF, actor.id)


def _target() -> str:
    return find_page(request.args.get("next", ""), Interface.STAFF) or url_for("today.today")


def _code_page() -> str:
    # Without a page of ours to go on to, the address has no query.
    return url_for(
        "sign_in.code_page", next=find_page(request.args.get("next", ""), Interface.STAFF)
    )


def _find_waiting() -> Actor | None:
    """Return whoever has entered the password in this browser and has still to enter a code."""
    token = request.cookies.get(COOKIES[Interface.STAFF])
    return find_waiting_person(token) if token else None


@blueprint.get("/sign-in/code")
@public("nobody is signed in until the code is right")
def code_page() -> ResponseReturnValue:
    """Ask for a code from the app, or a recovery code."""
    if _find_waiting() is None:
        return redirect(url_for("sign_in.sign_in_page"), code=303)
    return render_template("sign_in/code.html", form=Form())


@blueprint.post("/sign-in/code")
@public("nobody is signed in until the code is right")
def enter_code() -> ResponseReturnValue:
    """Check the code and complete the sign-in."""
    actor = _find_waiting()
    if actor is None:
        return redirect(url_for("sign_in.sign_in_page"), code=303)
    try:
        checked = second_factor.check_code(actor, request.form.get("code", "")[:LONGEST_CODE])
        with transaction():
            token = second_factor.show_code(checked)
    except Invalid as error:
        return render_template("sign_in/code.html", form=Form(errors=error.fields)), 422
    except Unauthenticated as error:
        return render_template("sign_in/code.html", form=Form(), refused=error.message), 401
    except TooManyAttempts as error:
        page = render_template("sign_in/code.html", form=Form(), refused=error.message)
        return page, 429, {"Retry-After": str(error.retry_after)}
    return _begin(token, actor)


@blueprint.post("/sign-in/again")
@public("nobody is signed in until the code is right")
def start_again() -> ResponseReturnValue:
    """End a sign-in that waits for a code, so that somebody else can sign in."""
    if (actor := _find_waiting()) is not None:
        with transaction():
            operations.sign_out(actor)
    return clear_session_cookie(
        redirect(url_for("sign_in.sign_in_page"), code=303), Interface.STAFF
    )


@blueprint.post("/sign-out")
@needs(Action.SESSION_END)
def sign_out() -> ResponseReturnValue:
    """End the session."""
    with transaction():
        operations.sign_out(current_actor())
    flash("signed_out")
    return clear_session_cookie(
        redirect(url_for("sign_in.sign_in_page"), code=303), Interface.STAFF
    )
