"""The client portal: a reading list that reveals nothing about coaching to a partner."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.portal import (
    devices,
    earlier,
    handouts,
    own_pin,
    plan,
    safety,
    sign_in,
    worksheets,
    written,
)

if TYPE_CHECKING:
    from flask import Flask


def init_app(app: Flask) -> None:
    """Register the portal's blueprints; worksheets, devices, what was written and the plan share that of handouts.

    Whoever goes back after leaving is led out again.
    """
    app.before_request(safety.lead_out)
    modules = (sign_in, handouts, safety, worksheets, written, earlier, own_pin, devices, plan)
    for blueprint in dict.fromkeys(module.blueprint for module in modules):
        app.register_blueprint(blueprint)
