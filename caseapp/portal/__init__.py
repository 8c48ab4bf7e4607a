"""The clients' door: a calm handouts list that tells a partner nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.portal import handouts, safety, sign_in, worksheets

if TYPE_CHECKING:
    from flask import Flask


def init_app(app: Flask) -> None:
    """Open every page of the portal."""
    for module in (sign_in, handouts, safety, worksheets):
        app.register_blueprint(module.blueprint)
