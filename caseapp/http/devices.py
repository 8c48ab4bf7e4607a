"""The cookie of a known device, which gives its own people's tries to sign in a budget of their own.

In the portal it is also what remembers a device, for a client who has chosen so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import request

from caseapp.core.clock import now
from caseapp.domain.auth.devices import read_device
from caseapp.http.interfaces import Interface

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from werkzeug.wrappers import Response as AnyResponse

    from caseapp.domain.auth.devices import Device

# Its name and content reveal nothing to somebody who finds it.
COOKIE = "__Host-device"
# In the portal it lasts as long as the browser is open, so that it isn't a trace on a shared phone, unless the client
# has chosen that the device be remembered.
MAX_AGE_SECONDS = {Interface.STAFF: 180 * 24 * 3600, Interface.PORTAL: None}
# The first that occurs in what a browser says of itself; an iPhone's also names a Mac, an Android's also Linux.
KINDS_BY_WORD = {
    "iPhone": "iphone",
    "iPad": "ipad",
    "Android": "android",
    "Windows": "windows",
    "Macintosh": "mac",
    "Linux": "linux",
}


def sent_device() -> Device:
    """Return the device that the request came from, as its cookie says."""
    return read_device(request.cookies.get(COOKIE, ""))


def find_device_kind(user_agent: str) -> str | None:
    """Return the code of DEVICE_KINDS for what a browser says of itself; None for anything else."""
    return next((kind for word, kind in KINDS_BY_WORD.items() if word in user_agent), None)


def remember_device(
    response: AnyResponse, interface: Interface, person_id: UUID, until: datetime | None = None
) -> AnyResponse:
    """Let this browser know somebody who has just signed in there; `until` when its cookie lasts, if not as usual."""
    return set_device_cookie(response, interface, sent_device().remembering(person_id.hex), until)


def set_device_cookie(
    response: AnyResponse, interface: Interface, device: Device, until: datetime | None = None
) -> AnyResponse:
    """Set the cookie of a device; `until` when it lasts, if not as usual for the interface."""
    usual = MAX_AGE_SECONDS[interface]
    response.set_cookie(
        COOKIE,
        device.as_cookie(),
        max_age=usual if until is None else until - now(),
        secure=True,
        httponly=True,
        samesite="Lax",
        path="/",
    )
    return response
