"""What opens the portal for a client: start codes, printed cards and links by mail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core import outbox
from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import Invalid, refuse_for
from caseapp.core.ids import new_id
from caseapp.core.permissions import Action
from caseapp.core.sessions import (
    end_all_sessions,
)
from caseapp.core.tokens import generate_code, generate_token, hash_token, normalize_code
from caseapp.core.vault import SealBroken, seal_code
from caseapp.domain.audit.operations import record
from caseapp.domain.auth.credentials import hash_secret, stretch_pin
from caseapp.domain.auth.devices import NO_DEVICE
from caseapp.domain.auth.models import PortalAccess, PortalInvitation
from caseapp.domain.auth.queries import find_missing_card, list_link_recipients
from caseapp.domain.auth.rules import (
    LINK_LIFETIME,
    check_invitation,
    choose_way,
    list_card_blockers,
    needs_other_person,
)
from caseapp.domain.auth.sealing import read_pin, seal_hash
from caseapp.domain.auth.throttling import (
    count_attempt,
    device_link_limits,
    link_limits,
)
from caseapp.domain.clients.matches import email_hash
from caseapp.domain.clients.remembered_devices import forget_devices
from caseapp.domain.keys.writing import (
    close_writing_key,
)
from caseapp.domain.screening.current import get_safety_state

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.domain.auth.devices import Device
    from caseapp.domain.clients.queries import LockedClient


LINK_MAIL = "portal.link"


REASON = ("portal_invitation", "reason")


REASON_NEEDED = "Choose why the client needs new codes."


@dataclass(frozen=True)
class Invitation:
    """The codes for the coach to hand over, shown once: a start code, and a card code where no email is safe.

    With neither a card code nor a mailed link, somebody else has to make the card.
    """

    id: UUID
    start_code: str
    card_code: str | None
    mailed: bool


def invite_client(actor: Actor, client: LockedClient, reason: str | None = None) -> Invitation:
    """Invite a client to the portal, or give new codes to one who was invited before.

    `reason` is a code of NEW_CODE_REASONS, which a client needs who was invited before.

    Creates a new start code, forgets the old PIN, link, card and remembered devices, ends the client's sessions and
    closes their writing key: what they wrote and did not share opens only with the old PIN from then on. Where email is
    safe a one-time link is mailed; otherwise the coach prints a card, or for a client who has had a PIN, somebody else
    (`make_card`). A stored hash of the old PIN that was changed in the database keeps nobody from new codes; the log
    says so. Raises RuleBroken unless the portal is safe for this
    client and something may be sent to them, and Invalid without a reason where one is needed.
    """
    require(actor, Action.PORTAL_INVITE)
    client_id = client.id
    flags = get_safety_state(client_id).flags
    check_invitation(client, flags)
    way = choose_way(client.record, flags)
    by_mail = way == "link"
    row = db.session.get(PortalAccess, client_id)
    if row is None:
        reason = None
        row = PortalAccess(client_id=client_id, invited_at=now(), invited_by=actor.id)
        db.session.add(row)
    elif reason is None:
        raise Invalid({"reason": [REASON_NEEDED]})
    needs_card = needs_other_person(way, had_pin=row.had_pin)
    start, card = generate_code(2), None if by_mail or needs_card else generate_code(4)
    details = {"way": "mail" if by_mail else "card"}
    try:
        pin = read_pin(client_id, row.pin_hash) if row.pin_hash is not None else None
    except SealBroken:
        # Then what lies under the client's key still is closed to everybody.
        pin = stretch_pin(generate_token())
        details["pin"] = "damaged"
    close_writing_key(client_id, pin)
    row.invited_at, row.invited_by = now(), actor.id
    db.session.execute(
        sa.update(PortalInvitation)
        .where(PortalInvitation.client_id == client_id)
        .values(needs_card=False)
    )
    invitation = PortalInvitation(
        id=new_id(),
        client_id=client_id,
        created_at=row.invited_at,
        created_by=actor.id,
        way=way,
        needs_card=needs_card,
    )
    if reason is not None:
        invitation.reason = seal_code(*REASON, invitation.id, reason, client.key)
    if card is not None:
        invitation.card_at, invitation.card_by = row.invited_at, actor.id
    db.session.add(invitation)
    row.start_code_hash = seal_hash(
        client_id, "start_code_hash", hash_secret(normalize_code(start))
    )
    row.card_hash = hash_token(normalize_code(card)) if card else None
    row.pin_hash = row.link_hash = row.link_expires_at = None
    db.session.flush()
    end_all_sessions(client_id)
    forget_devices(client_id)
    if by_mail:
        outbox.enqueue(LINK_MAIL, {"client": client_id.hex})
    record(
        actor,
        Action.PORTAL_INVITE,
        "client",
        client_id,
        client_id=client_id,
        details=details,
    )
    return Invitation(invitation.id, start, card, by_mail)


def make_card(actor: Actor, client: LockedClient) -> str:
    """Make the card that goes with a client's start code and return its code, which is shown once.

    Only somebody else can who has not made the start code. Raises RuleBroken for whoever has, when no card is missing,
    and unless the portal is safe for this client and something may be sent to them.
    """
    require(actor, Action.PORTAL_INVITE)
    check_invitation(client, get_safety_state(client.id).flags)
    invitation = find_missing_card(client.id)
    start_code_by = None if invitation is None else invitation.created_by
    refuse_for(list_card_blockers(actor.id, start_code_by))
    assert invitation is not None  # noqa: S101 - the rule has refused the rest
    card = generate_code(4)
    invitation.needs_card = False
    invitation.card_at, invitation.card_by = now(), actor.id
    db.session.execute(
        sa.update(PortalAccess)
        .where(PortalAccess.client_id == client.id)
        .values(card_hash=hash_token(normalize_code(card)))
    )
    details = {"way": "card", "card_only": True}
    record(actor, Action.PORTAL_INVITE, "client", client.id, client_id=client.id, details=details)
    return card


def count_link_request(email: str, address: str, device: Device = NO_DEVICE) -> None:
    """Count a request for a link, in a transaction of its own; unwanted mail could itself reveal a client.

    Raises TooManyAttempts.
    """
    found = email_hash(email)
    invited = list_link_recipients({"email": found})
    is_known = any(device.knows(client_id.hex) for client_id in invited)
    count_attempt(device_link_limits(device) if is_known else link_limits(found, address))


def request_link(email: str) -> None:
    """Request a link for this email address, without revealing whether a client has it.

    A known and an unknown address cause the same work here: one outbox row, whose handler looks up the address.
    """
    until = now() + LINK_LIFETIME
    outbox.enqueue(LINK_MAIL, {"email": email_hash(email), "until": until.isoformat()})


def create_link(client_id: UUID) -> str:
    """Create a one-time link for an invited client and return its token; only the newest link works."""
    token = generate_token()
    db.session.execute(
        sa.update(PortalAccess)
        .where(PortalAccess.client_id == client_id)
        .values(link_hash=hash_token(token), link_expires_at=now() + LINK_LIFETIME)
    )
    return token
