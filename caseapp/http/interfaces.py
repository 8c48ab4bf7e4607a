"""The interfaces that speak HTTP, told apart by the path."""

from __future__ import annotations

from enum import Enum

from flask import request


class Interface(Enum):
    """Staff pages, the clients' portal, its quick exit, the staff API, or what belongs to none of them."""

    STAFF = "web"
    PORTAL = "portal"
    EXIT = "exit"
    API = "api"
    NONE = "none"


def current_interface() -> Interface:
    """Return the interface of the current request."""
    path = request.path
    if path == "/api" or path.startswith("/api/"):
        return Interface.API
    if path == "/exit":
        return Interface.EXIT
    if path == "/portal" or path.startswith("/portal/"):
        return Interface.PORTAL
    if path.startswith(("/assets/", "/fonts/")) or path in {"/livez", "/readyz"}:
        return Interface.NONE
    return Interface.STAFF
