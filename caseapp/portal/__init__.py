"""The client portal: a reading list that reveals nothing about coaching to a partner."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.portal import handouts, safety, sign_in, worksheets

if TYPE_CHECKING:
    from flask import Flask


def init_app(app: Flask) -> None:
    """Register the portal's blueprints."""
    for module in (sign_in, handouts, safety, worksheets):
        app.register_blueprint(module.blueprint)
