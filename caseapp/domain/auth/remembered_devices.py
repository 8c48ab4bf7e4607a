"""Remembered devices: a client comes back with their PIN alone where they have let us remember a phone or computer.

The device's random name, which only its cookie holds, stands for a link or card. The PIN is asked for and counted as at
every sign-in, and only the PIN opens what the client wrote. A device is forgotten after DEVICE_LIFETIME, by the client
or somebody on the staff, and by whatever takes the ways in away: new codes, another PIN, and a portal that isn't safe
any more. What is recorded about a client's safety changes nothing about it, as it changes nothing about a card.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import Unauthenticated, refuse_for
from caseapp.core.i18n import lazy_gettext
from caseapp.core.permissions import Action, Role
from caseapp.core.sessions import begin_session, end_all_sessions, is_session_open
from caseapp.core.tokens import hash_token
from caseapp.domain.audit.operations import record
from caseapp.domain.audit.security_events import count_event
from caseapp.domain.auth.devices import NO_DEVICE
from caseapp.domain.auth.portal_access import check_pin_of, open_with_pin
from caseapp.domain.auth.queries import CLIENT_LANGUAGE
from caseapp.domain.auth.rules import (
    DEVICE_LIFETIME,
    MOST_DEVICES,
    list_remembering_blockers,
    may_enter,
)
from caseapp.domain.auth.throttling import count_attempt, entry_limits
from caseapp.domain.clients.models import Client, RememberedDevice
from caseapp.domain.clients.queries import take_client_lock, unseal_client
from caseapp.domain.clients.remembered_devices import forget_devices, list_devices
from caseapp.domain.keys.models import ClientKey
from caseapp.domain.keys.queries import open_client_key
from caseapp.domain.keys.writing import keep_in_session
from caseapp.domain.screening.current import get_safety_state

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from caseapp.domain.auth.devices import Device
    from caseapp.domain.auth.portal_access import CheckedPin
    from caseapp.domain.clients.queries import ClientRecord, LockedClient

NOT_OPENED = lazy_gettext("Your PIN alone no longer works here. Use a link or your card.")


@dataclass(frozen=True)
class KnownDevice:
    """A device that is remembered: its row, whose it is, their language, and until when."""

    id: UUID
    client_id: UUID
    language: str
    expires_at: datetime


def find_known_device(device: Device) -> KnownDevice | None:
    """Find what is remembered of the device of a request, in one statement; without a cookie in none."""
    if device == NO_DEVICE:
        return None
    row = db.session.execute(
        sa.select(
            RememberedDevice.id,
            RememberedDevice.client_id,
            CLIENT_LANGUAGE.label("language"),
            RememberedDevice.expires_at,
        )
        .join(Client, Client.id == RememberedDevice.client_id)
        .where(
            RememberedDevice.device_hash == hash_token(device.name),
            RememberedDevice.expires_at > now(),
        )
    ).first()
    return None if row is None else KnownDevice(*row)


@dataclass(frozen=True)
class LockedDevices:
    """A client's remembered devices, read under the client's lock, with the client and their active flags."""

    client: ClientRecord
    flags: frozenset[str]
    ids: tuple[UUID, ...]


def lock_devices(client_id: UUID) -> LockedDevices:
    """Lock a client and read their remembered devices, the newest first, and what decides whether they open anything.

    The caller has checked that it is the client, or somebody who has the client's device.
    """
    take_client_lock(client_id)
    row = db.session.execute(
        sa.select(Client, ClientKey.wrapped)
        .join(ClientKey, ClientKey.client_id == Client.id)
        .where(Client.id == client_id)
        .execution_options(populate_existing=True)
    ).one()
    return LockedDevices(
        unseal_client(row.Client, open_client_key(row.wrapped, client_id, "client", client_id)),
        get_safety_state(client_id).flags,
        tuple(found.id for found in list_devices(client_id)),
    )


def remember_own_device(
    actor: Actor, devices: LockedDevices, sent: Device, kind: str | None
) -> Device:
    """Remember the client's device for DEVICE_LIFETIME and return it, with the new name that its cookie is to hold.

    `sent` is the device by its cookie so far, whose row the new one replaces, and `kind` a code of DEVICE_KINDS. Of
    more than MOST_DEVICES the oldest is forgotten. The client's other sessions end when one was replaced or forgotten:
    one may be open there. Raises RuleBroken while the device would open nothing or is remembered for another client,
    and Unauthenticated when the session was ended in the meantime.
    """
    require(actor, Action.DEVICE_MANAGE)
    client_id = actor.id
    if not is_session_open(actor.session_id):
        raise Unauthenticated
    known = find_known_device(sent)
    refuse_for(
        list_remembering_blockers(
            devices.client,
            devices.flags,
            is_others=known is not None and known.client_id != client_id,
        )
    )
    replaced = [] if known is None else [known.id]
    others = [each for each in devices.ids if each not in replaced]
    gone = [*replaced, *others[MOST_DEVICES - 1 :]]
    forgotten = sum(forget_devices(client_id, each) for each in gone)
    if forgotten:
        end_all_sessions(client_id, but=actor.session_id)
    # Somebody may have copied or planted the cookie that the browser has so far.
    device, moment = NO_DEVICE.remembering(client_id.hex), now()
    db.session.add(
        RememberedDevice(
            client_id=client_id,
            device_hash=hash_token(device.name),
            kind=kind,
            created_at=moment,
            used_at=moment,
            expires_at=moment + DEVICE_LIFETIME,
        )
    )
    db.session.flush()
    details = {"remembered": 1, "forgotten": forgotten} if forgotten else {"remembered": 1}
    record(actor, Action.DEVICE_MANAGE, "client", client_id, client_id=client_id, details=details)
    return device


def lock_own_devices(actor: Actor) -> LockedDevices:
    """Lock the client who is signed in and read their remembered devices."""
    return lock_devices(actor.id)


@dataclass(frozen=True)
class CheckedDevice:
    """A remembered device on which the right PIN was entered; only `check_pin_on_device` makes one."""

    known: KnownDevice
    checked: CheckedPin


def check_pin_on_device(device: Device, pin: str, address: str) -> CheckedDevice:
    """Check the PIN that was entered on a device; count the attempt in a transaction of its own.

    Raises Unauthenticated for a device that isn't remembered, which counts as a wrong link does, Invalid for a wrong
    PIN, and TooManyAttempts while the next attempt has to wait.
    """
    known = find_known_device(device)
    if known is None:
        count_attempt(entry_limits(address))
        count_event("entry")
        raise Unauthenticated(NOT_OPENED)
    return CheckedDevice(known, check_pin_of(known.client_id, pin, device))


def enter_on_device(devices: LockedDevices, entered: CheckedDevice) -> str:
    """Begin a session with the client's writing key open and return its reference.

    Raises Unauthenticated when the device was forgotten or the PIN replaced in the meantime, or opens nothing now.
    """
    known = entered.known
    if known.id not in devices.ids or not may_enter("device", devices.client, devices.flags):
        raise Unauthenticated(NOT_OPENED)
    client_id = known.client_id
    writing = open_with_pin(client_id, entered.checked)
    db.session.execute(
        sa.update(RememberedDevice).where(RememberedDevice.id == known.id).values(used_at=now())
    )
    actor = Actor(client_id, Role.CLIENT, "", "portal")
    record(actor, Action.SIGN_IN, "client", client_id, client_id=client_id)
    reference = begin_session("client", client_id)
    keep_in_session(writing, client_id, reference)
    return reference


def forget_own_devices(actor: Actor, device_id: UUID | None) -> int:
    """Forget one of the client's own devices, or all, and return how many; the caller holds their lock.

    Their other sessions end: one may be open there. A device that is forgotten already stays so.
    """
    require(actor, Action.DEVICE_MANAGE)
    return _forget(actor, Action.DEVICE_MANAGE, actor.id, device_id)


def forget_devices_of(actor: Actor, client: LockedClient) -> int:
    """Forget all remembered devices of a client, end the client's sessions, and return how many devices those were."""
    require(actor, Action.DEVICE_FORGET)
    return _forget(actor, Action.DEVICE_FORGET, client.id, None)


def _forget(actor: Actor, action: Action, client_id: UUID, device_id: UUID | None) -> int:
    forgotten = forget_devices(client_id, device_id)
    if forgotten:
        end_all_sessions(client_id, but=actor.session_id)
        details = {"forgotten": forgotten}
        record(actor, action, "client", client_id, client_id=client_id, details=details)
    return forgotten
