"""Sessions: from a cookie or a bearer token to the actor of the request."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from flask import Flask, g, request, session
from flask.sessions import SecureCookieSessionInterface

from caseapp.core.clock import now
from caseapp.core.i18n import use_language
from caseapp.core.sessions import session_ends_at, touch_session
from caseapp.domain.auth.operations import touch_token
from caseapp.domain.auth.queries import find_client_session, find_staff_session, find_token
from caseapp.domain.auth.throttling import count_wrong_token
from caseapp.http.guard import View, current_view
from caseapp.http.interfaces import Interface, current_interface
from caseapp.http.token_budget import count_request
from caseapp.http.unreachable import is_unreachable, look_for_database

if TYPE_CHECKING:
    from flask import Request
    from flask.sessions import SecureCookieSession
    from werkzeug.wrappers import Response as AnyResponse

    from caseapp.core.actor import Actor

# The name of the portal's cookie reveals nothing to a partner who finds it.
COOKIES = {Interface.STAFF: "__Host-desk", Interface.PORTAL: "__Host-reader"}
FORM_TOKEN = "csrf_token"  # noqa: S105 - a name, not a token
"""Where Flask-WTF keeps the token of a browser's forms, in its session and for one request."""
TOUCH_AFTER = timedelta(minutes=1)


def load_actor() -> None:
    """Find the actor of the request and their language before the guard runs; there may be none."""
    look_for_database()
    if is_unreachable():
        g.actor = None
        return
    g.actor = _from_token() if current_interface() is Interface.API else _from_cookie()


def _from_token() -> Actor | None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        return None
    found = find_token(token.strip())
    if found is None:
        count_wrong_token(request.remote_addr or "")
        return None
    count_request(found.program_id or found.token_id)
    if found.used_at is None or now() - found.used_at >= TOUCH_AFTER:
        touch_token(found.token_id)
    g.owner_lacks_factor = found.lacks_factor
    return found.actor


def _from_cookie() -> Actor | None:
    interface = current_interface()
    token = request.cookies.get(COOKIES.get(interface, ""), "")
    if not token:
        return None
    kind = "client" if interface is Interface.PORTAL else "staff"
    found = find_client_session(token) if kind == "client" else find_staff_session(token)
    if found is None:
        return None
    last_seen_at, uses = found.last_seen_at, not hasattr(current_view(), "leaves_session_alone")
    if uses and now() - last_seen_at > TOUCH_AFTER and found.actor.session_id:
        touch_session(found.actor.session_id)
        last_seen_at = now()
    use_language(found.language)
    g.authenticated_at, g.lacks_factor = found.authenticated_at, found.lacks_factor
    g.session_ends_at = session_ends_at(kind, found.created_at, last_seen_at)
    return found.actor


def leaves_session_alone(view: View) -> View:
    """Declare that opening this view doesn't count as using the session."""
    view.leaves_session_alone = True  # type: ignore[attr-defined]
    return view


def renew_form_token() -> None:
    """Forget the token of this browser's forms: it is worth nothing from now on, and the next form gets another."""
    session.pop(FORM_TOKEN, None)
    g.pop(FORM_TOKEN, None)


def begin_in_browser(response: AnyResponse, interface: Interface, token: str) -> AnyResponse:
    """Let a browser begin a session: set its cookie and renew the token of its forms.

    The response has no form: its token would be the one from before.
    """
    renew_form_token()
    return set_session_cookie(response, interface, token)


def set_session_cookie(response: AnyResponse, interface: Interface, token: str) -> AnyResponse:
    """Set the cookie of a session; `begin_in_browser` does it for whoever signs in."""
    response.set_cookie(
        COOKIES[interface], token, secure=True, httponly=True, samesite="Lax", path="/"
    )
    return response


def clear_session_cookie(response: AnyResponse, interface: Interface) -> AnyResponse:
    """Delete the session cookie and ask the browser to clear its cache of these pages."""
    response.delete_cookie(COOKIES[interface], secure=True, httponly=True, samesite="Lax", path="/")
    response.headers["Clear-Site-Data"] = '"cache"'
    return response


class BrowserSessionInterface(SecureCookieSessionInterface):
    """Flask's own session (CSRF token, message codes) for every interface but the API, which uses no cookies."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Open the session of the cookie; for the API a null session."""
        if current_interface() is Interface.API:
            return self.make_null_session(app)
        return super().open_session(app, request)


def init_app(app: Flask) -> None:
    """Find the actor before every request."""
    app.session_interface = BrowserSessionInterface()
    app.before_request(load_actor)
