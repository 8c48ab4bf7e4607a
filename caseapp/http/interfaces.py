"""The interfaces that speak HTTP, told apart by the path, and by the host where the portal has one of its own."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flask import abort, current_app, redirect, request
from werkzeug.exceptions import HTTPException

from caseapp.core import settings

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue


class Interface(Enum):
    """Staff pages, the clients' portal, its quick exit, the staff API, or what belongs to none of them."""

    STAFF = "web"
    PORTAL = "portal"
    EXIT = "exit"
    API = "api"
    NONE = "none"


INTERFACE = "caseapp.interface"
"""Where the environment of a request holds the interface that answers it."""
ON_STAFF_HOST = frozenset({Interface.STAFF, Interface.API, Interface.NONE})
ON_PORTAL_HOST = frozenset({Interface.PORTAL, Interface.EXIT, Interface.NONE})


def current_interface() -> Interface:
    """Return the interface that answers the current request.

    Where the portal has a host of its own, it answers every path there, and the staff pages every path on theirs: what
    belongs to the other one doesn't exist. A host that is neither of them answers nothing but files and health. It is
    found once for each request.
    """
    found: Interface | None = request.environ.get(INTERFACE)
    if found is None:
        found = request.environ[INTERFACE] = _find_interface()
    return found


def _find_interface() -> Interface:
    found = interface_of(request.path)
    portal_host = settings.active().portal_host
    if portal_host is None:
        return found
    host = request.host.lower()
    if host == portal_host:
        return found if found in ON_PORTAL_HOST else Interface.PORTAL
    if host == settings.active().staff_host:
        return found if found in ON_STAFF_HOST else Interface.STAFF
    return Interface.NONE


def reject_other_host() -> ResponseReturnValue | None:
    """Answer 404 for a path that this host doesn't have; the portal's host alone leads to the reading list."""
    here = current_interface()
    if here is Interface.PORTAL and request.path == "/":
        return redirect("/portal", code=303)
    if here is not interface_of(request.path):
        abort(404)
    return None


def find_page(address: str, interface: Interface) -> str | None:
    """Return an address of a page of ours to go on to, or None when it is none, or one of another interface."""
    path = urlsplit(address).path
    if not path.startswith("/") or path.startswith("//") or "\\" in address:
        return None
    if interface_of(path) is not interface or urlsplit(address)[:2] != ("", ""):
        return None
    return address if find_endpoint(path, "GET") else None


def find_endpoint(path: str, method: str) -> str | None:
    """Return the name of the view that answers a method at a path, or None."""
    try:
        endpoint: str = current_app.url_map.bind("").match(path, method=method)[0]
    except HTTPException:
        return None
    return endpoint


def interface_of(path: str) -> Interface:
    """Return the interface that a path belongs to."""
    if path == "/api" or path.startswith("/api/"):
        return Interface.API
    if path == "/exit":
        return Interface.EXIT
    if path == "/portal" or path.startswith("/portal/"):
        return Interface.PORTAL
    if path.startswith(("/assets/", "/fonts/")) or path in {"/livez", "/readyz", "/robots.txt"}:
        return Interface.NONE
    return Interface.STAFF
