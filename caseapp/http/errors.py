"""Error handling: turns every error into a page or JSON, and records refusals after the rollback."""

from __future__ import annotations

from http import HTTPStatus
from traceback import walk_tb
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import structlog
from flask import Flask, Response, current_app, g, jsonify, redirect, render_template, request
from flask_wtf.csrf import CSRFError, generate_csrf
from sqlalchemy.exc import DataError, OperationalError
from werkzeug.exceptions import HTTPException

from caseapp.core.database import db
from caseapp.core.errors import (
    DomainError,
    FactorNeeded,
    Forbidden,
    InsufficientScope,
    Invalid,
    NotFound,
    RenderFailed,
    RuleBroken,
    Stale,
    TooManyAttempts,
    Unauthenticated,
    VersionMissing,
)
from caseapp.core.i18n import lazy_gettext
from caseapp.core.logging import request_id
from caseapp.core.permissions import Role
from caseapp.domain.audit.operations import record_refusal
from caseapp.domain.audit.security_events import count_event
from caseapp.http.guard import current_view, logged_endpoint
from caseapp.http.interfaces import Interface, current_interface
from caseapp.http.template_helpers import flash

if TYPE_CHECKING:
    from uuid import UUID

    from flask.typing import ResponseReturnValue
    from werkzeug.wrappers import Response as AnyResponse

log = structlog.get_logger()

TRACE_LINES = 12

STATUS_CODES: dict[type[DomainError], HTTPStatus] = {
    Unauthenticated: HTTPStatus.UNAUTHORIZED,
    Forbidden: HTTPStatus.FORBIDDEN,
    FactorNeeded: HTTPStatus.FORBIDDEN,
    InsufficientScope: HTTPStatus.FORBIDDEN,
    NotFound: HTTPStatus.NOT_FOUND,
    RuleBroken: HTTPStatus.CONFLICT,
    Stale: HTTPStatus.PRECONDITION_FAILED,
    Invalid: HTTPStatus.UNPROCESSABLE_ENTITY,
    VersionMissing: HTTPStatus.PRECONDITION_REQUIRED,
    TooManyAttempts: HTTPStatus.TOO_MANY_REQUESTS,
    RenderFailed: HTTPStatus.SERVICE_UNAVAILABLE,
}
LOGGED_REASONS = frozenset({"possible_conflict", "possible_duplicate", "too_many_conflicts"})
"""The reasons of broken rules that the log names: any other could tell a hold, a flag or a level of the client."""
MESSAGES = {
    HTTPStatus.BAD_REQUEST: lazy_gettext(
        "We couldn’t read that request. Go back, reload the page and try again."
    ),
    HTTPStatus.NOT_FOUND: lazy_gettext("We could not find that."),
    HTTPStatus.METHOD_NOT_ALLOWED: lazy_gettext("This address doesn’t support that method."),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: lazy_gettext(
        "That is too large. Shorten your text, or choose a file of up to 5 MB."
    ),
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: lazy_gettext("Send JSON."),
    HTTPStatus.SERVICE_UNAVAILABLE: lazy_gettext(
        "We can’t reach our records right now. Nothing was changed."
    ),
}
OTHER_MESSAGE = lazy_gettext("We couldn’t answer that request. Nothing was changed.")
API_MESSAGES = {
    HTTPStatus.BAD_REQUEST: "The body is not valid JSON.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is too large.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "Send JSON, with Content-Type: application/json.",
}
FALLBACK_PAGE = (
    "<!doctype html><html lang=en><meta charset=utf-8><title>Something went wrong</title>"
    "<h1>Something went wrong</h1><p>Nothing was changed. Go back and try again.</p></html>"
)


def init_app(app: Flask) -> None:
    """Register the handlers of all errors."""
    app.register_error_handler(DomainError, _handle_domain_error)
    app.register_error_handler(CSRFError, _handle_csrf_error)
    app.register_error_handler(HTTPException, _handle_http_error)
    app.register_error_handler(OperationalError, _handle_unreachable_database)
    app.register_error_handler(DataError, _handle_unstorable_value)
    app.register_error_handler(Exception, _handle_unexpected_error)


