"""Getting in and out: sign-in, sign-out, and the way from `/` to Today."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, g, redirect, render_template, request, url_for

from caseapp.core.errors import Invalid, TooManyAttempts, Unauthenticated
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.users.operations import sign_in, sign_out
from caseapp.domain.users.schemas import SignInSchema
from caseapp.http.guard import needs, public, the_actor
from caseapp.http.interfaces import Door
from caseapp.http.request_parsing import Form, form_of, read_form
from caseapp.http.sessions import forget, remember
from caseapp.http.template_helpers import say

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

blueprint = Blueprint("entry", __name__)


@blueprint.get("/")
@public("leads to Today, which asks who it is")
def start() -> ResponseReturnValue:
    """Lead to Today."""
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
def sign_in_now() -> ResponseReturnValue:
    """Check the password and begin a session."""
    try:
        reference = sign_in(read_form(SignInSchema()), request.remote_addr or "")
    except Invalid as error:
        return render_template("sign_in/sign_in.html", form=form_of(error)), 422
    except Unauthenticated as error:
        return render_template("sign_in/sign_in.html", form=form_of(), refused=error.message), 401
    except TooManyAttempts as error:
        page = render_template("sign_in/sign_in.html", form=form_of(), refused=error.message)
        return page, 429, {"Retry-After": str(error.retry_after)}
    return remember(redirect(url_for("today.today"), code=303), Door.STAFF, reference)


@blueprint.post("/sign-out")
@needs(Action.SESSION_END)
def sign_out_now() -> ResponseReturnValue:
    """End the session."""
    with transaction():
        sign_out(the_actor())
    say("signed_out")
    return forget(redirect(url_for("entry.sign_in_page"), code=303), Door.STAFF)
