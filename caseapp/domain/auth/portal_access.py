"""Portal sign-in: a one-time link or a printed card, on the first visit a start code, then a PIN.

The coach gives the client the start code in person, spoken or on paper, so email alone opens nothing (NIST SP 800-63B
does not accept email as an authenticator). After five wrong attempts only the coach can unlock the portal. Whether the
portal and email are safe for the client is checked each time, so unticking one takes effect at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa
import structlog

from caseapp.core import outbox, urls
from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import Invalid, NotFound, Reason, RuleBroken, Unauthenticated
from caseapp.core.permissions import Action, Role
from caseapp.core.sessions import (
    Session,
    begin_session,
    end_all_sessions,
    end_session,
    session_is_live,
    session_params,
)
from caseapp.core.tokens import generate_code, generate_token, hash_token, normalize_code
from caseapp.core.transaction import transaction
from caseapp.core.vault import fingerprint, unwrap
from caseapp.domain.audit.operations import record
from caseapp.domain.auth.credentials import hash_secret, verify_secret
from caseapp.domain.auth.models import PortalAccess
from caseapp.domain.auth.throttling import Limit, clear_attempts, count_attempt, sign_in_limits
from caseapp.domain.clients.models import Client, ClientKey
from caseapp.domain.clients.operations import send_client_mail
from caseapp.domain.clients.queries import get_client_record, unseal_client

if TYPE_CHECKING:
    from collections.abc import Sequence

    from caseapp.domain.clients.schemas import SafeContact

log = structlog.get_logger()

LINK_LIFETIME = timedelta(minutes=15)
MAX_PIN_ATTEMPTS = 5
PIN_LENGTH = 6
LINK_MAIL = "portal.link"


class SignInStep(StrEnum):
    """The next step of a client who is signing in."""

    CHOOSE_PIN = "choose_pin"
    ENTER_PIN = "enter_pin"
    LOCKED = "locked"
    FIRST_VISIT = "first_visit"


@dataclass(frozen=True)
class Invitation:
    """The codes for the coach to hand over, shown once: a start code, and a card code where no email is safe."""

    start_code: str
    card_code: str | None
    mailed: bool


def invite_client(actor: Actor, client_id: UUID) -> Invitation:
    """Invite a client to the portal, or unlock it after too many wrong attempts.

    Creates a new start code, forgets the old PIN, link and card, and ends the client's sessions. Where email is safe a
    one-time link is mailed; otherwise the coach prints a card. Raises NotFound, and RuleBroken unless the portal is
    safe for this client.
    """
    require(actor, Action.PORTAL_INVITE)
    client = get_client_record(actor, client_id)
    if not client.safe.allows("portal"):
        raise RuleBroken(
            Reason(
                "portal_not_safe",
                "The portal is not recorded as safe for this client.",
                "Ask in private who else uses their phone. If it is safe, tick Portal under Details.",
            )
        )
    by_mail = bool(client.email) and client.safe.allows("email")
    start, card = generate_code(2), None if by_mail else generate_code(4)
    row = db.session.get(PortalAccess, client_id)
    if row is None:
        row = PortalAccess(client_id=client_id, invited_at=now(), invited_by=actor.id)
        db.session.add(row)
    row.invited_at, row.invited_by = now(), actor.id
    row.start_code_hash = hash_secret(normalize_code(start))
    row.card_hash = hash_token(normalize_code(card)) if card else None
    row.pin_hash = row.link_hash = row.link_expires_at = None
    row.failed_pin_attempts = 0
    db.session.flush()
    end_all_sessions(client_id)
    if by_mail:
        outbox.enqueue(LINK_MAIL, {"client": client_id.hex})
    record(
        actor,
        Action.PORTAL_INVITE,
        "client",
        client_id,
        client_id=client_id,
        details={"way": "mail" if by_mail else "card"},
    )
    return Invitation(start, card, by_mail)


def find_portal_access(client_id: UUID) -> PortalAccess | None:
    """Return a client's portal access, or None; the caller must have checked that the actor may see the client."""
    return db.session.get(PortalAccess, client_id)


def request_link(email: str, address: str) -> None:
    """Request a link for this email address, without revealing whether a client has it.

    A known and an unknown address cause the same work here: one outbox row, whose handler looks up the address.
    Raises TooManyAttempts.
    """
    email = email.strip().lower()
    count_attempt(_link_limits(email, address))
    with transaction():
        outbox.enqueue(
            LINK_MAIL,
            {"email": fingerprint("email", email), "until": (now() + LINK_LIFETIME).isoformat()},
        )


