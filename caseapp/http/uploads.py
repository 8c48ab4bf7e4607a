"""Uploads: room for a file where a view asks for it, for somebody who may; nothing lies on disk on the way."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from flask import Request, g, request

from caseapp.core.database import db
from caseapp.core.errors import Invalid
from caseapp.core.scanning import objection
from caseapp.http.guard import answering_view

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO

    from flask import Flask

    from caseapp.http.guard import View

ROOM_FOR_THE_REST = 64 * 1024


class InMemory(Request):
    """Keep what is uploaded in memory: the sizes are small, and a temporary file would be a copy in plain words."""

    def _get_file_stream(self, *_: Any, **__: Any) -> IO[bytes]:  # noqa: ANN401 - Werkzeug's own arguments
        return io.BytesIO()


def takes_file(largest: int) -> Callable[[View], View]:
    """Declare that a view takes a file of at most `largest` bytes; every other one keeps to the small limit."""

    def declare(view: View) -> View:
        view.largest_file = largest  # type: ignore[attr-defined]
        return view

    return declare


def make_room() -> None:
    """Widen the limit of this request if its view takes a file and the one who asks may send it."""
    view, actor = answering_view(), g.get("actor")
    largest = getattr(view, "largest_file", 0)
    action = getattr(view, "action", None)
    if largest and actor is not None and action is not None and actor.may(action):
        request.max_content_length = largest + ROOM_FOR_THE_REST


def sent_file(name: str) -> bytes:
    """Give the bytes of the file that was sent; its name and what it claims to be are never looked at.

    Raises Invalid when there is none, or when the operator's scanner refuses it.
    """
    found = request.files.get(name)
    data = found.read() if found else b""
    if not data:
        raise Invalid({name: ["Choose a file first."]})
    # Looking at a file may take seconds, in which no snapshot of the database should be held.
    db.session.rollback()
    if fault := objection(data):
        raise Invalid({name: [fault]})
    return data


def init_app(app: Flask) -> None:
    """Teach the app about files."""
    app.request_class = InMemory
    app.before_request(make_room)
