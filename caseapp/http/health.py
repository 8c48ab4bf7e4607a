"""Health: `/livez` needs nothing, `/readyz` asks for the database, the library and the worker, and writes nothing."""

from __future__ import annotations

import structlog
from flask import Blueprint, Response

from caseapp.core import heartbeat
from caseapp.domain.handouts.library import library
from caseapp.domain.practice.queries import get_practice_info
from caseapp.http.guard import public

log = structlog.get_logger()
blueprint = Blueprint("health", __name__)


@blueprint.get("/livez")
@public("tells only that the process answers")
def livez() -> Response:
    """Answer that the process is alive."""
    return Response("ok\n", mimetype="text/plain")


@blueprint.get("/readyz")
@public("tells only yes or no")
def readyz() -> Response:
    """Answer whether the database and the library are there, and the worker is alive.

    The worker writes its heartbeat to the data folder every few seconds, so that a full disk shows as well. Anybody may
    ask, so nothing is written.
    """
    try:
        get_practice_info()
        ready = bool(library()) and heartbeat.is_alive()
    except Exception as fault:  # noqa: BLE001 - any failure means not ready
        log.error("readyz.failed", fault=type(fault).__name__)  # noqa: TRY400 - a trace may quote a person
        ready = False
    return Response(
        "ready\n" if ready else "not ready\n", 200 if ready else 503, mimetype="text/plain"
    )