def _link_limits(email: str, address: str) -> list[Limit]:
    """Return the rate limits for link requests; unwanted mail could itself reveal a client."""
    quarter, hour = timedelta(minutes=15), timedelta(hours=1)
    return [
        Limit(fingerprint("link-pair", f"{email}\n{address}"), 4, quarter),
        Limit(fingerprint("link-address", address), 20, quarter),
        Limit(fingerprint("link-email", email), 12, hour),
        Limit(fingerprint("link-all", ""), 2000, quarter),
    ]


def mail_link(_row_id: UUID, payload: dict[str, Any]) -> None:
    """Create a one-time link and mail it; only the newest link works.

    This is an outbox handler: it checks whether email is safe when sending, not when the mail was requested. A link
    that a client requested and that could not be sent in time is dropped: hours later, someone else may read the mail.
    """
    if "until" in payload and now() > datetime.fromisoformat(payload["until"]):
        return
    for client_id in _list_recipients(payload):
        token = generate_token()
        with transaction() as session:
            session.execute(
                sa.update(PortalAccess)
                .where(PortalAccess.client_id == client_id)
                .values(link_hash=hash_token(token), link_expires_at=now() + LINK_LIFETIME)
            )
        send_client_mail(
            client_id,
            "reading-link",
            {"link": urls.portal_link_url(token), "minutes": LINK_LIFETIME.seconds // 60},
        )


def _list_recipients(payload: dict[str, Any]) -> Sequence[UUID]:
    invited = sa.select(PortalAccess.client_id).join(Client, Client.id == PortalAccess.client_id)
    if "client" in payload:
        return db.session.scalars(invited.where(Client.id == UUID(hex=payload["client"]))).all()
    return db.session.scalars(invited.where(Client.email_hash == payload["email"])).all()


def redeem_link_or_card(secret: str, address: str) -> str:
    """Redeem a one-time link or a card code and start a session that still needs the PIN.

    A link works once; a card works until the coach creates a new one. Neither works while the portal, or email for a
    link, is not safe for the client. Raises Unauthenticated or TooManyAttempts.
    """
    limits = sign_in_limits(f"card:{address}", address)
    count_attempt(limits)
    secret_hash = hash_token(secret)
    with transaction() as session:
        client_id = session.execute(
            sa.update(PortalAccess)
            .where(PortalAccess.link_hash == secret_hash, PortalAccess.link_expires_at > now())
            .values(link_hash=None, link_expires_at=None)
            .returning(PortalAccess.client_id)
        ).scalar()
        channels: tuple[str, ...] = ("portal", "email")
        if client_id is None:
            client_id = session.scalar(
                sa.select(PortalAccess.client_id).where(
                    PortalAccess.card_hash == hash_token(normalize_code(secret))
                )
            )
            channels = ("portal",)
        if client_id is None or not all(map(_get_safe_contact(client_id).allows, channels)):
            raise Unauthenticated("This link or code no longer works. Ask for a new one.")
        clear_attempts(limits)
        return begin_session("client", client_id, pin_verified=False)


def _get_safe_contact(client_id: UUID) -> SafeContact:
    row = db.session.execute(
        sa.select(Client, ClientKey.wrapped)
        .join(ClientKey, ClientKey.client_id == Client.id)
        .where(Client.id == client_id)
    ).first()
    if row is None:
        raise NotFound
    return unseal_client(row.Client, unwrap(client_id, row.wrapped)).safe


def get_sign_in_step(actor: Actor) -> SignInStep:
    """Return the next sign-in step.

    Raises NotFound without a session.
    """
    require(actor, Action.PORTAL_PIN)
    row = db.session.execute(
        sa.select(Session.pin_verified, PortalAccess.pin_hash, PortalAccess.failed_pin_attempts)
        .join(PortalAccess, PortalAccess.client_id == Session.subject_id)
        .where(Session.id == actor.session_id)
    ).first()
    if row is None:
        raise NotFound
    if row.pin_verified:
        return SignInStep.FIRST_VISIT
    if row.failed_pin_attempts >= MAX_PIN_ATTEMPTS:
        return SignInStep.LOCKED
    return SignInStep.ENTER_PIN if row.pin_hash else SignInStep.CHOOSE_PIN


def find_pin_error(pin: str) -> str | None:
    """Return what is wrong with a new PIN, or None."""
    if len(pin) != PIN_LENGTH or not pin.isascii() or not pin.isdigit():
        return "Choose six digits."
    if len(set(pin)) < 3 or pin in "01234567890" or pin in "09876543210":  # noqa: PLR2004
        return "Choose digits that are harder to guess."
    return None


def choose_pin(actor: Actor, start_code: str, pin: str) -> str:
    """Check the single-use start code and store the client's PIN.

    Returns the reference of the session that replaces the old one. Raises Invalid for a PIN that isn't six digits or is
    too easy to guess and for a wrong start code, RuleBroken once the attempts are used up.
    """
    require(actor, Action.PORTAL_PIN)
    if error := find_pin_error(pin):
        raise Invalid({"pin": [error]})
    stored = _check_secret(actor, normalize_code(start_code), "start_code_hash", "start_code")
    with transaction() as session:
        updated = session.execute(
            sa.update(PortalAccess)
            .where(
                PortalAccess.client_id == actor.id,
                # Of two concurrent requests with the same code, the second finds it used.
                PortalAccess.start_code_hash == stored,
            )
            .values(pin_hash=hash_secret(pin), start_code_hash=None, failed_pin_attempts=0)
            .returning(PortalAccess.client_id)
        ).scalar()
        if updated is None:
            raise Invalid({"start_code": ["This code has been used."]})
        return _replace_session(actor)


def enter_pin(actor: Actor, pin: str) -> str:
    """Check the PIN; return the reference of the session that replaces the old one.

    Raises Invalid for a wrong PIN and RuleBroken once the attempts are used up.
    """
    require(actor, Action.PORTAL_PIN)
    _check_secret(actor, pin, "pin_hash", "pin")
    with transaction() as session:
        session.execute(
            sa.update(PortalAccess)
            .where(PortalAccess.client_id == actor.id)
            .values(failed_pin_attempts=0)
        )
        return _replace_session(actor)


def complete_first_visit(actor: Actor) -> None:
    """Record that the client has read how to use the portal safely, and complete sign-in.

    Raises RuleBroken before the PIN was entered.
    """
    if get_sign_in_step(actor) is not SignInStep.FIRST_VISIT:
        raise RuleBroken(Reason("pin_needed", "Enter your PIN first."))
    db.session.execute(
        sa.update(PortalAccess)
        .where(PortalAccess.client_id == actor.id)
        .values(first_signed_in_at=sa.func.coalesce(PortalAccess.first_signed_in_at, now()))
    )


def _check_secret(actor: Actor, secret: str, column: str, field: str) -> str:
    """Check a secret and return its hash; count the attempt first, so that concurrent ones can't exceed the limit."""
    with transaction() as session:
        counted = session.execute(
            sa.update(PortalAccess)
            .where(
                PortalAccess.client_id == actor.id,
                PortalAccess.failed_pin_attempts < MAX_PIN_ATTEMPTS,
            )
            .values(failed_pin_attempts=PortalAccess.failed_pin_attempts + 1)
            .returning(PortalAccess.failed_pin_attempts, getattr(PortalAccess, column))
        ).first()
    if counted is None:
        raise RuleBroken(
            Reason(
                "locked",
                "There were too many wrong attempts, so this is locked for now.",
                "Only the person who gave you the start code can unlock it.",
            )
        )
    attempts, stored = counted
    if not verify_secret(stored, secret):
        left = MAX_PIN_ATTEMPTS - attempts
        remaining = "You have one attempt left." if left == 1 else f"You have {left} attempts left."
        raise Invalid(
            {field: [f"That isn’t right. {remaining if left else 'That was the last attempt.'}"]}
        )
    return str(stored)


def _replace_session(actor: Actor) -> str:
    """Replace the session by a new one, so that a reference known before sign-in opens nothing.

    Raises Unauthenticated when that session was ended in the meantime, as a new invitation does.
    """
    ended = db.session.execute(
        sa.update(Session)
        .where(Session.id == actor.session_id, Session.ended_at.is_(None))
        .values(ended_at=now())
        .returning(Session.id)
    ).scalar()
    if ended is None:
        raise Unauthenticated
    record(actor, Action.SIGN_IN, "client", actor.id, client_id=actor.id)
    return begin_session("client", actor.id)


def sign_out(actor: Actor) -> None:
    """End the client's session."""
    require(actor, Action.SESSION_END)
    if actor.session_id:
        end_session(actor.session_id)
        record(actor, Action.SESSION_END, "client", actor.id, client_id=actor.id)


def end_session_by_reference(reference: str) -> None:
    """End the session of a cookie at once, even when the audit event can't be recorded.

    The quick exit uses it. It runs its own transactions, so the session has ended before the audit event is tried.
    """
    with transaction() as session:
        ended = session.execute(
            sa.update(Session)
            .where(session_is_live())
            .values(ended_at=now())
            .returning(Session.id, Session.subject_id),
            session_params("client", reference),
        ).first()
    if ended is None:
        return
    actor = Actor(ended.subject_id, Role.CLIENT, "", "portal", ended.id)
    try:
        with transaction():
            record(actor, Action.SESSION_END, "client", actor.id, client_id=actor.id)
    except sa.exc.SQLAlchemyError as fault:
        log.warning("leave.unrecorded", fault=type(fault).__name__)
