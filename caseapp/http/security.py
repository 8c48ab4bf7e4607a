"""Security headers, CSRF protection and body limits."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flask import abort, request
from flask_wtf.csrf import CSRFProtect
from werkzeug.middleware.proxy_fix import ProxyFix

from caseapp.http import assets, uploads
from caseapp.http.interfaces import Interface, current_interface, reject_other_host
from caseapp.http.languages import CHOSEN_BY_BROWSER

if TYPE_CHECKING:
    from flask import Flask, Response

    from caseapp.core.settings import Settings

LARGEST_BODY = 2 * 1024 * 1024
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; "
    "script-src 'self'; "
    "style-src 'self'; "
    "font-src 'self'; "
    "img-src 'self' data:; "
    "connect-src 'self'; "
    "form-action 'self'; "
    "base-uri 'none'; "
    "frame-ancestors 'none'; "
    "object-src 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "X-Robots-Tag": "noindex, nofollow",
}
FILES = frozenset({"assets.file", "fonts.font"})
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

csrf = CSRFProtect()


def add_headers(response: Response) -> Response:
    """Add the same headers to every response, errors and files included."""
    response.headers.extend(HEADERS)
    if response.headers.get("Content-Disposition", "").startswith("attachment"):
        # If a browser shows the file after all, it has no origin and runs nothing.
        response.headers["Content-Security-Policy"] = f"{CONTENT_SECURITY_POLICY}; sandbox"
    if request.endpoint in FILES and response.status_code in {200, 304}:
        # Only an address with the current content hash may be cached for good.
        current = (request.view_args or {}).get("stamp") == assets.content_stamp()
        age = "max-age=31536000, immutable" if current else "max-age=3600"
        response.headers["Cache-Control"] = f"public, {age}"
    else:
        response.headers["Cache-Control"] = "no-store"
        by_browser = current_interface() in CHOSEN_BY_BROWSER
        response.headers.add(
            "Vary", f"Cookie, Authorization{', Accept-Language' if by_browser else ''}"
        )
    return response


def refuse_cross_site() -> None:
    """Refuse a change requested by a page of another site, before any cookie is trusted."""
    if request.method in SAFE_METHODS or current_interface() is Interface.API:
        return
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    # Under our own `no-referrer` a browser sends the origin of its own forms as "null".
    origin = request.headers.get("Origin", "null")
    foreign = origin != "null" and urlsplit(origin).netloc != request.host
    if site not in {"same-origin", "none"} or foreign:
        abort(400, "This form was sent from another site.")


def reject_nul() -> None:
    """Refuse an address with NUL, which no database stores as text; the API names the field itself."""
    if "\x00" in request.path:
        abort(404)
    if current_interface() is not Interface.API and any(
        "\x00" in value for value in request.args.values()
    ):
        abort(400)


def reject_unnamed_parts() -> None:
    """Refuse a form with an unnamed part: no browser sends one, and Flask-WTF fails on it."""
    if request.method not in SAFE_METHODS and None in request.form:
        abort(400)


def init_app(app: Flask, settings: Settings) -> None:
    """Set limits, cookies and headers; the API uses no cookies and so needs no CSRF token."""
    app.config.update(
        SECRET_KEY=settings.secret_key,
        MAX_CONTENT_LENGTH=LARGEST_BODY,
        MAX_FORM_MEMORY_SIZE=LARGEST_BODY,
        SESSION_COOKIE_NAME="__Host-form",
        SESSION_COOKIE_SECURE=True,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_PATH="/",
        WTF_CSRF_TIME_LIMIT=None,
        WTF_CSRF_SSL_STRICT=False,
    )
    app.before_request(reject_other_host)
    # Before the CSRF check, which reads the whole form.
    uploads.init_app(app)
    app.before_request(reject_unnamed_parts)
    csrf.init_app(app)
    app.before_request(reject_nul)
    app.before_request(refuse_cross_site)
    app.after_request(add_headers)
    if settings.trusted_proxies:
        count = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=count, x_proto=count)  # type: ignore[method-assign]
