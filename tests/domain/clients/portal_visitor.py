"""Helpers for portal sign-in without HTTP."""

from __future__ import annotations

import sqlalchemy as sa

from caseapp.core.actor import Actor
from caseapp.core.database import db
from caseapp.core.permissions import Role
from caseapp.core.sessions import Session
from caseapp.core.transaction import transaction
from caseapp.domain.audit.queries import AuditFilter, list_audit_events
from caseapp.domain.auth import portal_access, portal_codes, remembered_devices
from caseapp.domain.auth.devices import NO_DEVICE
from caseapp.domain.auth.models import PortalAccess
from caseapp.domain.auth.queries import find_client_session
from caseapp.domain.clients.operations import update_client
from caseapp.domain.clients.queries import get_client_record, lock_client
from caseapp.domain.clients.schemas import SafeContact
from tests.support import builders
from tests.support.portal_client import PIN

HOME = "192.0.2.7"


def come_in(secret, address=HOME):
    """Redeem a link or a card as the portal does; return the reference of the new session."""
    portal_access.check_entry(secret, address)
    with transaction():
        return portal_access.redeem_link_or_card(portal_access.lock_portal_access(secret))


def redeem(secret):
    """Redeem a link or card and return the actor of the new session."""
    return find_client_session(come_in(secret)).actor


def choose_pin(actor, start_code, pin=PIN, device=NO_DEVICE):
    """Choose the PIN as the portal does; return the reference of the new session."""
    checked = portal_access.check_start_code(actor, start_code, pin, device)
    with transaction():
        return portal_access.choose_pin(actor, checked)


def enter_pin(actor, pin=PIN, device=NO_DEVICE):
    """Enter the PIN as the portal does; return the reference of the new session."""
    checked = portal_access.check_pin(actor, pin, device)
    with transaction():
        return portal_access.enter_pin(actor, checked)


def sign_in(found, pin=PIN):
    """Sign in with the codes of an invitation up to the reading list; return the reference of the session."""
    reference = choose_pin(redeem(found.card_code), found.start_code, pin)
    with transaction():
        portal_access.complete_first_visit(find_client_session(reference).actor)
    return reference


def remember_device(reference, kind=None, sent=NO_DEVICE):
    """Have the device of a session, with the cookie that it sent, remembered as the portal does; return it."""
    actor = find_client_session(reference).actor
    with transaction():
        return remembered_devices.remember_own_device(
            actor, remembered_devices.lock_own_devices(actor), sent, kind
        )


def enter_on_device(device, pin=PIN, address=HOME):
    """Enter the PIN on a device as the portal does; return the reference of the new session."""
    entered = remembered_devices.check_pin_on_device(device, pin, address)
    with transaction():
        devices = remembered_devices.lock_devices(entered.known.client_id)
        return remembered_devices.enter_on_device(devices, entered)


def request_link(email, address=HOME, device=NO_DEVICE):
    """Request a link as the portal does."""
    portal_codes.count_link_request(email, address, device)
    with transaction():
        portal_codes.request_link(email)


def list_sessions(client_id):
    db.session.rollback()
    return db.session.scalars(sa.select(Session).where(Session.subject_id == client_id)).all()


def access_row(client_id):
    db.session.rollback()
    return db.session.get(PortalAccess, client_id, populate_existing=True)


def set_safe_channels(coach, client_id, *channels):
    """Set the safe channels of a client, as the coach does under Details."""
    found = get_client_record(coach, client_id)
    changed = builders.details(
        found.name,
        preferred_name=found.preferred_name,
        email=found.email,
        safe=SafeContact(channels),
    )
    with transaction():
        update_client(coach, lock_client(coach, client_id), changed, found.version)


def list_audit_events_of(client_id):
    admin = Actor(client_id, Role.ADMIN, "Ade", "web")
    db.session.rollback()
    return list_audit_events(admin, AuditFilter(client_id=client_id), None, 100).items
