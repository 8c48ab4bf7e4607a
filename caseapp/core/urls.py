"""Addresses used outside a request: in mail and on printed cards. Each is tested against the routes."""

from __future__ import annotations

from caseapp.core import settings


def portal_url() -> str:
    """Return the address of the portal."""
    return f"{settings.active().portal_base}/portal"


def portal_link_url(token: str) -> str:
    """Return the one-time sign-in link that a client gets by mail."""
    return f"{settings.active().portal_base}/portal/enter/{token}"


def password_link_url(token: str) -> str:
    """Return the one-time link with which a member of staff chooses a password."""
    return f"{settings.active().base_url}/sign-in/password/{token}"


def alerts_url() -> str:
    """Return the address of a member of staff's alerts, for the email about one."""
    return f"{settings.active().base_url}/alerts"


def today_url() -> str:
    """Return the address of Today, for the email to somebody who is responsible for a client now."""
    return f"{settings.active().base_url}/today"


def board_url() -> str:
    """Return the address of the supervisor's board, for the weekly email about it."""
    return f"{settings.active().base_url}/board"
