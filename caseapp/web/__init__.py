"""The staff's door: pages for coaches, supervisors and admins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.web import entry, today

if TYPE_CHECKING:
    from flask import Flask


def init_app(app: Flask) -> None:
    """Open every page of the staff's door."""
    for module in (entry, today):
        app.register_blueprint(module.blueprint)
