"""Web fonts: the installed faces as WOFF2, converted once; a missing one falls back to the system's."""

from __future__ import annotations

from flask import Blueprint, Response, abort, send_file

from caseapp.core.fonts import FACES, web_font
from caseapp.http.guard import public

blueprint = Blueprint("fonts", __name__)


@blueprint.get("/fonts/<string:key>.woff2")
@public("fonts are the same for everybody")
def font(key: str) -> Response:
    """Serve one font face."""
    if key not in FACES:
        abort(404)
    return send_file(web_font(key), mimetype="font/woff2")
