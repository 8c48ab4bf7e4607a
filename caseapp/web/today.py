"""Today: what needs me now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, render_template

from caseapp.access.actions import Action
from caseapp.http.guard import needs

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

blueprint = Blueprint("today", __name__)


@blueprint.get("/today")
@needs(Action.TODAY_READ)
def today() -> ResponseReturnValue:
    """Show what needs the person who asks."""
    return render_template("today/today.html")
