"""What belongs to one application: its settings, its key ring, the handlers of its outbox and the way to its queue.

Two applications may live in one process, so none of this is a global. Whoever runs code for an application activates
its runtime: the factory does so for each application context. Code outside any context gets the newest runtime.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from uuid import UUID

    from caseapp.core.settings import Settings
    from caseapp.core.vault import RingKey


@dataclass(eq=False)
class Runtime:
    """The settings, keys and registrations of one application.

    `ring` holds the keys of the ring by purpose and number; number None means the one in use. It is read at the start,
    and replaced as a whole.
    """

    settings: Settings
    ring: dict[tuple[str, int | None], RingKey] = field(default_factory=dict, repr=False)
    outbox_handlers: dict[str, Callable[[UUID, dict[str, Any]], None]] = field(default_factory=dict)
    dispatch: Callable[[UUID], None] | None = None


_current: ContextVar[Runtime | None] = ContextVar("runtime", default=None)
_default: list[Runtime] = []


def install(settings: Settings) -> Runtime:
    """Make the runtime of a new application, which code outside any context gets from now on."""
    made = Runtime(settings)
    set_default(made)
    return made


def set_default(runtime: Runtime) -> None:
    """Let code outside any context run for this application."""
    _default[:] = [runtime]


def is_set() -> bool:
    """Tell whether this context or this process has a runtime."""
    return _current.get() is not None or bool(_default)


def current() -> Runtime:
    """Return the runtime of the application that this code runs for.

    Raises RuntimeError before any application was made.
    """
    found = _current.get()
    if found is not None:
        return found
    if not _default:
        raise RuntimeError("There is no runtime yet. Create the application first.")
    return _default[0]


def activate(runtime: Runtime | None) -> Runtime | None:
    """Make a runtime the current one of this context; return the one before, to be put back."""
    before = _current.get()
    _current.set(runtime)
    return before


@contextmanager
def running(runtime: Runtime) -> Iterator[Runtime]:
    """Run a block for one application."""
    before = activate(runtime)
    try:
        yield runtime
    finally:
        activate(before)
