"""Uploads: a larger body limit for views that accept a file, for actors who may send it; nothing touches the disk."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from flask import Request, g, request

from caseapp.core.database import db
from caseapp.core.errors import Invalid
from caseapp.core.i18n import gettext
from caseapp.core.scanning import scan_upload
from caseapp.http.guard import current_view

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO

    from flask import Flask

    from caseapp.http.guard import View

OTHER_FIELDS_BYTES = 64 * 1024


class InMemoryRequest(Request):
    """A request that keeps uploads in memory: they are small, and a temporary file would be an unencrypted copy."""

    def _get_file_stream(self, *_: Any, **__: Any) -> IO[bytes]:  # noqa: ANN401 - Werkzeug's own arguments
        return io.BytesIO()


def accepts_file(largest: int) -> Callable[[View], View]:
    """Declare that a view accepts a file of at most `largest` bytes; other views keep the small limit."""

    def declare(view: View) -> View:
        view.largest_file = largest  # type: ignore[attr-defined]
        return view

    return declare


def raise_body_limit() -> None:
    """Raise the body limit if the current view accepts a file and the actor may send one."""
    view, actor = current_view(), g.get("actor")
    largest = getattr(view, "largest_file", 0)
    action = getattr(view, "action", None)
    if largest and actor is not None and action is not None and actor.may(action):
        request.max_content_length = largest + OTHER_FIELDS_BYTES


def read_uploaded_file(name: str) -> bytes:
    """Return the bytes of the uploaded file; its name and its declared type are ignored.

    Raises Invalid when there is none, or when the operator's scanner refuses it.
    """
    found = request.files.get(name)
    data = found.read() if found else b""
    if not data:
        raise Invalid({name: [gettext("Choose a file first.")]})
    # Scanning may take seconds, during which no database snapshot should be held.
    db.session.rollback()
    if fault := scan_upload(data):
        raise Invalid({name: [str(fault)]})
    return data


def init_app(app: Flask) -> None:
    """Use in-memory requests and the body limit for uploads."""
    app.request_class = InMemoryRequest
    app.before_request(raise_body_limit)
