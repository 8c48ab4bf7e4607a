"""Signing in and out, and the redirect from `/` to Today."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, g, redirect, render_template, request, session, url_for

from caseapp.core.errors import Invalid, TooManyAttempts, Unauthenticated
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.auth import operations, passkeys, passwords, second_factor
from caseapp.domain.auth.queries import find_waiting_person
from caseapp.domain.auth.schemas import SignInSchema
from caseapp.domain.practice.queries import get_practice_info
from caseapp.http import openid
from caseapp.http.devices import remember_device, sent_device
from caseapp.http.factors import LONGEST_ANSWER, browser_key, check_factor
from caseapp.http.guard import current_actor, needs, public
from caseapp.http.interfaces import Interface, find_page
from caseapp.http.request_parsing import Form, read_form, submitted_form
from caseapp.http.sessions import COOKIES, begin_in_browser, clear_session_cookie
from caseapp.http.template_helpers import flash

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from caseapp.core.actor import Actor

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
        return redirect(_target(), code=303)
    if _find_waiting():
        return redirect(_code_page(), code=303)
    is_signed_in_there = session.pop(openid.SIGNED_OUT_KEY, False)
    if is_signed_in_there and get_practice_info().practice.signs_out_at_provider:
        # The page leads on by itself: a form can't, since our pages send forms only to us.
        address = url_for("single_sign_on.begin_sign_out")
        return _sign_in_page(Form(), is_signed_in_there=True), {"Refresh": f"0; url={address}"}
    return _sign_in_page(Form(), is_signed_in_there=is_signed_in_there)


@blueprint.post("/sign-in")
@public("nobody is signed in yet")
def sign_in() -> ResponseReturnValue:
    """Check the password and begin a session."""
    try:
        attempt = read_form(SignInSchema())
        checked = passwords.check_password(attempt, request.remote_addr or "", sent_device())
        with transaction():
            token = second_factor.sign_in_with_password(checked)
            waits = second_factor.has_second_factor(checked.actor.id)
    except Invalid as error:
        return _sign_in_page(submitted_form(error)), 422
    except Unauthenticated as error:
        return _sign_in_page(submitted_form(), error.message), 401
    except TooManyAttempts as error:
        page = _sign_in_page(submitted_form(), error.message, waits=True)
        return page, 429, {"Retry-After": str(error.retry_after)}
    if waits:
        return begin_in_browser(redirect(_code_page(), code=303), Interface.STAFF, token)
    return _begin(token, checked.actor)


def _begin(token: str, actor: Actor) -> ResponseReturnValue:
    """Go on to the page that was asked for, in a browser that now knows this person."""
    response = begin_in_browser(redirect(_target(), code=303), Interface.STAFF, token)
    return remember_device(response, Interface.STAFF, actor.id)


def _sign_in_page(
    form: Form, refused: object = "", *, waits: bool = False, is_signed_in_there: bool = False
) -> str:
    return render_template(
        "sign_in/sign_in.html",
        form=form,
        refused=refused,
        waits=waits,
        is_signed_in_there=is_signed_in_there,
        passkey=passkeys.describe_showing(browser_key()),
        passkey_address=url_for("sign_in.sign_in_with_passkey", next=_next()),
    )


@blueprint.post("/sign-in/passkey")
@public("nobody is signed in yet")
def sign_in_with_passkey() -> ResponseReturnValue:
    """Check a passkey and begin a session."""
    try:
        answer = request.form.get("answer", "")[:LONGEST_ANSWER]
        checked = passkeys.check_passkey(answer, browser_key())
        with transaction():
            token = passkeys.sign_in(checked)
    except Invalid:
        return _sign_in_page(Form(), passkeys.REFUSED), 401
    except Unauthenticated as error:
        return _sign_in_page(Form(), error.message), 401
    return _begin(token, checked.actor)


def _next() -> str | None:
    return find_page(request.args.get("next", ""), Interface.STAFF)


def _target() -> str:
    return _next() or url_for("today.today")


def _code_page() -> str:
    # Without a page of ours to go on to, the address has no query.
    return url_for("sign_in.code_page", next=_next())


def _find_waiting() -> Actor | None:
    """Return whoever has entered the password in this browser and has still to enter a code."""
    token = request.cookies.get(COOKIES[Interface.STAFF])
    return find_waiting_person(token) if token else None


@blueprint.get("/sign-in/code")
@public("nobody is signed in until the code is right")
def code_page() -> ResponseReturnValue:
    """Ask for a passkey, a code from the app, or a recovery code."""
    actor = _find_waiting()
    if actor is None:
        return redirect(url_for("sign_in.sign_in_page"), code=303)
    return _show_code_page(actor, Form())


def _show_code_page(actor: Actor, form: Form, refused: object = "") -> str:
    passkey = passkeys.describe_showing(browser_key(), actor.id)
    return render_template("sign_in/code.html", form=form, refused=refused, passkey=passkey)


@blueprint.post("/sign-in/code")
@public("nobody is signed in until the code is right")
def enter_code() -> ResponseReturnValue:
    """Check the code or passkey and complete the sign-in."""
    actor = _find_waiting()
    if actor is None:
        return redirect(url_for("sign_in.sign_in_page"), code=303)
    try:
        show = check_factor(actor, request.form.get("code", ""))
        with transaction():
            token = show()
    except Invalid as error:
        return _show_code_page(actor, Form(errors=error.fields)), 422
    except Unauthenticated as error:
        return _show_code_page(actor, Form(), error.message), 401
    except TooManyAttempts as error:
        page = _show_code_page(actor, Form(), error.message)
        return page, 429, {"Retry-After": str(error.retry_after)}
    return _begin(token, actor)


@blueprint.post("/sign-in/again")
@public("nobody is signed in until the code is right")
def start_again() -> ResponseReturnValue:
    """End a sign-in that waits for a code, so that somebody else can sign in."""
    return _sign_out(_find_waiting())


@blueprint.post("/sign-out")
@needs(Action.SESSION_END)
def sign_out() -> ResponseReturnValue:
    """End the session."""
    flash("signed_out")
    return _sign_out(current_actor())


def _sign_out(actor: Actor | None) -> ResponseReturnValue:
    """End somebody's session, and only then look whether they can sign out at the provider too."""
    method = None
    if actor is not None:
        with transaction():
            method = operations.sign_out(actor)
    openid.note_sign_out(method)
    return clear_session_cookie(
        redirect(url_for("sign_in.sign_in_page"), code=303), Interface.STAFF
    )
