"""Values of the form fields in filled-in PDFs; the only module that uses pikepdf.

The files come from outside, so sandbox workers read them: their supervisor runs this module as its main program. Only
the field tree of a file is read; scripts, actions and attachments are ignored.
"""

from __future__ import annotations

import io
import json
import resource
import signal
from typing import TYPE_CHECKING, Any

import structlog

from caseapp.core.sandbox import supervisor
from caseapp.core.sandbox.pool import JobFailed, PoolUnavailable, SandboxPool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

log = structlog.get_logger()

MAGIC = b"%PDF-"
MAX_FILE_BYTES = 5 * supervisor.MIB
MAX_NODES = 2000
MAX_VALUE_LENGTH = 20_000
MAX_SECONDS = 6.0
# The program itself takes about 300 MiB of address space; a file of 5 MiB needs little more.
MAX_MEMORY_BYTES = 640 * supervisor.MIB
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
        answer = _pool.run(data)
    except PoolUnavailable as fault:
        log.error("forms.not_ready", fault=str(fault))  # noqa: TRY400 - a traceback may hold personal data
        raise UnreadableForm("busy") from None
    except JobFailed as fault:
        log.warning("forms.unread", cause=str(fault))
        raise UnreadableForm(ERROR_CODES.get(str(fault), "broken")) from None
    found: dict[str, str] = json.loads(answer)
    return found


ERROR_CODES = {
    "locked": "locked",
    "no_form": "no_form",
    "too_much": "too_much",
    "too_big": "too_much",
    "ended": "too_much",
    "late": "busy",
}


def start_pool() -> None:
    """Start the supervisor before this process forks.

    Raises PoolUnavailable.
    """
    _pool.start()


_pool = SandboxPool("caseapp.core.pdf_forms", max_job_bytes=MAX_FILE_BYTES)


def prepare(_arguments: list[str]) -> Callable[[bytes], bytes]:
    """Load pikepdf in a supervisor and return the job function of its workers."""
    import pikepdf  # Only the supervisor needs it.

    def work(job: bytes) -> bytes:
        _set_limits()
        try:
            with pikepdf.open(io.BytesIO(job), suppress_warnings=True) as pdf:
                if pdf.is_encrypted:
                    raise supervisor.JobRefused("locked")
                found = _read(pdf, pikepdf)
        except pikepdf.PasswordError:
            raise supervisor.JobRefused("locked") from None
        return json.dumps(found).encode()

    return work


def _set_limits() -> None:
    """Set stricter limits than those for rendering a document."""
    signal.setitimer(signal.ITIMER_REAL, MAX_SECONDS)
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))


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
        raise supervisor.JobRefused("no_form")
    return found


def _walk_fields(top: Any, pikepdf: Any) -> Iterator[tuple[str, str, int, Any]]:  # noqa: ANN401
    """Walk the field tree without recursion; a full name includes those of the parents (ISO 32000-2, 12.7.4.2)."""
    pending = [(node, "", "", 0) for node in _list_nodes(top, pikepdf)]
    count = 0
    while pending:
        node, parent, kind, flags = pending.pop()
        count += 1
        if count > MAX_NODES:
            raise supervisor.JobRefused("too_much")
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
        raise supervisor.JobRefused("too_much")
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


if __name__ == "__main__":
    supervisor.serve(prepare)
