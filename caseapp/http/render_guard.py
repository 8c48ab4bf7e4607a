"""The guard against statements while a page renders: a view loads everything first, and its template only shows it.

It listens between Flask's two signals about a template. In tests a statement in between is an error, in production a
line in the log that names the template.
"""

from __future__ import annotations

import sys
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
import structlog
from flask import Flask, before_render_template, template_rendered

if TYPE_CHECKING:
    from types import FrameType

log = structlog.get_logger()

# None outside a page; otherwise whether a statement is an error.
_strict: ContextVar[bool | None] = ContextVar("strict", default=None)


class QueriedWhileRendering(RuntimeError):
    """A template sent a statement to the database; the message names its line."""


def init_app(app: Flask) -> None:
    """Guard the templates of an application."""
    before_render_template.connect(_begin, app)
    template_rendered.connect(_end, app)


def _begin(app: Flask, **_details: object) -> None:
    _strict.set(app.testing)


def _end(_app: Flask, **_details: object) -> None:
    _strict.set(None)


@sa.event.listens_for(sa.Engine, "before_cursor_execute")
def _check(*_statement: Any) -> None:  # noqa: ANN401 - SQLAlchemy's own arguments
    if _strict.get() is None:
        return
    line = _find_template_line(sys._getframe())  # noqa: SLF001 - the documented way to the caller
    if line is None:
        # A template that raised an error ended without a signal.
        _strict.set(None)
    elif _strict.get():
        raise QueriedWhileRendering(f"{line} sends a statement; load this in the view.")
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
