"""Races of remembered devices in the portal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.domain.auth import remembered_devices as devices
from caseapp.domain.auth.devices import NO_DEVICE
from caseapp.domain.auth.queries import find_client_session
from caseapp.domain.clients.models import RememberedDevice
from caseapp.domain.clients.operations import update_client
from caseapp.domain.clients.queries import get_client_record, lock_client
from caseapp.domain.clients.schemas import SafeContact
from tests.domain.clients.portal_visitor import remember_device, sign_in
from tests.guarantees.races.race import Race, Team, count
from tests.support import builders
from tests.support.portal_client import PIN, invited

if TYPE_CHECKING:
    from collections.abc import Callable


def remembering(team: Team) -> Race:
    """Remember a device while it is being recorded that the portal isn't safe any more, which ends the session."""
    coach, found = team["coach"], invited(team["coach"])
    record = get_client_record(coach, found.client_id)
    unsafe = builders.details(record.name, safe=SafeContact(("call",)))
    session = find_client_session(sign_in(found))
    assert session is not None
    client = session.actor
    return Race(
        lambda: update_client(coach, lock_client(coach, found.client_id), unsafe, record.version),
        lambda: devices.remember_own_device(
            client, devices.lock_own_devices(client), NO_DEVICE, None
        ),
        "unauthenticated",
        lambda: count(RememberedDevice, RememberedDevice.client_id == client.id) == 0,
    )


def entering(team: Team) -> Race:
    """Enter the PIN on a device while somebody on the staff has it forgotten."""
    coach, found = team["coach"], invited(team["coach"])
    device = remember_device(sign_in(found))
    entered = devices.check_pin_on_device(device, PIN, "192.0.2.7")
    return Race(
        lambda: devices.forget_devices_of(coach, lock_client(coach, found.client_id)),
        lambda: devices.enter_on_device(devices.lock_devices(found.client_id), entered),
        "unauthenticated",
    )


def forgetting(team: Team) -> Race:
    """Have the devices of a client forgotten while the client has one remembered."""
    coach, found = team["coach"], invited(team["coach"])
    session = find_client_session(sign_in(found))
    assert session is not None
    client = session.actor
    return Race(
        lambda: devices.remember_own_device(
            client, devices.lock_own_devices(client), NO_DEVICE, None
        ),
        lambda: devices.forget_devices_of(coach, lock_client(coach, found.client_id)),
        holds=lambda: count(RememberedDevice, RememberedDevice.client_id == client.id) == 0,
    )


DEVICES: dict[str, Callable[[Team], Race]] = {
    "remember_own_device": remembering,
    "enter_on_device": entering,
    "forget_devices_of": forgetting,
}
