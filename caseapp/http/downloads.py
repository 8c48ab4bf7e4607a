"""Downloads: a PDF for saving under a name, the same at every door; `http.security` adds what every answer carries."""

from __future__ import annotations

from flask import Response


def pdf_answer(made: bytes, name: str) -> Response:
    """Answer a PDF for saving, never for showing.

    The name is made by us of letters, digits, dashes and a dot, so that it needs no escaping (RFC 6266).
    """
    answer = Response(made, mimetype="application/pdf")
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer
