"""PDF downloads, the same in every interface; `http.security` adds the headers of every response."""

from __future__ import annotations

from flask import Response


def pdf_response(content: bytes, name: str) -> Response:
    """Build a response that is saved as a file, never shown in the browser.

    `name` is generated from letters, digits, dashes and a dot, so it needs no escaping (RFC 6266).
    """
    response = Response(content, mimetype="application/pdf")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
