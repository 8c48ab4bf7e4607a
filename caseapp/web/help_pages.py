"""Help: what the screening levels mean, and the keyboard shortcuts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, render_template

from caseapp.core.permissions import Action
from caseapp.http.guard import needs

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

blueprint = Blueprint("help", __name__)


@blueprint.get("/help/levels")
@needs(Action.SELF_READ)
def levels() -> ResponseReturnValue:
    """Explain the levels, item by item."""
    return render_template("help/levels.html")


@blueprint.get("/help/keys")
@needs(Action.SELF_READ)
def keys() -> ResponseReturnValue:
    """List the keyboard shortcuts."""
    return render_template("help/keys.html")