def reasons_as_json(error: DomainError) -> list[dict[str, str]]:
    """Return the reasons of a broken rule as JSON; other errors have none."""
    if not isinstance(error, RuleBroken):
        return []
    return [{"code": r.code, "message": r.message, "way_out": r.way_out} for r in error.reasons]


def record_refused_request(error: DomainError) -> None:
    """Record a refused request, after rolling back the change it belonged to."""
    actor = g.get("actor")
    if actor is None or not isinstance(error, (Forbidden, NotFound, RuleBroken)):
        return
    db.session.rollback()
    action = getattr(current_view(), "action", None)
    object_id: UUID | None = next(
        (value for value in (request.view_args or {}).values() if hasattr(value, "hex")), None
    )
    found = {reason["code"] for reason in reasons_as_json(error)} or {error.code}
    codes = sorted({code if code in LOGGED_REASONS else error.code for code in found})
    record_refusal(
        actor,
        str(action or request.method.lower()),
        (logged_endpoint() or "").replace(".", " ")[:20],
        object_id,
        {"reasons": codes},
    )
    if not isinstance(error, RuleBroken):
        count_event("refused", actor.id)


def _handle_domain_error(error: DomainError) -> AnyResponse:
    if isinstance(error, Forbidden) and (target := _portal_redirect()):
        return redirect(target, code=303)
    record_refused_request(error)
    status = STATUS_CODES[type(error)]
    if isinstance(error, Unauthenticated) and current_interface() in {
        Interface.STAFF,
        Interface.PORTAL,
    }:
        if "X-Requested-With" in request.headers:
            return Response(status=status)
        if request.method in {"GET", "HEAD"}:
            return redirect(_sign_in_path(), code=303)
        if kept := _ask_to_sign_in():
            return kept
    response = _render_error(status, error.code, error.message, error=error)
    if isinstance(error, (TooManyAttempts, RenderFailed)):
        response.headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, Unauthenticated) and current_interface() is Interface.API:
        response.headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, InsufficientScope):
        response.headers["WWW-Authenticate"] = 'Bearer error="insufficient_scope"'
    return response


def _sign_in_path() -> str:
    return "/portal/sign-in" if current_interface() is Interface.PORTAL else "/sign-in"


def _sent_form() -> Any:  # noqa: ANN401 - http.forms.FormRoute, which stands above this module
    """Return the declared form that the request was sent from, or None."""
    return getattr(current_view(), "form", None)


def _ask_to_sign_in() -> AnyResponse | None:
    """Keep what somebody sent whose session has ended, and lead them back to it by way of the sign-in page."""
    form = _sent_form()
    page = form.keep_words() if form and g.get("actor") is None else None
    if page is None:
        return None
    flash("sent_already" if form.was_accepted() else "words_kept")
    if current_interface() is Interface.PORTAL:
        # A client comes back by a link or a card; the reading list leads on from there.
        return redirect(_sign_in_path(), code=303)
    return redirect(f"{_sign_in_path()}?{urlencode({'next': page})}", code=303)


def _portal_redirect() -> str | None:
    """Return the page for a client who opens one of another step: the PIN page, or the portal once signed in."""
    actor = g.get("actor")
    if (
        current_interface() is not Interface.PORTAL
        or actor is None
        or request.method not in {"GET", "HEAD"}
    ):
        return None
    return "/portal/pin" if actor.role is Role.SIGNING_IN else "/portal"


def _handle_csrf_error(_error: CSRFError) -> ResponseReturnValue:
    if "X-Requested-With" in request.headers and g.get("actor") is None:
        # Whoever has lost the session's cookies has also lost the token; the script has to know the first.
        return Response(status=HTTPStatus.UNAUTHORIZED)
    if "X-Requested-With" in request.headers:
        # Only a script of a page of ours reads the answer; it sends its request again, and the form later.
        return jsonify(code="form_expired", csrf_token=generate_csrf()), HTTPStatus.BAD_REQUEST
    form = _sent_form()
    try:
        page: ResponseReturnValue | None = form.show_expired() if form else None
    except DomainError as error:
        return _handle_domain_error(error)
    return (
        page
        or _ask_to_sign_in()
        or _render_error(
            HTTPStatus.BAD_REQUEST,
            "form_expired",
            lazy_gettext(
                "This form has expired. Go back, reload the page and send it again; nothing was changed."
            ),
        )
    )


