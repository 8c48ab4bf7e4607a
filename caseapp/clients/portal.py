"""The way into the portal: a one-time link or a printed card, the first time a start code, then a PIN.

The start code is handed over in person or read aloud; mail alone therefore opens nothing. After five wrong tries only
the coach can let the client in again (NIST SP 800-63B: e-mail is no authenticator; decisions of the practice's design).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa

from caseapp.access import operations as access
from caseapp.access.actions import Action, Role
from caseapp.access.actor import Actor, require
from caseapp.access.models import Session
from caseapp.access.queries import live_session
from caseapp.access.secrets import (
    hash_secret,
    matches,
    new_code,
    new_reference,
    reference_hash,
    tidy_code,
)
from caseapp.audit.operations import record
from caseapp.clients.models import Client, PortalAccess
from caseapp.clients.operations import write_to
from caseapp.clients.queries import client_record
from caseapp.core import links, outbox
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import Invalid, NotFound, Reason, RuleBroken, Unauthenticated
from caseapp.core.transaction import transaction
from caseapp.core.vault import fingerprint

if TYPE_CHECKING:
    from datetime import datetime

LINK_LASTS = timedelta(minutes=15)
TRIES = 5
PIN_LENGTH = 6
MAIL_LINK = "portal.link"


@dataclass(frozen=True)
class ReaderSignedIn:
    """Say which client a cookie stands for, and whether the PIN has been passed."""

    actor: Actor
    seen_at: datetime
    passed_pin: bool


@dataclass(frozen=True)
class Invitation:
    """Hold what the coach hands over once: the start code, and a card code where no e-mail is safe."""

    start_code: str
    card_code: str | None
    mailed: bool


def invite(actor: Actor, client_id: UUID) -> Invitation:
    """Invite a client to the portal, or let them in again after too many wrong tries.

    Makes a new start code, forgets the old PIN, link and card, and ends the client's sessions. Where e-mail is safe a
    one-time link is mailed; else the coach prints a card. Raises NotFound.
    """
    require(actor, Action.PORTAL_INVITE)
    client = client_record(actor, client_id)
    by_mail = bool(client.email) and client.safe.allows("email")
    start, card = new_code(2), None if by_mail else new_code(4)
    row = db.session.get(PortalAccess, client_id)
    if row is None:
        row = PortalAccess(client_id=client_id, invited_at=now(), invited_by=actor.id)
        db.session.add(row)
    row.invited_at, row.invited_by = now(), actor.id
    row.start_code_hash = hash_secret(tidy_code(start))
    row.card_hash = reference_hash(tidy_code(card)) if card else None
    row.pin_hash = row.link_hash = row.link_until = None
    row.wrong_tries = 0
    db.session.flush()
    access.end_all_sessions(client_id)
    if by_mail:
        outbox.put(MAIL_LINK, {"client": client_id.hex})
    record(
        actor,
        Action.PORTAL_INVITE,
        "client",
        client_id,
        client_id=client_id,
        details={"way": "mail" if by_mail else "card"},
    )
    return Invitation(start, card, by_mail)


def access_of(client_id: UUID) -> PortalAccess | None:
    """Show how far a client's way into the portal has come, to those who have already been let in."""
    return db.session.get(PortalAccess, client_id)


def ask_for_link(email: str, address: str) -> None:
    """Send a fresh link to a client's address; nothing is said about whether there is such a client.

    Raises TooManyAttempts.
    """
    email = email.strip().lower()
    access.count_attempt(access.sign_in_limits(f"link:{email}", address))
    with transaction():
        found = db.session.scalars(
            sa.select(PortalAccess.client_id)
            .join(Client, Client.id == PortalAccess.client_id)
            .where(Client.email_hash == fingerprint("email", email))
        ).all()
        for client_id in found:
            outbox.put(MAIL_LINK, {"client": client_id.hex})


