"""The language of a request: that of the person who is signed in, and before that what their browser asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import request

from caseapp.core.i18n import LANGUAGES, SOURCE_LANGUAGE, use_language
from caseapp.http.interfaces import Interface, current_interface

if TYPE_CHECKING:
    from flask import Flask

CHOSEN_BY_BROWSER = frozenset({Interface.PORTAL, Interface.EXIT})
"""The interfaces whose pages follow `Accept-Language` until somebody is signed in."""


def choose_language() -> None:
    """Use the browser's language for the portal, and the source language elsewhere, until the actor is known.

    Error pages need a language even when the database can't say who is asking.
    """
    wanted = None
    if current_interface() in CHOSEN_BY_BROWSER:
        wanted = request.accept_languages.best_match(LANGUAGES)
    use_language(wanted or SOURCE_LANGUAGE)


def _forget_language(_error: BaseException | None) -> None:
    """Leave nothing behind for what runs next in this thread."""
    use_language(SOURCE_LANGUAGE)


def init_app(app: Flask) -> None:
    """Choose a language before anything else can answer the request."""
    app.before_request(choose_language)
    app.teardown_request(_forget_language)
