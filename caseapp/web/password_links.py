"""Choosing a password by a link or code, and asking for a link when it is forgotten; nobody is signed in yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, redirect, render_template, request, session, url_for

from caseapp.core.actor import SYSTEM_ID
from caseapp.core.errors import Invalid, TooManyAttempts, Unauthenticated
from caseapp.core.idempotency import is_claimed, run_idempotent
from caseapp.core.tokens import hash_token
from caseapp.core.transaction import transaction
from caseapp.domain.auth import password_links, provider_invitations
from caseapp.domain.auth.schemas import ChosenPasswordSchema, ForgottenPasswordSchema
from caseapp.domain.practice.queries import get_practice_info
from caseapp.http import openid
from caseapp.http.devices import sent_device
from caseapp.http.guard import public
from caseapp.http.request_parsing import Form, read_form, submitted_form
from caseapp.http.template_helpers import flash

if TYPE_CHECKING:
    from uuid import UUID

    from flask.typing import ResponseReturnValue

blueprint = Blueprint("password_links", __name__)

# The name in the browser's cookie for a link's token, until a password was chosen with it.
LINK = "password_link"
LONGEST_CODE = 60
# And for an invitation whose form was sent, to accept it at the provider; a link that is followed doesn't replace it.
ACCEPTED = "accepted_invitation"
# And for one with which a password was chosen: whoever goes back and sends the form again reads so.
USED = "password_link_used"


@blueprint.get("/sign-in/forgotten")
@public("nobody is signed in yet")
def forgotten_page() -> ResponseReturnValue:
    """Show the form that asks for a link, and where to enter a code."""
    return render_template("sign_in/forgotten.html", form=Form())


@blueprint.post("/sign-in/forgotten")
@public("nobody is signed in yet")
def request_link() -> ResponseReturnValue:
    """Request a link; the response is the same for every address."""
    try:
        email = read_form(ForgottenPasswordSchema())
        password_links.count_reset_request(email, request.remote_addr or "", sent_device())
        with transaction():
            password_links.request_reset(email)
    except Invalid as error:
        return render_template("sign_in/forgotten.html", form=submitted_form(error)), 422
    except TooManyAttempts as error:
        page = render_template(
            "sign_in/forgotten.html", form=submitted_form(), refused=error.message
        )
        return page, 429, {"Retry-After": str(error.retry_after)}
    flash("password_link_sent")
    return redirect(url_for("password_links.forgotten_page"), code=303)


@blueprint.get("/sign-in/password/<string:token>")
@public("mail scanners follow links too, so opening one shows and uses nothing")
def follow_link(token: str) -> ResponseReturnValue:
    """Put a link's token aside and redirect: the page's address, which the browser's history keeps, is without it."""
    session[LINK] = token
    return redirect(url_for("password_links.password_page"), code=303)


@blueprint.get("/sign-in/password")
@public("nobody is signed in yet")
def password_page() -> ResponseReturnValue:
    """Show the form with which a password is chosen; it is the same whatever link was followed."""
    return _page(Form())


@blueprint.post("/sign-in/password")
@public("nobody is signed in yet")
def choose_password() -> ResponseReturnValue:
    """Use up the link or code and set the password; the form that the same browser sends twice has one answer."""
    try:
        chosen = read_form(ChosenPasswordSchema())
        secret = chosen.code or session.get(LINK) or session.get(USED, "")
        key = _browser_key(secret)
        if not is_claimed(SYSTEM_ID, key):
            _choose(secret, key, chosen.password)
    except Invalid as error:
        return _page(submitted_form(error)), 422
    except Unauthenticated as error:
        session.pop(LINK, None)
        return _page(submitted_form(), error.message), 401
    except TooManyAttempts as error:
        page = _page(submitted_form(), error.message)
        return page, 429, {"Retry-After": str(error.retry_after)}
    session.pop(LINK, None)
    session[USED] = secret
    flash("password_chosen")
    return redirect(url_for("sign_in.sign_in_page"), code=303)


def _choose(secret: str, key: str, password: str) -> None:
    """Choose a password, unless the same browser does so with the same link or code at the same moment."""
    try:
        checked = password_links.check_link(secret, password, request.remote_addr or "")
    except Unauthenticated:
        if is_claimed(SYSTEM_ID, key):
            return
        raise

    def choose() -> UUID:
        password_links.choose_password(checked)
        return checked.link.credential_id

    with transaction():
        run_idempotent(SYSTEM_ID, request.endpoint or "", key, None, choose)


def _browser_key(secret: str) -> str:
    """Make the key of a link or code in this browser; nobody else learns that it was used."""
    return hash_token(f"{secret}\n{session.get('csrf_token', '')}")


def _page(form: Form, refused: object = "") -> str:
    return render_template(
        "sign_in/password.html",
        form=form,
        refused=refused,
        by_link=bool(session.get(LINK)),
        provider_first=get_practice_info().practice.requires_single_sign_on,
    )


@blueprint.post("/sign-in/invitation")
@public("nobody is signed in yet")
def accept_at_provider() -> ResponseReturnValue:
    """Keep the code or link of an invitation in this browser, and show whose it is and the way to the provider.

    A form can't lead there itself, since our pages send forms only to us.
    """
    secret = request.form.get("code", "").strip()[:LONGEST_CODE] or session.get(LINK, "")
    try:
        openid.get_provider()
        link = provider_invitations.check_invitation(secret, request.remote_addr or "")
    except Unauthenticated as error:
        return _page(submitted_form(), error.message), 401
    except TooManyAttempts as error:
        page = _page(submitted_form(), error.message)
        return page, 429, {"Retry-After": str(error.retry_after)}
    session[LINK] = session[ACCEPTED] = secret
    return render_template("sign_in/accept.html", email=link.email)
