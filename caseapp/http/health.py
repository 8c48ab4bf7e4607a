"""Health: `/livez` needs nothing, `/readyz` writes to the database and asks for the library and the worker."""

from __future__ import annotations

import sqlalchemy as sa
import structlog
from flask import Blueprint, Response

from caseapp.core import heartbeat, settings
from caseapp.core.clock import now
from caseapp.core.idempotency import IdempotencyKey
from caseapp.core.ids import new_id
from caseapp.core.transaction import separate_transaction
from caseapp.domain.handouts.library import library
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
    """Answer whether the database accepts a write, library and data folder are there, and the worker is alive."""
    try:
        with separate_transaction() as connection:
            probe = new_id()
            connection.execute(
                sa.insert(IdempotencyKey).values(
                    subject_id=probe, scope="readyz", key="probe", content_hash="", created_at=now()
                )
            )
            connection.execute(sa.delete(IdempotencyKey).where(IdempotencyKey.subject_id == probe))
        ready = bool(library()) and settings.active().data_dir.is_dir() and heartbeat.is_alive()
    except Exception as fault:  # noqa: BLE001 - any failure means not ready
        log.error("readyz.failed", fault=type(fault).__name__)  # noqa: TRY400 - a trace may quote a person
        ready = False
    return Response(
        "ready\n" if ready else "not ready\n", 200 if ready else 503, mimetype="text/plain"
    )
