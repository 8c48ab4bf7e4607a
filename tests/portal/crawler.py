"""A walk through everything that a client's browser can be shown, read down to the last string of every PDF."""

from __future__ import annotations

import io
from html import unescape

import pikepdf

from caseapp.portal.reading_list import format_position
from tests.support.pdf_checks import extract_text, read_outline
from tests.support.staff_pages import lasting

UNKNOWN_POSITION = 9998


def portal_addresses(app, places):
    """List every address of the portal that can be opened, for each place of a list and for one that is not on it."""
    found: dict = {}
    for rule in app.url_map.iter_rules():
        if "GET" not in rule.methods or not rule.rule.startswith("/portal"):
            continue
        for position in (*places, UNKNOWN_POSITION) if "position" in rule.arguments else (None,):
            values = {
                "position": position,
                "number": position and format_position(position),
                "token": "no-such-link",
            }
            path = rule.build({name: values[name] for name in rule.arguments})[1]
            found[path] = None
            if path.endswith(".pdf") and position == places[0]:
                found[f"{path}?size=large"] = None
    return [*found]


def crawl(app, visitor, places):
    """Open every address; give for each all that can be read there: status, headers, words, and what is in a file."""
    return {path: readable_response(visitor.get(path)) for path in portal_addresses(app, places)}


def readable_response(answer):
    """Write down everything that an answer says, headers included."""
    headers = "\n".join(
        f"{name}: {value}"
        for name, value in answer.headers
        if name not in {"X-Request-Id", "Set-Cookie", "Content-Length"}
    )
    pdf = answer.mimetype == "application/pdf"
    body = "\n".join(pdf_texts(answer.data)) if pdf else unescape(answer.get_data(as_text=True))
    return lasting(f"{answer.status}\n{headers}\n\n{body}")


def pdf_texts(content):
    """List what a PDF says anywhere: on its pages, in its head, its outline, the names and labels of its fields."""
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