def mail_link(_row_id: UUID, payload: dict[str, Any]) -> None:
    """Make a one-time link and mail it; the newest link is the only one that works.

    This is the outbox's handler: whether e-mail is safe is asked now, not when the mail was ordered.
    """
    client_id = UUID(hex=payload["client"])
    token = new_reference()
    with transaction():
        row = db.session.get(PortalAccess, client_id)
        if row is None:
            return
        row.link_hash = reference_hash(token)
        row.link_until = now() + LINK_LASTS
    write_to(
        client_id,
        "reading-link",
        {"link": links.portal_link(token), "minutes": LINK_LASTS.seconds // 60},
    )


def redeem(secret: str, address: str) -> str:
    """Redeem a one-time link or a card code and begin a session that still waits for the PIN.

    A link works once; a card works until the coach makes a new one. Raises Unauthenticated or TooManyAttempts.
    """
    limits = access.sign_in_limits(f"card:{address}", address)
    access.count_attempt(limits)
    used = reference_hash(secret)
    with transaction() as session:
        client_id = session.execute(
            sa.update(PortalAccess)
            .where(PortalAccess.link_hash == used, PortalAccess.link_until > now())
            .values(link_hash=None, link_until=None)
            .returning(PortalAccess.client_id)
        ).scalar()
        if client_id is None:
            client_id = session.scalar(
                sa.select(PortalAccess.client_id).where(
                    PortalAccess.card_hash == reference_hash(tidy_code(secret))
                )
            )
        if client_id is None:
            raise Unauthenticated("This link or code does not work any more. Ask for a new one.")
        access.forget_attempts(limits)
        return access.begin_session("client", client_id, passed_pin=False)


def client_signed_in(reference: str) -> ReaderSignedIn | None:
    """Find the client behind a portal cookie, in one statement."""
    row = db.session.execute(
        sa.select(Session.id, Session.seen_at, Session.passed_pin, Client.id, Client.called)
        .join(Client, Client.id == Session.subject_id)
        .where(live_session("client", reference, now()))
    ).first()
    if row is None:
        return None
    session_id, seen_at, passed, client_id, called = row
    return ReaderSignedIn(
        Actor(client_id, Role.CLIENT, called, "portal", session_id), seen_at, passed
    )


def first_time(client_id: UUID) -> bool:
    """Tell whether the client has yet to use the start code and choose a PIN."""
    row = db.session.get(PortalAccess, client_id)
    return row is not None and row.pin_hash is None


def choose_pin(actor: Actor, start_code: str, pin: str) -> None:
    """Check the start code and keep the PIN that the client chose; the session is then whole.

    Raises Invalid for a PIN that is not six digits or too easy, and what `_try` raises.
    """
    require(actor, Action.PORTAL_PIN)
    if len(pin) != PIN_LENGTH or not pin.isascii() or not pin.isdigit():
        raise Invalid({"pin": ["Choose six digits."]})
    if len(set(pin)) < 3 or pin in "01234567890" or pin in "09876543210":  # noqa: PLR2004
        raise Invalid({"pin": ["Choose digits that are harder to guess."]})
    row = _try(actor, tidy_code(start_code), "start_code_hash", "start_code")
    with transaction():
        db.session.execute(
            sa.update(PortalAccess)
            .where(PortalAccess.client_id == row)
            .values(
                pin_hash=hash_secret(pin),
                start_code_hash=None,
                wrong_tries=0,
                first_entered_at=sa.func.coalesce(PortalAccess.first_entered_at, now()),
            )
        )
        _pass(actor)


def enter_pin(actor: Actor, pin: str) -> None:
    """Check the PIN and make the session whole.

    Raises Invalid for a wrong PIN and RuleBroken once the tries are used up.
    """
    require(actor, Action.PORTAL_PIN)
    row = _try(actor, pin, "pin_hash", "pin")
    with transaction():
        db.session.execute(
            sa.update(PortalAccess).where(PortalAccess.client_id == row).values(wrong_tries=0)
        )
        _pass(actor)


def _try(actor: Actor, secret: str, column: str, field: str) -> UUID:
    """Count a try first, then check it, so that tries sent together cannot slip through."""
    with transaction() as session:
        counted = session.execute(
            sa.update(PortalAccess)
            .where(PortalAccess.client_id == actor.id, PortalAccess.wrong_tries < TRIES)
            .values(wrong_tries=PortalAccess.wrong_tries + 1)
            .returning(PortalAccess.wrong_tries, getattr(PortalAccess, column))
        ).first()
    if counted is None:
        raise RuleBroken(
            Reason(
                "locked",
                "There were too many tries, so this is closed for now.",
                "Your coach can open it again. If you are in danger, ring the emergency number.",
            )
        )
    tries, stored = counted
    if not matches(stored, secret):
        left = TRIES - tries
        words = "One try is left." if left == 1 else f"{left} tries are left."
        raise Invalid(
            {field: [f"That does not fit. {words if left else 'That was the last try.'}"]}
        )
    return actor.id


def _pass(actor: Actor) -> None:
    if actor.session_id is None:
        raise NotFound
    db.session.execute(
        sa.update(Session).where(Session.id == actor.session_id).values(passed_pin=True)
    )
    record(actor, Action.SIGN_IN, "client", actor.id, client_id=actor.id)


def leave(actor: Actor) -> None:
    """End the client's session at once."""
    if actor.session_id:
        access.end_session(actor.session_id)
        record(actor, Action.SESSION_END, "client", actor.id, client_id=actor.id)
