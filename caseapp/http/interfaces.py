"""The doors that speak HTTP, told apart by the address."""

from __future__ import annotations

from enum import Enum

from flask import request


class Door(Enum):
    """Be one audience: staff pages, the clients' portal, the way out of it, the staff API, or what belongs to none."""

    STAFF = "web"
    PORTAL = "portal"
    EXIT = "exit"
    API = "api"
    OPEN = "open"


def door() -> Door:
    """Tell which door the present request came to."""
    path = request.path
    if path == "/api" or path.startswith("/api/"):
        return Door.API
    if path == "/exit":
        return Door.EXIT
    if path == "/portal" or path.startswith("/portal/"):
        return Door.PORTAL
    if path.startswith(("/static/", "/bootstrap/", "/fonts/")) or path in {"/livez", "/readyz"}:
        return Door.OPEN
    return Door.STAFF
