"""Each request gets an id and one log line: method, endpoint, status, duration; never the address itself."""

from __future__ import annotations

import secrets
import time
from http import HTTPStatus
from typing import TYPE_CHECKING

import structlog
from flask import g, request

from caseapp.core.logging import request_id
from caseapp.http.guard import logged_endpoint

if TYPE_CHECKING:
    from flask import Flask, Response

log = structlog.get_logger()


def _begin() -> None:
    g.began = time.perf_counter()
    request_id.set(secrets.token_hex(8))


def _end(response: Response) -> Response:
    response.headers["X-Request-Id"] = request_id.get()
    if request.endpoint not in {"assets.file", "health.livez"}:
        log.info(
            "request",
            method=request.method,
            endpoint=logged_endpoint(is_done=response.status_code == HTTPStatus.SEE_OTHER),
            status=response.status_code,
            ms=round((time.perf_counter() - g.began) * 1000, 1),
        )
    return response


def init_app(app: Flask) -> None:
    """Register the first function before and the last one after each request."""
    app.before_request(_begin)
    app.after_request(_end)
