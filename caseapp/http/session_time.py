"""How long a session lasts still: asked by the scripts of a page, which warn before it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, Flask, g, jsonify

from caseapp.core.clock import now
from caseapp.core.permissions import Action
from caseapp.http.guard import current_actor, needs
from caseapp.http.sessions import leaves_session_alone

if TYPE_CHECKING:
    from datetime import datetime

    from flask.typing import ResponseReturnValue

blueprint = Blueprint("session_time", __name__)


def seconds_left() -> int:
    """Return the whole seconds until the session of the request ends if it isn't used; 0 without a session."""
    ends_at = session_ends_at()
    return 0 if ends_at is None else max(0, int((ends_at - now()).total_seconds()))


def session_ends_at() -> datetime | None:
    """Return when the session of the request ends if it isn't used; None without a session."""
    ends_at: datetime | None = g.get("session_ends_at")
    return ends_at


@blueprint.get("/session")
@needs(Action.SESSION_END)
@leaves_session_alone
def look() -> ResponseReturnValue:
    """Say how long the session lasts and whose it is, without using it."""
    return jsonify(seconds=seconds_left(), person=str(current_actor().id))


@blueprint.post("/session")
@needs(Action.SESSION_END)
def stay() -> ResponseReturnValue:
    """Use the session, so that it lasts longer, and say how long."""
    return look()


def init_app(app: Flask) -> None:
    """Register the addresses for staff and for the portal, each with its own cookie."""
    app.register_blueprint(blueprint)
    app.register_blueprint(blueprint, name="portal_session_time", url_prefix="/portal")
    app.jinja_env.globals.update(seconds_left=seconds_left, session_ends_at=session_ends_at)
