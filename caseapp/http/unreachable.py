"""Pages that are answered without the database as well: while it is gone, locked or slow."""

from __future__ import annotations

from threading import Thread
from typing import TYPE_CHECKING

import structlog
from flask import Flask, current_app, g

from caseapp.domain.auth.queries import find_client_session
from caseapp.domain.practice.queries import get_practice_info
from caseapp.http.guard import View, current_view

if TYPE_CHECKING:
    from collections.abc import Callable

log = structlog.get_logger()

MAX_WAIT_SECONDS = 1.0
"""Whoever wants to leave or needs help waits this long for the database, and no longer."""


def answers_without_database(view: View) -> View:
    """Declare that a view has an answer when `is_unreachable` says so."""
    view.answers_without_database = True  # type: ignore[attr-defined]
    return view


def is_unreachable() -> bool:
    """Return whether this request has found that the database doesn't answer."""
    return "database_unreachable" in g


def start_promptly(name: str, call: Callable[[], None]) -> None:
    """Run something that needs the database in a thread; wait for it for a while, and let it go on after that.

    What it raises is logged.
    """
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001 - Flask's documented way to hand the app to a thread

    def run() -> None:
        try:
            with app.app_context():
                call()
        except Exception as fault:  # noqa: BLE001 - the answer must not depend on it
            log.warning("promptly.failed", what=name, fault=type(fault).__name__)

    thread = Thread(target=run, name=f"{name}-now", daemon=True)
    thread.start()
    thread.join(MAX_WAIT_SECONDS)


def look_for_database() -> None:
    """Find out in time whether the database answers, before a view that has an answer without it."""
    if not hasattr(current_view(), "answers_without_database"):
        return
    answered: list[bool] = []

    def look() -> None:
        # What such a page and its frame read.
        get_practice_info()
        find_client_session("")
        answered.append(True)

    start_promptly("look", look)
    if not answered:
        g.database_unreachable = True