def _handle_http_error(error: HTTPException) -> AnyResponse:
    status = HTTPStatus(error.code or 500)
    if error.response is not None:
        return error.get_response()
    message = (API_MESSAGES if current_interface() is Interface.API else {}).get(
        status
    ) or MESSAGES.get(status, OTHER_MESSAGE)
    response = _render_error(status, status.name.lower(), message)
    if allowed := getattr(error, "valid_methods", None):
        response.headers["Allow"] = ", ".join(sorted(allowed))
    return response


def _handle_unreachable_database(error: OperationalError) -> AnyResponse:
    db.session.rollback()
    g.database_unreachable = True
    log.error("database.unreachable", error=type_name(error.orig))
    status = HTTPStatus.SERVICE_UNAVAILABLE
    return _render_error(status, "unavailable", MESSAGES[status])


def _handle_unstorable_value(_error: DataError) -> AnyResponse:
    """Answer characters that no database stores as text, such as NUL in an address."""
    db.session.rollback()
    status = HTTPStatus.BAD_REQUEST
    return _render_error(status, status.name.lower(), MESSAGES[status])


def _handle_unexpected_error(error: Exception) -> AnyResponse:
    if current_app.testing:
        raise error
    db.session.rollback()
    log.error("request.failed", error=type_name(error), trace=error_trace(error))
    return _render_error(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "failed",
        lazy_gettext("Something went wrong on our side. Nothing was changed."),
    )


def type_name(error: BaseException | None) -> str:
    """Return the qualified name of an exception's type, such as `sqlalchemy.exc.DataError`."""
    kind = type(error)
    return (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}"
    )


def error_trace(error: BaseException) -> list[str]:
    """Return the lines of our own code that an error passed, as `module:function:line`, innermost last.

    Exceptions that led to this one come first, each introduced by its type. Neither messages nor values are included,
    since both may hold personal data.
    """
    chain: list[BaseException] = [error]
    while (earlier := chain[0].__cause__ or chain[0].__context__) and earlier not in chain:
        chain.insert(0, earlier)
    lines = []
    for number, link in enumerate(chain):
        if number < len(chain) - 1:
            lines.append(type_name(link))
        for frame, line in walk_tb(link.__traceback__):
            module = frame.f_globals.get("__name__", "")
            if module.partition(".")[0] == "caseapp":
                lines.append(f"{module}:{frame.f_code.co_qualname}:{line}")
    return lines[-TRACE_LINES:]


def _render_error(
    status: HTTPStatus,
    code: str,
    message: str,
    *,
    error: DomainError | None = None,
    fields: dict[str, list[str]] | None = None,
) -> Response:
    fields = error.fields if isinstance(error, Invalid) else fields or {}
    form = _sent_form()
    if current_interface() is Interface.API:
        body: dict[str, Any] = {"code": code, "message": message, "fields": fields}
        if error and (reasons := reasons_as_json(error)):
            body["reasons"] = reasons
        response = jsonify({"error": body})
        response.status_code = status
        return response
    if current_interface() is Interface.NONE:
        # A file or an unknown host, which says nothing about whose site this is.
        return Response(f"{message}\n", status=status, mimetype="text/plain")
    try:
        page = render_template(
            "errors/portal.html"
            if current_interface() in {Interface.PORTAL, Interface.EXIT}
            else "errors/staff.html",
            status=int(status),
            message=message,
            reasons=reasons_as_json(error) if error else [],
            fields=fields,
            typed=form.list_words() if form and status != HTTPStatus.UNAUTHORIZED else [],
            request_id=request_id.get(),
        )
    except Exception as fault:  # noqa: BLE001 - the error page itself must not fail
        log.error("error_page.failed", error=type_name(fault))  # noqa: TRY400 - a traceback may hold personal data
        page = FALLBACK_PAGE
    return Response(page, status=status, mimetype="text/html")
