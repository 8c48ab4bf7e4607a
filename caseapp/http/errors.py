"""Errors: one place turns them into a page or into JSON, and records refusals after the rollback."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import structlog
from flask import Flask, Response, current_app, g, jsonify, redirect, render_template, request
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import DataError, OperationalError
from werkzeug.exceptions import HTTPException

from caseapp.core.database import db
from caseapp.core.errors import (
    DomainError,
    Forbidden,
    Invalid,
    NotFound,
    RenderFailed,
    RuleBroken,
    Stale,
    TooManyAttempts,
    Unauthenticated,
    VersionMissing,
)
from caseapp.core.logging import request_id
from caseapp.core.permissions import Role
from caseapp.domain.audit.operations import record_refusal
from caseapp.http.guard import answering_view
from caseapp.http.interfaces import Door, door

if TYPE_CHECKING:
    from uuid import UUID

    from werkzeug.wrappers import Response as AnyResponse

log = structlog.get_logger()

STATUS: dict[type[DomainError], HTTPStatus] = {
    Unauthenticated: HTTPStatus.UNAUTHORIZED,
    Forbidden: HTTPStatus.FORBIDDEN,
    NotFound: HTTPStatus.NOT_FOUND,
    RuleBroken: HTTPStatus.CONFLICT,
    Stale: HTTPStatus.PRECONDITION_FAILED,
    Invalid: HTTPStatus.UNPROCESSABLE_ENTITY,
    VersionMissing: HTTPStatus.PRECONDITION_REQUIRED,
    TooManyAttempts: HTTPStatus.TOO_MANY_REQUESTS,
    RenderFailed: HTTPStatus.SERVICE_UNAVAILABLE,
}
PLAIN_WORDS = {
    HTTPStatus.BAD_REQUEST: "That could not be understood. Go back, reload the page and try again.",
    HTTPStatus.NOT_FOUND: "There is nothing here.",
    HTTPStatus.METHOD_NOT_ALLOWED: "That cannot be done at this address.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "That is too large to take in. Make it shorter; a file may be up to 5 MB.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "Send JSON.",
    HTTPStatus.SERVICE_UNAVAILABLE: "The practice's records cannot be reached just now. Nothing was changed.",
}
API_WORDS = {
    HTTPStatus.BAD_REQUEST: "The body is not JSON that can be read.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is too long.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "Send JSON, with Content-Type: application/json.",
}
LAST_RESORT = (
    "<!doctype html><html lang=en><meta charset=utf-8><title>Something went wrong</title>"
    "<h1>Something went wrong</h1><p>Nothing was changed. Go back and try again.</p></html>"
)


def init_app(app: Flask) -> None:
    """Answer every error of every door."""
    app.register_error_handler(DomainError, _domain)
    app.register_error_handler(CSRFError, _csrf)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(OperationalError, _unreachable)
    app.register_error_handler(DataError, _unstorable)
    app.register_error_handler(Exception, _unexpected)


def reasons_of(error: DomainError) -> list[dict[str, str]]:
    """List the machine-readable reasons of a broken rule."""
    if not isinstance(error, RuleBroken):
        return []
    return [{"code": r.code, "message": r.message, "how": r.how} for r in error.reasons]


def remember_refusal(error: DomainError) -> None:
    """Record a refused attempt, once the change it belonged to was rolled back."""
    actor = g.get("actor")
    if actor is None or not isinstance(error, (Forbidden, NotFound, RuleBroken)):
        return
    db.session.rollback()
    action = getattr(answering_view(), "action", None)
    object_id: UUID | None = next(
        (value for value in (request.view_args or {}).values() if hasattr(value, "hex")), None
    )
    codes = [reason["code"] for reason in reasons_of(error)] or [error.code]
    record_refusal(
        actor,
        str(action or request.method.lower()),
        (request.endpoint or "").replace(".", " ")[:20],
        object_id,
        {"reasons": codes},
    )


def _domain(error: DomainError) -> AnyResponse | tuple[Any, int]:
    if isinstance(error, Forbidden) and (way := _portal_way()):
        return redirect(way, code=303)
    remember_refusal(error)
    status = STATUS[type(error)]
    if isinstance(error, Unauthenticated) and door() in {Door.STAFF, Door.PORTAL}:
        if request.headers.get("X-Requested-With") == "autosave":
            return Response(status=status)
        if request.method in {"GET", "HEAD"}:
            start = "/portal/sign-in" if door() is Door.PORTAL else "/sign-in"
            return redirect(start, code=303)
    response = _answer(status, error.code, error.message, error=error)
    if isinstance(error, (TooManyAttempts, RenderFailed)):
        response.headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, Unauthenticated) and door() is Door.API:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _portal_way() -> str | None:
    """Lead a client who opens a page of another step to where they are: at the door, or inside."""
    actor = g.get("actor")
    if door() is not Door.PORTAL or actor is None or request.method not in {"GET", "HEAD"}:
        return None
    return "/portal/pin" if actor.role is Role.ARRIVING else "/portal"


def _csrf(_error: CSRFError) -> AnyResponse:
    return _answer(
        HTTPStatus.BAD_REQUEST,
        "form_expired",
        "This form has expired. Go back, reload the page and send it again; nothing was changed.",
    )


def _http(error: HTTPException) -> AnyResponse:
    status = HTTPStatus(error.code or 500)
    if error.response is not None:
        return error.get_response()
    words = (API_WORDS if door() is Door.API else {}).get(status) or PLAIN_WORDS.get(status)
    response = _answer(status, status.name.lower(), words or str(error.description))
    if allowed := getattr(error, "valid_methods", None):
        response.headers["Allow"] = ", ".join(sorted(allowed))
    return response


def _unreachable(error: OperationalError) -> AnyResponse:
    db.session.rollback()
    log.error("database.unreachable", fault=type(error.orig).__name__)
    status = HTTPStatus.SERVICE_UNAVAILABLE
    return _answer(status, "unavailable", PLAIN_WORDS[status])


def _unstorable(_error: DataError) -> AnyResponse:
    """Answer what no database takes as text, such as a NUL in an address."""
    db.session.rollback()
    status = HTTPStatus.BAD_REQUEST
    return _answer(status, status.name.lower(), PLAIN_WORDS[status])


def _unexpected(error: Exception) -> AnyResponse:
    if current_app.testing:
        raise error
    db.session.rollback()
    log.error("request.failed", fault=type(error).__name__, where=_where(error))
    return _answer(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "failed",
        "Something went wrong on our side. Nothing was changed.",
    )


def _where(error: Exception) -> list[str]:
    """Name the lines that an error passed, without any values: values could be about a person."""
    trace, found = error.__traceback__, []
    while trace is not None:
        code = trace.tb_frame.f_code
        found.append(f"{code.co_name}:{trace.tb_lineno}")
        trace = trace.tb_next
    return found[-6:]


def _answer(
    status: HTTPStatus,
    code: str,
    message: str,
    *,
    error: DomainError | None = None,
    fields: dict[str, list[str]] | None = None,
) -> Response:
    fields = error.fields if isinstance(error, Invalid) else fields or {}
    if door() is Door.API:
        body: dict[str, Any] = {"code": code, "message": message, "fields": fields}
        if error and (reasons := reasons_of(error)):
            body["reasons"] = reasons
        response = jsonify({"error": body})
        response.status_code = status
        return response
    try:
        page = render_template(
            "errors/portal.html" if door() in {Door.PORTAL, Door.EXIT} else "errors/staff.html",
            status=int(status),
            message=message,
            reasons=reasons_of(error) if error else [],
            fields=fields,
            request_id=request_id.get(),
        )
    except Exception as fault:  # noqa: BLE001 - an error page must never fail
        log.error("error_page.failed", fault=type(fault).__name__)  # noqa: TRY400 - a trace may quote a person
        page = LAST_RESORT
    return Response(page, status=status, mimetype="text/html")
