"""Quick exit, help lines, and the privacy page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, redirect, render_template, request, session

from caseapp.core.i18n import lazy_gettext
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.audit.security_events import get_wrong_pins
from caseapp.domain.auth.portal_access import end_session_by_reference, record_quick_exit
from caseapp.domain.auth.queries import find_client_session, get_own_access
from caseapp.domain.handouts.rendering import list_help_line_entries
from caseapp.domain.practice.help_lines import countries
from caseapp.domain.practice.models import NEUTRAL_SITE
from caseapp.domain.practice.queries import HelpLines, get_practice, get_practice_info
from caseapp.domain.worksheets.schemas import UPLOAD_RETENTION
from caseapp.http.guard import current_actor, needs, public
from caseapp.http.interfaces import Interface, current_interface
from caseapp.http.security import csrf
from caseapp.http.sessions import COOKIES, clear_session_cookie, leaves_session_alone
from caseapp.http.unreachable import answers_without_database, is_unreachable, start_promptly
from caseapp.portal.reading_list import get_coach_name, list_help_lines

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

blueprint = Blueprint("portal_safety", __name__)

# The name in the browser's cookie for having left, until somebody comes back on purpose.
LEFT = "left"

GROUPS = {
    "crisis_block": lazy_gettext("Someone to talk to"),
    "dv_block": lazy_gettext("If you are afraid of someone"),
    "substance_block": lazy_gettext("Alcohol, pills and drugs"),
    "ed_block": lazy_gettext("When eating is hard"),
}


@blueprint.route("/exit", methods=["GET", "POST"])
@public("leaving must always work")
def quick_exit() -> ResponseReturnValue:
    """End the session and redirect to a neutral site, even when the database fails.

    A script sends a POST while the browser already goes there; without scripts the link leads here.
    """
    found: list[str] = []
    reference = request.cookies.get(COOKIES[Interface.PORTAL], "")

    def leave() -> None:
        found.append(get_practice().exit_url)
        if reference:
            end_session(reference)

    start_promptly("leave", leave)
    away = found[0] if found else NEUTRAL_SITE
    session[LEFT] = True
    return clear_session_cookie(redirect(away, code=303), Interface.PORTAL)


csrf.exempt(quick_exit)


def end_session(reference: str) -> None:
    """End the session of a cookie; record it afterwards, so that the session ends even when that fails.

    A stranger's cookie, which belongs to no session, causes a read and no write.
    """
    if find_client_session(reference) is None:
        return
    with transaction():
        ended = end_session_by_reference(reference)
    if ended is not None:
        with transaction():
            record_quick_exit(ended)


def lead_out() -> ResponseReturnValue | None:
    """Redirect to the neutral site when a browser goes back to a page of the portal that was left.

    It then asks for the page as our own link did; a typed address and a link in an email come from elsewhere. A staff
    page, which the demo has on the same host, is opened on purpose too. With scripts the page itself leads out, before
    it shows anything (`left.js`).
    """
    interface, sent = current_interface(), request.headers
    if interface not in {Interface.PORTAL, Interface.STAFF} or LEFT not in session:
        return None
    from_us = (sent.get("Sec-Fetch-Site"), sent.get("Sec-Fetch-Dest")) == (
        "same-origin",
        "document",
    )
    if interface is Interface.PORTAL and from_us:
        away = NEUTRAL_SITE if is_unreachable() else get_practice_info().practice.exit_url
        return redirect(away, code=303)
    session.pop(LEFT)
    return None


@blueprint.get("/portal/safety")
@public("help lines and advice are the same for everybody and must not need a sign-in")
@answers_without_database
@leaves_session_alone
def safety_page() -> ResponseReturnValue:
    """Show all help lines and how to use the portal safely.

    Without the database nobody knows which country the practice is in: then it shows those of each.
    """
    if is_unreachable():
        every = [
            (found.name, HelpLines(found.lines, None, stale=False))
            for found in countries().values()
        ]
        return render_template(
            "portal/safety.html",
            countries=[
                (name, [line for block in GROUPS for line in list_help_line_entries(block, lines)])
                for name, lines in every
            ],
        )
    known = get_practice_info().help_lines
    groups = [(heading, list_help_lines(block, known)) for block, heading in GROUPS.items()]
    return render_template(
        "portal/safety.html", emergency=known.emergency, groups=groups, stale=known.stale
    )


@blueprint.get("/portal/privacy")
@needs(Action.PORTAL_READ)
def privacy_page() -> ResponseReturnValue:
    """Explain what the coach can see and what nobody can."""
    return render_template(
        "portal/privacy.html",
        coach_name=get_coach_name(current_actor()),
        kept_days=UPLOAD_RETENTION.days,
        wrong_pins=get_wrong_pins(current_actor().id).times,
        access=get_own_access(current_actor()),
    )
