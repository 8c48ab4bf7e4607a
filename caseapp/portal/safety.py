"""Leave now, the numbers to call, and who sees what."""

from __future__ import annotations

from threading import Thread
from typing import TYPE_CHECKING

import structlog
from flask import Blueprint, Flask, current_app, redirect, render_template, request

from caseapp.core.permissions import Action
from caseapp.domain.clients.portal_access import leave_now
from caseapp.domain.practice.models import NEUTRAL_SITE
from caseapp.domain.practice.queries import office, the_practice
from caseapp.domain.worksheets.schemas import KEPT_FOR
from caseapp.http.guard import needs, public, the_actor
from caseapp.http.interfaces import Door
from caseapp.http.sessions import COOKIES, forget
from caseapp.portal.reading_list import guide_of, lines_apart

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

log = structlog.get_logger()
blueprint = Blueprint("portal_safety", __name__)

# Whoever leaves waits for the database no longer than this; it goes on ending the session by itself.
LONGEST_WAIT_SECONDS = 1.0

GROUPS = {
    "crisis_block": "Someone to talk to",
    "dv_block": "If you are afraid of someone",
    "substance_block": "Drink, pills and drugs",
    "ed_block": "When eating is hard",
}


@blueprint.get("/exit")
@public("whoever wants to leave may leave")
def leave_at_once() -> ResponseReturnValue:
    """End the session and lead to a neutral site; it leaves also when nothing else works."""
    found: list[str] = []
    reference = request.cookies.get(COOKIES[Door.PORTAL], "")
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001 - Flask's documented way to hand the app to a thread
    worker = Thread(target=_end, args=(app, reference, found), name="leave-now", daemon=True)
    worker.start()
    worker.join(LONGEST_WAIT_SECONDS)
    away = found[0] if found else NEUTRAL_SITE
    return forget(redirect(away, code=303), Door.PORTAL)


def _end(app: Flask, reference: str, found: list[str]) -> None:
    try:
        with app.app_context():
            found.append(the_practice().exit_url)
            if reference:
                leave_now(reference)
    except Exception as fault:  # noqa: BLE001 - the way out never fails
        log.warning("leave.failed", fault=type(fault).__name__)


@blueprint.get("/portal/safety")
@public("numbers and advice, the same for everybody; they must not hide behind a sign-in")
def safety_page() -> ResponseReturnValue:
    """Show every number, and how to use these pages safely."""
    known = office().numbers
    groups = [(heading, lines_apart(block, known)) for block, heading in GROUPS.items()]
    return render_template(
        "portal/safety.html", emergency=known.emergency, groups=groups, stale=known.stale
    )


@blueprint.get("/portal/privacy")
@needs(Action.PORTAL_READ)
def privacy_page() -> ResponseReturnValue:
    """Say what the coach can see, and what nobody can."""
    return render_template(
        "portal/privacy.html", guide=guide_of(the_actor()), kept_days=KEPT_FOR.days
    )
