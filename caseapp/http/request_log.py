"""Each request gets an id and one line in the log: method, endpoint, status, time; never the address itself."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

import structlog
from flask import g, request

from caseapp.core.logging import request_id

if TYPE_CHECKING:
    from flask import Flask, Response

log = structlog.get_logger()


def _begin() -> None:
    g.began = time.perf_counter()
    request_id.set(secrets.token_hex(8))


def _end(response: Response) -> Response:
    response.headers["X-Request-Id"] = request_id.get()
    if request.endpoint not in {"static", "bootstrap.static", "health.livez"}:
        log.info(
            "request",
            method=request.method,
            endpoint=request.endpoint,
            status=response.status_code,
            ms=round((time.perf_counter() - g.began) * 1000, 1),
        )
    return response


def init_app(app: Flask) -> None:
    """Begin before everything else, end after everything else."""
    app.before_request(_begin)
    app.after_request(_end)
