"""The clients' door: a calm reading list that tells a partner nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.portal import entry, reading, safety, writing

if TYPE_CHECKING:
    from flask import Flask


def init_app(app: Flask) -> None:
    """Open every page of the portal."""
    for module in (entry, reading, safety, writing):
        app.register_blueprint(module.blueprint)
