"""Single sign-on: to the practice's OpenID provider and back, to sign in, to confirm or to link an account."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import Blueprint, g, redirect, render_template, request, session, url_for

from caseapp.core.errors import RuleBroken, Unauthenticated
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.audit.operations import record_refusal
from caseapp.domain.auth import identities, operations, provider_invitations, provider_sign_in
from caseapp.domain.auth.queries import find_staff_session, find_waiting_person
from caseapp.http import confirmation, openid
from caseapp.http.devices import remember_device
from caseapp.http.forms import BUTTON, Done, Sent, no_lock
from caseapp.http.guard import current_actor, needs, public
from caseapp.http.interfaces import Interface, find_page
from caseapp.http.openid import RETURN_PATH, ProviderFailed
from caseapp.http.sessions import begin_in_browser
from caseapp.http.template_helpers import flash
from caseapp.web.account import page
from caseapp.web.password_links import ACCEPTED, LINK

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask.typing import ResponseReturnValue

    from caseapp.core.actor import Actor
    from caseapp.domain.auth.identities import Vouched
    from caseapp.http.openid import Pending

LINK_KEY = "link"
"""In the browser's cookie: the session whose person has just sent the form to link an account."""

blueprint = Blueprint("single_sign_on", __name__)


def _next() -> str:
    return find_page(request.args.get("next", ""), Interface.STAFF) or ""


@blueprint.get("/sign-in/provider")
@public("nobody is signed in yet")
def begin_sign_in() -> ResponseReturnValue:
    """Lead to the provider to sign in."""
    if g.actor:
        return redirect(url_for("today.today"), code=303)
    try:
        return openid.begin("sign_in", back=_next())
    except ProviderFailed as error:
        return _show(error.message, error.status, url_for("sign_in.sign_in_page"))


@blueprint.get("/account/provider/confirm")
@needs(Action.SELF_READ)
def begin_confirmation() -> ResponseReturnValue:
    """Lead to the provider to confirm who one is; the words of the form that asked for it are kept in its page."""
    back = _next() or url_for("account.account_page")
    if not identities.is_linked(current_actor().id):
        return redirect(back, code=303)
    try:
        return openid.begin("confirm", session_id=current_actor().session_id, back=back)
    except ProviderFailed as error:
        return _show(error.message, error.status, back)


@page.form(Action.IDENTITY_LINK, BUTTON, lock=no_lock, rule="/account/provider/link")
def link_identity(_locked: None, _body: dict[str, Any], sent: Sent) -> Done:
    """Show the way to the provider; a form can't lead there itself, since our pages send forms only to us."""
    provider = openid.get_provider().name
    session[LINK_KEY] = str(sent.actor.session_id)
    return Done(
        url_for("account.account_page"),
        shown=lambda: render_template("account/link_identity.html", provider=provider),
    )


@blueprint.get("/account/provider/link")
@needs(Action.IDENTITY_LINK)
def begin_linking() -> ResponseReturnValue:
    """Lead to the provider to link an account, once whoever sent the form for it has confirmed who they are."""
    actor, back = current_actor(), url_for("account.account_page")
    if session.pop(LINK_KEY, "") != str(actor.session_id) or confirmation.is_due(
        Action.IDENTITY_LINK
    ):
        return redirect(back, code=303)
    try:
        return openid.begin("link", session_id=actor.session_id, back=back)
    except ProviderFailed as error:
        return _show(error.message, error.status, back)


@blueprint.get("/sign-in/provider/invitation")
@public("nobody is signed in yet")
def begin_accepting() -> ResponseReturnValue:
    """Lead to the provider to accept an invitation, once somebody has sent the form for it and read whose it is."""
    back = url_for("password_links.password_page")
    # A link alone, which anybody can have this browser follow, leads nowhere.
    if not (invitation := session.pop(ACCEPTED, "")):
        return redirect(back, code=303)
    try:
        return openid.begin("accept", back=back, invitation=invitation)
    except ProviderFailed as error:
        return _show(error.message, error.status, back)


@page.form(Action.IDENTITY_LINK, BUTTON, lock=no_lock, rule="/account/provider/unlink")
def unlink_identity(_locked: None, _body: dict[str, Any], sent: Sent) -> Done:
    """Unlink one's account at the provider."""
    identities.unlink_identity(sent.actor)
    return Done(url_for("account.account_page"), "identity_unlinked")


@blueprint.get("/sign-out/provider")
@public("nobody is signed in any more")
def begin_sign_out() -> ResponseReturnValue:
    """Lead to the provider to sign out there too, whoever has signed out here; it leads back to the sign-in page."""
    if g.actor:
        return redirect(url_for("today.today"), code=303)
    address = openid.find_sign_out_address()
    if address is None:
        return redirect(url_for("sign_in.sign_in_page"), code=303)
    return redirect(address)


@blueprint.get(RETURN_PATH)
@public("nobody is signed in yet, or the session is compared with the one that began it")
def come_back() -> ResponseReturnValue:
    """Take what the provider says, and sign in, confirm or link."""
    pending = openid.find_pending()
    back = (pending and pending.next) or url_for("sign_in.sign_in_page")
    try:
        vouched = openid.finish()
        if pending is None or not _is_same_session(pending):
            raise openid.refused()
    except ProviderFailed as error:
        return _show(error.message, error.status, back)
    try:
        accept = _find_way(pending)
        with transaction():
            token = accept(vouched)
    except Unauthenticated as error:
        return _refuse(pending, error.message, HTTPStatus.UNAUTHORIZED, back, error.code)
    except RuleBroken as error:
        reason = error.reasons[0]
        message = f"{reason.message} {reason.way_out}"
        return _refuse(pending, message, HTTPStatus.CONFLICT, back, reason.code)
    if pending.purpose == "accept":
        session.pop(LINK, None)
    if token is None:
        flash("identity_linked")
        return redirect(back, code=303)
    if pending.purpose == "confirm":
        flash("confirmed")
        target = back
    elif find_waiting_person(token):
        target = url_for("sign_in.code_page", next=pending.next or None)
    else:
        target = (pending.purpose == "sign_in" and pending.next) or url_for("today.today")
    response = begin_in_browser(redirect(target, code=303), Interface.STAFF, token)
    # A sign-in that waits for a code isn't complete, and a browser knows only whoever has been in.
    signed_in = find_staff_session(token)
    return remember_device(response, Interface.STAFF, signed_in.actor.id) if signed_in else response


def _is_same_session(pending: Pending) -> bool:
    """Tell whether whoever comes back to confirm or to link is still in the session in which they began."""
    actor: Actor | None = g.actor
    return pending.purpose in {"sign_in", "accept"} or (
        actor is not None and str(actor.session_id) == pending.session_id
    )


def _find_way(pending: Pending) -> Callable[[Vouched], str | None]:
    """Return what makes the change: it returns the token for the session's cookie, if there is a new one.

    Raises Unauthenticated for an invitation that has ended.
    """
    if pending.purpose == "link":
        return _link
    if pending.purpose == "confirm":
        return partial(provider_sign_in.confirm_session, current_actor())
    if pending.purpose == "sign_in":
        return partial(_sign_in, provider_sign_in.sign_in)
    link = provider_invitations.check_invitation(pending.invitation, request.remote_addr or "")
    return partial(_sign_in, partial(provider_invitations.accept_invitation, link))


def _link(vouched: Vouched) -> None:
    identities.link_identity(current_actor(), vouched)


def _sign_in(begin: Callable[[Vouched], str], vouched: Vouched) -> str:
    """Begin a session in place of one before, which may be somebody else's."""
    if g.actor:
        operations.sign_out(g.actor)
    return begin(vouched)


def _refuse(
    pending: Pending, message: str, status: HTTPStatus, back: str, code: str
) -> ResponseReturnValue:
    """Record that what the provider says was refused to somebody who is signed in, and say why."""
    if g.actor:
        action = Action.IDENTITY_LINK if pending.purpose == "link" else Action.SIGN_IN
        record_refusal(g.actor, action, "user", g.actor.id, {"reasons": [code]})
    return _show(message, status, back)


def _show(message: str, status: HTTPStatus, back: str) -> tuple[str, HTTPStatus]:
    page = render_template("sign_in/provider_failed.html", message=message, back=back)
    return page, status
