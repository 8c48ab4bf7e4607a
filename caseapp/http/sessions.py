"""Sessions: from a cookie or a bearer token to the one who asks."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from flask import Flask, g, request
from flask.sessions import SecureCookieSessionInterface

from caseapp.core.clock import now
from caseapp.domain.auth.operations import touch_session
from caseapp.domain.clients.portal_access import client_signed_in
from caseapp.domain.users.queries import bearer, signed_in
from caseapp.http.interfaces import Door, door

if TYPE_CHECKING:
    from flask import Request
    from flask.sessions import SecureCookieSession
    from werkzeug.wrappers import Response as AnyResponse

    from caseapp.core.actor import Actor

# The portal's cookie has a name that tells a partner nothing.
COOKIES = {Door.STAFF: "__Host-desk", Door.PORTAL: "__Host-reader"}
TOUCH_AFTER = timedelta(minutes=1)


def load_actor() -> None:
    """Find out who asks, before the guard; nobody is a valid answer."""
    g.actor = _from_token() if door() is Door.API else _from_cookie()


def _from_token() -> Actor | None:
    scheme, _, reference = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not reference:
        return None
    return bearer(reference.strip())


def _from_cookie() -> Actor | None:
    where = door()
    reference = request.cookies.get(COOKIES.get(where, ""), "")
    if not reference:
        return None
    found = client_signed_in(reference) if where is Door.PORTAL else signed_in(reference)
    if found is None:
        return None
    if now() - found.seen_at > TOUCH_AFTER and found.actor.session_id:
        touch_session(found.actor.session_id)
    return found.actor


def remember(response: AnyResponse, where: Door, reference: str) -> AnyResponse:
    """Give the browser the reference of a new session."""
    response.set_cookie(
        COOKIES[where], reference, secure=True, httponly=True, samesite="Lax", path="/"
    )
    return response


def forget(response: AnyResponse, where: Door) -> AnyResponse:
    """Take the reference back and ask the browser to drop what it kept of these pages."""
    response.delete_cookie(COOKIES[where], secure=True, httponly=True, samesite="Lax", path="/")
    response.headers["Clear-Site-Data"] = '"cache"'
    return response


class NoneForTheApi(SecureCookieSessionInterface):
    """Keep Flask's own session, which holds the CSRF token and message codes, out of the API: it knows no cookie."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Read the session from the cookie, but for the API."""
        if door() is Door.API:
            return self.make_null_session(app)
        return super().open_session(app, request)


def init_app(app: Flask) -> None:
    """Ask who it is before every request."""
    app.session_interface = NoneForTheApi()
    app.before_request(load_actor)
