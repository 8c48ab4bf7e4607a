"""Remembered devices: the PIN alone opens the portal there, until whatever takes the ways in away."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.errors import Invalid, RuleBroken, TooManyAttempts, Unauthenticated
from caseapp.core.permissions import Role
from caseapp.core.transaction import transaction
from caseapp.domain.audit.models import SecurityEvent
from caseapp.domain.auth.own_pin import change_pin, check_pin_change
from caseapp.domain.auth.queries import find_client_session, get_own_access
from caseapp.domain.auth.remembered_devices import (
    find_known_device,
    forget_devices_of,
    forget_own_devices,
)
from caseapp.domain.auth.rules import DEVICE_LIFETIME, MOST_DEVICES
from caseapp.domain.clients.models import RememberedDevice
from caseapp.domain.clients.operations import confirm_contact
from caseapp.domain.clients.queries import get_client_record, lock_client
from caseapp.domain.clients.remembered_devices import delete_expired_devices, list_devices
from caseapp.domain.clients.schemas import PinChange
from caseapp.domain.screening.operations import set_manual_flag
from tests.domain.clients.portal_visitor import (
    enter_on_device,
    enter_pin,
    list_audit_events_of,
    list_sessions,
    redeem,
    remember_device,
    set_safe_channels,
    sign_in,
)
from tests.support.portal_client import PIN, invited, new_codes

pytestmark = [pytest.mark.both, pytest.mark.slow]

OTHER_PIN = "739182"


def client_of(reference):
    return find_client_session(reference).actor


def last_details(client_id):
    """Return what the log says of the last device that a client had remembered."""
    events = list_audit_events_of(client_id)
    return next(event.details for event in events if event.action == "device.manage")


def test_pin_alone_opens_the_portal_on_a_remembered_device(coach, app):
    found = invited(coach)
    first = sign_in(found)
    device = remember_device(first, "iphone")
    inside = client_of(enter_on_device(device))
    assert (inside.role, inside.id) == (Role.CLIENT, found.client_id)
    assert inside.writing == client_of(first).writing
    [row] = list_devices(found.client_id)
    stored = {str(getattr(row, column.key)) for column in sa.inspect(RememberedDevice).columns}
    assert device.name not in stored
    assert not get_own_access(inside).wrong_pins_since
    # Wrong PINs make this device wait, and nobody else.
    with at(now() + timedelta(minutes=1)):
        for _ in range(5):
            with pytest.raises(Invalid):
                enter_on_device(device, "000000")
        with pytest.raises(TooManyAttempts):
            enter_on_device(device)
        elsewhere = client_of(enter_pin(redeem(found.card_code)))
        assert elsewhere.role is Role.CLIENT
        assert get_own_access(elsewhere).wrong_pins_since
    actions = [event.action for event in list_audit_events_of(found.client_id)]
    assert actions.count("device.manage") == 1
    assert actions.count("sign_in") == 3


def test_other_devices_are_not_known_and_the_oldest_is_forgotten(coach, app):
    found = invited(coach)
    reference = sign_in(found)
    devices = [remember_device(reference) for _ in range(MOST_DEVICES)]
    open_there = enter_on_device(devices[0])
    devices.append(remember_device(reference))
    # As when the client forgets it: the session that may be open there has ended, and the log says so.
    assert find_client_session(open_there) is None
    assert find_client_session(reference)
    assert last_details(found.client_id) == {"remembered": 1, "forgotten": 1}
    assert len({device.name for device in devices}) == len(devices)
    assert [find_known_device(one) is not None for one in devices] == [False] + [
        True
    ] * MOST_DEVICES
    with pytest.raises(Unauthenticated):
        enter_on_device(devices[0])
    counted = sa.select(SecurityEvent.times).where(SecurityEvent.kind == "entry")
    assert db.session.scalars(counted).all() == [1]
    with at(now() + DEVICE_LIFETIME):
        with pytest.raises(Unauthenticated):
            enter_on_device(devices[-1])
        with transaction():
            delete_expired_devices()
    assert db.session.scalars(sa.select(RememberedDevice)).all() == []


def test_device_that_is_remembered_again_is_known_by_its_new_cookie_only(coach, app):
    found = invited(coach)
    reference = sign_in(found)
    others = [remember_device(reference) for _ in range(MOST_DEVICES - 1)]
    first = remember_device(reference)
    open_there = enter_on_device(first)
    second = remember_device(reference, sent=first)
    assert find_known_device(first) is None
    assert all(find_known_device(one) for one in (*others, second))
    assert find_client_session(open_there) is None
    assert find_client_session(reference)
    assert last_details(found.client_id) == {"remembered": 1, "forgotten": 1}


def test_device_that_another_client_has_remembered_stays_theirs(coach, app):
    device = remember_device(sign_in(invited(coach)))
    spouse = sign_in(invited(coach, "Paul Okafor"))
    with pytest.raises(RuleBroken) as refused:
        remember_device(spouse, sent=device)
    assert [reason.code for reason in refused.value.reasons] == ["device_not_remembered"]
    assert find_known_device(device)
    assert list_devices(client_of(spouse).id) == []


def flag_unsafe(coach, client_id):
    with transaction():
        set_manual_flag(coach, lock_client(coach, client_id), "unsafe_delivery")


def confirm(coach, client_id):
    version = get_client_record(coach, client_id).version
    with transaction():
        confirm_contact(coach, lock_client(coach, client_id), version)


def test_whatever_takes_the_ways_in_away_forgets_the_devices(coach, app):
    found = invited(coach)
    client_id = found.client_id
    reference = sign_in(found)

    def is_forgotten(device):
        return find_known_device(device) is None

    # The client forgets one of two, which also ends the session that may be open there.
    kept, lost = remember_device(reference), remember_device(reference)
    open_there = enter_on_device(lost)
    with transaction():
        assert forget_own_devices(client_of(reference), find_known_device(lost).id) == 1
    assert is_forgotten(lost)
    with pytest.raises(Unauthenticated):
        enter_on_device(lost)
    assert find_client_session(open_there) is None
    assert find_known_device(kept)
    # Somebody on the staff forgets all, and everybody is out.
    with transaction():
        assert forget_devices_of(coach, lock_client(coach, client_id)) == 1
    assert is_forgotten(kept)
    assert all(session.ended_at for session in list_sessions(client_id))
    # What makes sending unsafe changes nothing that can be seen in the portal or before it.
    reference = enter_pin(redeem(found.card_code))
    device = remember_device(reference)
    flag_unsafe(coach, client_id)
    assert find_client_session(enter_on_device(device))
    device = remember_device(reference)
    # The portal is no longer safe, and safe again.
    set_safe_channels(coach, client_id, "call")
    assert is_forgotten(device)
    set_safe_channels(coach, client_id, "call", "portal")
    confirm(coach, client_id)
    assert is_forgotten(device)
    # Another PIN.
    reference = enter_pin(redeem(found.card_code))
    device = remember_device(reference)
    change = check_pin_change(client_of(reference), PinChange(PIN, OTHER_PIN))
    with transaction():
        reference = change_pin(client_of(reference), change)
    assert is_forgotten(device)
    # New codes.
    device = remember_device(reference)
    new_codes(coach, client_id)
    assert is_forgotten(device)
    with at(now() + timedelta(hours=1)):
        actions = [event.action for event in list_audit_events_of(client_id)]
    assert actions.count("device.forget") == 1
    assert actions.count("device.manage") == 7
