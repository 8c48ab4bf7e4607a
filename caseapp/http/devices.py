"""The cookie of a known device, which gives its own people's tries to sign in a budget of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import request

from caseapp.domain.auth.devices import read_device
from caseapp.http.interfaces import Interface

if TYPE_CHECKING:
    from uuid import UUID

    from werkzeug.wrappers import Response as AnyResponse

    from caseapp.domain.auth.devices import Device

# Its name and content reveal nothing to somebody who finds it.
COOKIE = "__Host-device"
# In the portal it lasts as long as the browser is open, so that it isn't a trace on a shared phone.
MAX_AGE_SECONDS = {Interface.STAFF: 180 * 24 * 3600, Interface.PORTAL: None}


def sent_device() -> Device:
    """Return the device that the request came from, as its cookie says."""
    return read_device(request.cookies.get(COOKIE, ""))


def remember_device(response: AnyResponse, interface: Interface, person_id: UUID) -> AnyResponse:
    """Let this browser know somebody who has just signed in there."""
    response.set_cookie(
        COOKIE,
        sent_device().remembering(person_id.hex).as_cookie(),
        max_age=MAX_AGE_SECONDS[interface],
        secure=True,
        httponly=True,
        samesite="Lax",
        path="/",
    )
    return response
