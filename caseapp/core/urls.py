"""The few addresses that stand outside a page: in mail, on printed cards. Each is tested against the app's routes."""

from __future__ import annotations

from caseapp.core import settings


def portal() -> str:
    """Give the address of the portal."""
    return f"{settings.active().base_url}/portal"


def portal_link(token: str) -> str:
    """Give the one-time address that a client gets by mail."""
    return f"{settings.active().base_url}/portal/enter/{token}"
