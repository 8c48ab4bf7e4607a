"""Values of the form fields in filled-in PDFs.

The files come from outside, so sandbox workers read them (`core.uploads`). Only the field tree of a file is read;
scripts, actions and attachments are ignored.
"""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import structlog

from caseapp.core import uploads
from caseapp.core.sandbox import protocol
from caseapp.core.sandbox.pool import JobFailed, PoolUnavailable
from caseapp.core.sandbox.protocol import JobRefused

if TYPE_CHECKING:
    from collections.abc import Iterator

log = structlog.get_logger()

MAGIC = b"%PDF-"
MAX_FILE_BYTES = 5 * protocol.MIB
MAX_NODES = 2000
MAX_VALUE_LENGTH = 20_000
PUSH_BUTTON, RADIO = 1 << 16, 1 << 15
OFF = "/Off"


class UnreadableForm(Exception):
    """A file without readable answers; its text is not_pdf, too_big, locked, no_form, broken, too_much or busy."""


def read_form_fields(data: bytes) -> dict[str, str]:
    """Read the form fields of a PDF by name; a ticked box reads `on`, an empty field reads as an empty string.

    Raises UnreadableForm.
    """
    if not data.startswith(MAGIC):
        raise UnreadableForm("not_pdf")
    if len(data) > MAX_FILE_BYTES:
        raise UnreadableForm("too_big")
    try:
        found = _decode(uploads.run(uploads.FORM, data))
    except PoolUnavailable as fault:
        log.error("forms.not_ready", fault=str(fault))  # noqa: TRY400 - a traceback may hold personal data
        raise UnreadableForm("busy") from None
    except JobFailed as fault:
        log.warning("forms.unread", cause=str(fault))
        raise UnreadableForm(ERROR_CODES.get(str(fault), "broken")) from None
    return found


def _decode(answer: bytes) -> dict[str, str]:
    """Check a worker's answer, since the file may have taken the worker over.

    Raises JobFailed.
    """
    try:
        found = json.loads(answer)
    except (ValueError, RecursionError):
        raise JobFailed(protocol.INVALID_ANSWER) from None
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise JobFailed(protocol.INVALID_ANSWER)
    return found


ERROR_CODES = {
    "locked": "locked",
    "no_form": "no_form",
    "too_much": "too_much",
    protocol.TOO_BIG: "too_much",
    protocol.TIME: "too_much",
    protocol.MEMORY: "too_much",
    protocol.ENDED: "too_much",
    protocol.LATE: "busy",
}


def load() -> None:
    """Load pikepdf, before a worker may not be able to."""
    import pikepdf  # noqa: F401 - only workers need it


def read_in_worker(file: bytes) -> bytes:
    """Read the fields of a PDF and return them as JSON; runs in a worker.

    Raises JobRefused, or what pikepdf raises for a broken file.
    """
    import pikepdf  # Only workers need it.

    try:
        with pikepdf.open(io.BytesIO(file), suppress_warnings=True) as pdf:
            if pdf.is_encrypted:
                raise JobRefused("locked")
            found = _read(pdf, pikepdf)
    except pikepdf.PasswordError:
        raise JobRefused("locked") from None
    return json.dumps(found).encode()


def _read(pdf: Any, pikepdf: Any) -> dict[str, str]:  # noqa: ANN401 - pikepdf is imported late
    form = pdf.Root.get("/AcroForm")
    found: dict[str, str] = {}
    if isinstance(form, pikepdf.Dictionary):
        for name, kind, flags, node in _walk_fields(form.get("/Fields"), pikepdf):
            if kind == "/Btn" and not flags & PUSH_BUTTON:
                found.setdefault(name, _read_button(node, radio=bool(flags & RADIO)))
            elif kind in {"/Tx", "/Ch"}:
                value = node.get("/V")
                # A value may also be a stream, which no form filler writes.
                text = str(value) if isinstance(value, pikepdf.String) else ""
                found.setdefault(name, text[:MAX_VALUE_LENGTH])
    if not found:
        raise JobRefused("no_form")
    return found


def _walk_fields(top: Any, pikepdf: Any) -> Iterator[tuple[str, str, int, Any]]:  # noqa: ANN401
    """Walk the field tree without recursion; a full name includes those of the parents (ISO 32000-2, 12.7.4.2)."""
    pending = [(node, "", "", 0) for node in _list_nodes(top, pikepdf)]
    count = 0
    while pending:
        node, parent, kind, flags = pending.pop()
        count += 1
        if count > MAX_NODES:
            raise JobRefused("too_much")
        own = node.get("/T")
        name = f"{parent}.{own}".strip(".") if own is not None else parent
        kind, flags = str(node.get("/FT", kind)), int(node.get("/Ff", flags))
        children = [child for child in _list_nodes(node.get("/Kids"), pikepdf) if "/T" in child]
        if children:
            pending += [(child, name, kind, flags) for child in children]
        else:
            yield name, kind, flags, node


def _list_nodes(found: Any, pikepdf: Any) -> list[Any]:  # noqa: ANN401
    if not isinstance(found, pikepdf.Array):
        return []
    if len(found) > MAX_NODES:
        raise JobRefused("too_much")
    return [node for node in found if isinstance(node, pikepdf.Dictionary)]


def _read_button(node: Any, *, radio: bool) -> str:  # noqa: ANN401
    """Return `on` for a ticked box, and for radio buttons the text of the chosen one."""
    state = str(node.get("/V", node.get("/AS", OFF)))
    if state == OFF or not state:
        return ""
    if not radio:
        return "on"
    chosen = state.removeprefix("/")
    options = node.get("/Opt")
    if options is not None and chosen.isdecimal() and int(chosen) < len(options):
        chosen = str(options[int(chosen)])
    return chosen[:MAX_VALUE_LENGTH]
