"""Forms in PDFs: a filled-in file in, the values of its fields out, and the only place that knows pikepdf.

The file comes from outside, so it is taken apart by the workers of `core.sandbox.supervisor`: this module, run by itself, is what
their supervisor loads. Nothing of a file is executed, followed or unpacked but its field tree; scripts, actions and
attachments are not even looked at.
"""

from __future__ import annotations

import io
import json
import resource
import signal
from typing import TYPE_CHECKING, Any

import structlog

from caseapp.core.sandbox import supervisor
from caseapp.core.sandbox.pool import PoolUnavailable, JobFailed, SandboxPool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

log = structlog.get_logger()

MAGIC = b"%PDF-"
MAX_FILE_BYTES = 5 * supervisor.MIB
MAX_NODES = 2000
MAX_VALUE_LENGTH = 20_000
MAX_SECONDS = 6.0
# The program itself takes about 300 MiB of address space; a file of 5 MiB needs little beside it.
MAX_MEMORY_BYTES = 640 * supervisor.MIB
PUSH_BUTTON, RADIO = 1 << 16, 1 << 15
OFF = "/Off"


class UnreadableForm(Exception):
    """Say in one word why a file gave no answers: not_pdf, too_big, locked, no_form, broken, too_much or busy."""


def read_form_fields(data: bytes) -> dict[str, str]:
    """Read the fields of a filled-in PDF by name; a ticked box reads `on`, what is blank reads as nothing.

    Raises UnreadableForm.
    """
    if not data.startswith(MAGIC):
        raise UnreadableForm("not_pdf")
    if len(data) > MAX_FILE_BYTES:
        raise UnreadableForm("too_big")
    try:
        answer = _pool.run(data)
    except PoolUnavailable as fault:
        log.error("forms.not_ready", fault=str(fault))  # noqa: TRY400 - a trace may quote a person
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


_pool = SandboxPool("caseapp.core.pdf_forms", largest=MAX_FILE_BYTES)


def prepare(_arguments: list[str]) -> Callable[[bytes], bytes]:
    """Load pikepdf for a supervisor and give the work that its workers do."""
    import pikepdf  # Only the supervisor loads it: no page needs it.

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
    """Keep a worker under stricter limits than those of laying out a document."""
    signal.setitimer(signal.ITIMER_REAL, MAX_SECONDS)
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))


def _read(pdf: Any, pikepdf: Any) -> dict[str, str]:  # noqa: ANN401 - pikepdf is loaded late
    form = pdf.Root.get("/AcroForm")
    found: dict[str, str] = {}
    if isinstance(form, pikepdf.Dictionary):
        for name, kind, flags, node in _walk_fields(form.get("/Fields"), pikepdf):
            if kind == "/Btn" and not flags & PUSH_BUTTON:
                found.setdefault(name, _read_button(node, radio=bool(flags & RADIO)))
            elif kind in {"/Tx", "/Ch"}:
                value = node.get("/V")
                # A value may also be a stream, which nobody's hand has written.
                text = str(value) if isinstance(value, pikepdf.String) else ""
                found.setdefault(name, text[:MAX_VALUE_LENGTH])
    if not found:
        raise supervisor.JobRefused("no_form")
    return found


def _walk_fields(top: Any, pikepdf: Any) -> Iterator[tuple[str, str, int, Any]]:  # noqa: ANN401
    """Walk over the field tree without recursion; a field's name is made of its parents' (ISO 32000-2, 12.7.4.2)."""
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
    """Give `on` for a ticked box, and for radio buttons the words of the chosen one."""
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
