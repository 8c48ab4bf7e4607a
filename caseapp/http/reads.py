"""Recording what a request reads of clients' records, before its answer leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import current_app, g

from caseapp.core import reads
from caseapp.domain.audit.operations import record_reads
from caseapp.http.guard import current_view

if TYPE_CHECKING:
    from flask import Flask
    from werkzeug.wrappers import Response as AnyResponse


def _record(response: AnyResponse) -> AnyResponse:
    """Write the reads to the log; if that fails, answer with the error instead of with what was read."""
    try:
        record_reads(g.get("actor"), getattr(current_view(), "action", None))
    except Exception as error:  # noqa: BLE001 - answered as any error of a view
        response.close()
        return current_app.make_response(current_app.handle_user_exception(error))
    return response


def init_app(app: Flask) -> None:
    """Collect what each request reads. Call it last: what answers are changed by afterwards reads nothing."""
    # First of all: finding the actor may already write with the reads.
    app.before_request_funcs.setdefault(None, []).insert(0, reads.begin)
    app.after_request(_record)
    app.teardown_request(lambda _error: reads.end())
