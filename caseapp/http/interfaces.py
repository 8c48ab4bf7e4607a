"""The interfaces that speak HTTP, told apart by the path."""

from __future__ import annotations

from enum import Enum
from urllib.parse import urlsplit

from flask import current_app, request
from werkzeug.exceptions import HTTPException


class Interface(Enum):
    """Staff pages, the clients' portal, its quick exit, the staff API, or what belongs to none of them."""

    STAFF = "web"
    PORTAL = "portal"
    EXIT = "exit"
    API = "api"
    NONE = "none"


def current_interface() -> Interface:
    """Return the interface of the current request."""
    return interface_of(request.path)


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
    if path.startswith(("/assets/", "/fonts/")) or path in {"/livez", "/readyz"}:
        return Interface.NONE
    return Interface.STAFF
