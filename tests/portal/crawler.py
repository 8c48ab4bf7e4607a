"""A crawler of everything a client's browser can be shown, down to every string of every PDF."""

from __future__ import annotations

import io
from html import unescape

import pikepdf

from caseapp.portal.reading_list import format_position
from tests.support.pdf_checks import extract_text, read_outline
from tests.support.staff_pages import lasting

UNKNOWN_POSITION = 9998


def portal_addresses(app, positions):
    """List every portal address that can be opened, for these positions and for an unknown one."""
    found: dict = {}
    for rule in app.url_map.iter_rules():
        if "GET" not in rule.methods or not rule.rule.startswith("/portal"):
            continue
        for position in (*positions, UNKNOWN_POSITION) if "position" in rule.arguments else (None,):
            values = {
                "position": position,
                "number": position and format_position(position),
                "token": "no-such-link",
            }
            path = rule.build({name: values[name] for name in rule.arguments})[1]
            found[path] = None
            if path.endswith(".pdf") and position == positions[0]:
                found[f"{path}?size=large"] = None
    return [*found]


def crawl(app, visitor, positions):
    """Open every address; return what can be read there by address: status, headers, text, and the content of PDFs."""
    return {path: readable_response(visitor.get(path)) for path in portal_addresses(app, positions)}


def readable_response(response):
    """Return everything a response contains as text, headers included."""
    headers = "\n".join(
        f"{name}: {value}"
        for name, value in response.headers
        if name not in {"X-Request-Id", "Set-Cookie", "Content-Length"}
    )
    pdf = response.mimetype == "application/pdf"
    body = "\n".join(pdf_texts(response.data)) if pdf else unescape(response.get_data(as_text=True))
    return lasting(f"{response.status}\n{headers}\n\n{body}")


def pdf_texts(content):
    """Yield all texts of a PDF: pages, metadata, outline, names and labels of fields."""
    yield extract_text(content)
    yield str(read_outline(content))
    with pikepdf.open(io.BytesIO(content)) as document:
        yield " ".join(f"{name} {value}" for name, value in document.docinfo.items())
        yield document.Root.Metadata.read_bytes().decode()
        yield str([*document.attachments])
        for found in document.objects:
            yield from _strings(found)


def _strings(found):
    if isinstance(found, pikepdf.String):
        yield str(found)
    elif isinstance(found, pikepdf.Array):
        for inner in found:
            yield from _strings(inner) if not getattr(inner, "is_indirect", False) else ()
    elif isinstance(found, pikepdf.Dictionary | pikepdf.Stream):
        for name, inner in found.items():
            yield name
            yield from _strings(inner) if not getattr(inner, "is_indirect", False) else ()
