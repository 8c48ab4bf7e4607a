"""Confirmation: before some changes a person whose last sign-in is a while ago shows again who they are.

The form that asked for it goes along, word for word, in the page that asks for the password; that page sends it on.
Whoever confirms at the provider finds the words in the form again and sends it themselves.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import after_this_request, g, render_template, request

from caseapp.core.clock import now
from caseapp.core.errors import Invalid, TooManyAttempts
from caseapp.core.transaction import transaction
from caseapp.domain.auth.identities import USE_PROVIDER, is_linked, is_password_refused
from caseapp.domain.auth.passkeys import describe_showing
from caseapp.domain.auth.passwords import check_own_password, confirm_session
from caseapp.domain.auth.rules import CONFIRM_AFTER, needs_confirmation
from caseapp.domain.auth.second_factor import has_second_factor
from caseapp.domain.auth.throttling import confirmation_limits
from caseapp.http.factors import browser_key, check_factor
from caseapp.http.interfaces import Interface
from caseapp.http.request_parsing import CONFIRM_FIELD, Form
from caseapp.http.sessions import renew_form_token, set_session_cookie

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask.typing import ResponseReturnValue
    from werkzeug.wrappers import Response as AnyResponse

    from caseapp.core.actor import Actor
    from caseapp.core.permissions import Action
    from caseapp.http.form_bodies import Sent


def is_due(action: Action) -> bool:
    """Tell whether whoever sent this request has to confirm who they are before the action.

    Only a session of the staff can be asked: a program with a token acts within what the token may do.
    """
    confirmed_at = g.get("authenticated_at")
    return confirmed_at is not None and needs_confirmation(action, confirmed_at, now())


def ask(
    sent: Sent, back: str, keep: Callable[[], object], *, sends_file: bool
) -> ResponseReturnValue | None:
    """Ask for the password, or for the second factor of whoever has one; None once it is right, and the form goes on.

    `back` is the page of the form, and `keep` keeps the words for it, in case somebody goes back. `sends_file` says
    that the form is answered with a file: then the page that asks stays open. A right answer renews the session's
    token and that of the browser's forms, as signing in does.
    """
    typed = request.form.get(CONFIRM_FIELD, "")
    if CONFIRM_FIELD not in request.form:
        keep()
    if not typed:
        return _show(sent, back, Form(), HTTPStatus.FORBIDDEN, sends_file=sends_file)
    try:
        show = _check(sent.actor, typed)
    except Invalid as error:
        found = Form(
            errors={CONFIRM_FIELD: [text for texts in error.fields.values() for text in texts]}
        )
        return _show(sent, back, found, HTTPStatus.UNPROCESSABLE_ENTITY, sends_file=sends_file)
    except TooManyAttempts as error:
        page = _show(
            sent,
            back,
            Form(errors={CONFIRM_FIELD: [str(error.message)]}),
            HTTPStatus.TOO_MANY_REQUESTS,
            sends_file=sends_file,
        )
        return (*page, {"Retry-After": str(error.retry_after)})
    with transaction():
        token = show()
    # At once: the form may be shown again, with the token that counts from now on.
    renew_form_token()

    @after_this_request
    def renew(response: AnyResponse) -> AnyResponse:
        return set_session_cookie(response, Interface.STAFF, token)

    g.authenticated_at = now()
    return None


def _check(actor: Actor, typed: str) -> Callable[[], str]:
    """Check what was typed; return what notes it, for the transaction."""
    if has_second_factor(actor.id):
        return check_factor(actor, typed, confirmation_limits(actor.id))
    if is_password_refused(actor.id):
        raise Invalid({"password": [str(USE_PROVIDER)]})
    password = check_own_password(actor, typed)
    return lambda: confirm_session(password)


def _show(
    sent: Sent, back: str, form: Form, status: HTTPStatus, *, sends_file: bool
) -> tuple[str, HTTPStatus]:
    page = render_template(
        "account/confirm.html",
        form=form,
        address=request.full_path.removesuffix("?"),
        fields=[pair for pair in sent.fields.items(multi=True) if pair[0] != "csrf_token"],
        has_file=any(file.stream.read(1) for file in request.files.values()),
        back=back,
        sends_file=sends_file,
        minutes=CONFIRM_AFTER.seconds // 60,
        by_code=has_second_factor(sent.actor.id),
        by_provider=is_linked(sent.actor.id),
        no_password=is_password_refused(sent.actor.id),
        passkey=describe_showing(browser_key(), sent.actor.id),
    )
    return page, status
