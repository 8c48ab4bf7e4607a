"""The guard against statements while a template renders: whoever renders loads everything first.

In tests a statement in between is an error, in production a line in the log that names the template.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
import structlog

from caseapp.core import settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

log = structlog.get_logger()

_rendering: ContextVar[bool] = ContextVar("rendering", default=False)


class QueriedWhileRendering(RuntimeError):
    """A template sent a statement to the database; the message names its line."""


def begin_rendering(*_details: object, **_more: object) -> None:
    """Refuse statements from here on; a receiver of Flask's signal before a template."""
    _rendering.set(True)


def end_rendering(*_details: object, **_more: object) -> None:
    """Allow statements again; a receiver of Flask's signal after a template."""
    _rendering.set(False)


@contextmanager
def rendering() -> Iterator[None]:
    """Refuse statements inside this block."""
    before = _rendering.get()
    begin_rendering()
    try:
        yield
    finally:
        _rendering.set(before)


@sa.event.listens_for(sa.Engine, "before_cursor_execute")
def _check(*_statement: Any) -> None:  # noqa: ANN401 - SQLAlchemy's own arguments
    if not _rendering.get():
        return
    line = _find_template_line(sys._getframe())  # noqa: SLF001 - the documented way to the caller
    if line is None:
        # A template that raised an error ended without a signal.
        end_rendering()
    elif settings.active().env == "test":
        raise QueriedWhileRendering(f"{line} sends a statement; load this before rendering.")
    else:
        log.error("template.queried", line=line)


def _find_template_line(frame: FrameType | None) -> str | None:
    """Return the innermost template on the stack as `template:line`, or None."""
    while frame is not None:
        template = frame.f_globals.get("__jinja_template__")
        if template is not None:
            return f"{template.name or 'text'}:{template.get_corresponding_lineno(frame.f_lineno)}"
        frame = frame.f_back
    return None
