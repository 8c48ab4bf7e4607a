"""Signing in and out, and the redirect from `/` to Today."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, g, redirect, render_template, request, url_for

from caseapp.core.errors import Invalid, TooManyAttempts, Unauthenticated
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.auth import operations, passwords
from caseapp.domain.auth.schemas import SignInSchema
from caseapp.http.guard import current_actor, needs, public
from caseapp.http.interfaces import Interface, find_page
from caseapp.http.request_parsing import Form, read_form, submitted_form
from caseapp.http.sessions import clear_session_cookie, set_session_cookie
from caseapp.http.template_helpers import flash

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

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
    return render_template("sign_in/sign_in.html", form=Form())


@blueprint.post("/sign-in")
@public("nobody is signed in yet")
def sign_in() -> ResponseReturnValue:
    """Check the password and begin a session."""
    try:
        checked = passwords.check_password(read_form(SignInSchema()), request.remote_addr or "")
        with transaction():
            token = passwords.sign_in(checked)
    except Invalid as error:
        return render_template("sign_in/sign_in.html", form=submitted_form(error)), 422
    except Unauthenticated as error:
        return render_template(
            "sign_in/sign_in.html", form=submitted_form(), refused=error.message
        ), 401
    except TooManyAttempts as error:
        page = render_template("sign_in/sign_in.html", form=submitted_form(), refused=error.message)
        return page, 429, {"Retry-After": str(error.retry_after)}
    target = find_page(request.args.get("next", ""), Interface.STAFF) or url_for("today.today")
    return set_session_cookie(redirect(target, code=303), Interface.STAFF, token)


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
