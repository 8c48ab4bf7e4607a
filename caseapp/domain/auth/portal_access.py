"""Portal sign-in: a one-time link, a printed card or a remembered device, on the first visit a start code, then a PIN.

The coach gives the client the start code in person, spoken or on paper, so email alone opens nothing (NIST SP 800-63B
does not accept email as an authenticator). After five wrong attempts the next ones have to wait. Whether the portal and
email are safe for the client is checked each time, so unticking one takes effect at once, and so does a flag that makes
sending unsafe.

An attempt is counted in a transaction of its own (`count_…`, `check_…`), so that a wrong one counts too. What a right
one changes is part of the caller's transaction. Of links and cards only wrong ones count: they can't be guessed, so a
right one opens whatever strangers have tried.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import Invalid, RuleBroken, Unauthenticated
from caseapp.core.i18n import gettext, lazy_gettext
from caseapp.core.permissions import Action, Role
from caseapp.core.sessions import (
    Session,
    begin_session,
    end_session,
    session_is_live,
    session_params,
)
from caseapp.core.tokens import hash_token, normalize_code
from caseapp.core.vault import PrivateKey, SealBroken
from caseapp.domain.audit.operations import record
from caseapp.domain.audit.security_events import count_event
from caseapp.domain.auth.budgets import describe_failure
from caseapp.domain.auth.credentials import hash_secret, stretch_pin, verify_secret
from caseapp.domain.auth.devices import NO_DEVICE
from caseapp.domain.auth.models import PortalAccess
from caseapp.domain.auth.queries import get_sign_in_step
from caseapp.domain.auth.rules import (
    PIN_NEEDED,
    SignInStep,
    find_pin_error,
    is_start_code_over,
    may_enter,
)
from caseapp.domain.auth.sealing import is_hash_current, open_hash, seal_hash
from caseapp.domain.auth.throttling import (
    Limit,
    clear_attempts,
    count_attempt,
    entry_limits,
    pin_limits,
)
from caseapp.domain.clients.models import Client
from caseapp.domain.clients.queries import take_client_lock, unseal_client
from caseapp.domain.keys.models import ClientKey
from caseapp.domain.keys.queries import get_ring_key, open_client_key
from caseapp.domain.keys.writing import (
    StretchedPin,
    create_writing_key,
    find_pin_salt,
    keep_in_session,
    open_writing_key,
)
from caseapp.domain.screening.current import get_safety_state

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.domain.auth.devices import Device
    from caseapp.domain.clients.queries import ClientRecord

BATCH_SIZE = 500
CODE_OVER = lazy_gettext("This start code is too old. Ask for a new one.")
NOT_OPENED = lazy_gettext("This link or code no longer works. Ask for a new one.")


@dataclass(frozen=True)
class LockedPortalAccess:
    """The portal access that a link or a card opens, read under the client's lock, with the client and active flags."""

    row: PortalAccess
    way: str
    client: ClientRecord
    flags: frozenset[str]


def check_entry(secret: str, address: str) -> None:
    """Check that somebody has this link or card; count a wrong one in a transaction of its own.

    Raises Unauthenticated, or TooManyAttempts for a wrong one while the limit makes wrong ones wait.
    """
    is_link, is_card = _entries(secret)
    if _find_entry(is_link, is_card) is None:
        count_attempt(entry_limits(address))
        count_event("entry")
        raise Unauthenticated(NOT_OPENED)


def _entries(secret: str) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
    """Build the conditions for the access whose link, or whose card, this is."""
    is_link = sa.and_(
        PortalAccess.link_hash == hash_token(secret), PortalAccess.link_expires_at > now()
    )
    return is_link, PortalAccess.card_hash == hash_token(normalize_code(secret))


def _find_entry(is_link: sa.ColumnElement[bool], is_card: sa.ColumnElement[bool]) -> UUID | None:
    return db.session.scalar(sa.select(PortalAccess.client_id).where(sa.or_(is_link, is_card)))


def lock_portal_access(secret: str) -> LockedPortalAccess:
    """Lock the client whom a one-time link or a card code belongs to, and read what decides whether it opens anything.

    Raises Unauthenticated when nobody has this link or card.
    """
    is_link, is_card = _entries(secret)
    client_id = _find_entry(is_link, is_card)
    if client_id is None:
        raise Unauthenticated(NOT_OPENED)
    take_client_lock(client_id)
    found = db.session.execute(
        sa.select(PortalAccess, Client, ClientKey.wrapped, is_link.label("by_link"))
        .join(Client, Client.id == PortalAccess.client_id)
        .join(ClientKey, ClientKey.client_id == PortalAccess.client_id)
        .where(PortalAccess.client_id == client_id, sa.or_(is_link, is_card))
    ).first()
    if found is None:
        raise Unauthenticated(NOT_OPENED)
    client = unseal_client(
        found.Client, open_client_key(found.wrapped, client_id, "client", client_id)
    )
    return LockedPortalAccess(
        found.PortalAccess,
        "link" if found.by_link else "card",
        client,
        get_safety_state(client_id).flags,
    )


def redeem_link_or_card(access: LockedPortalAccess) -> str:
    """Redeem a one-time link or a card code and start a session that still needs the PIN; return its reference.

    A link works once; a card works until the coach creates a new one. Neither works while the portal is not safe for
    the client, and a link not while email is not or nothing may be sent. Raises Unauthenticated.
    """
    if not may_enter(access.way, access.client, access.flags):
        raise Unauthenticated(NOT_OPENED)
    if access.way == "link":
        access.row.link_hash = access.row.link_expires_at = None
        db.session.flush()
    return begin_session("client", access.row.client_id, pin_verified=False)


@dataclass(frozen=True)
class CheckedStartCode:
    """A right start code and the PIN that was chosen with it; only `check_start_code` makes one."""

    right: RightSecret
    pin_hash: str
    pin: StretchedPin


@dataclass(frozen=True)
class CheckedPin:
    """A PIN that was entered correctly; only `check_pin_of` makes one."""

    right: RightSecret
    pin: StretchedPin


@dataclass(frozen=True)
class RightSecret:
    """The stored hash that a secret matched, and the limits that its try counted against."""

    stored: str
    limits: list[Limit]


def check_start_code(
    actor: Actor,
    start_code: str,
    pin: str,
    device: Device = NO_DEVICE,
) -> CheckedStartCode:
    """Check the single-use start code and the new PIN; count the attempt in a transaction of its own.

    Raises Invalid for a PIN that isn't six digits or is too easy to guess, which costs no attempt, and for a start code
    that is wrong or too old, TooManyAttempts while the next one has to wait.
    """
    require(actor, Action.PORTAL_PIN)
    if error := find_pin_error(pin):
        raise Invalid({"pin": [error]})
    right = check_secret(actor.id, normalize_code(start_code), "start_code", device)
    return CheckedStartCode(right, hash_secret(pin), stretch_pin(pin))


def check_pin(actor: Actor, pin: str, device: Device = NO_DEVICE) -> CheckedPin:
    """Check the PIN; count the attempt in a transaction of its own.

    Raises Invalid for a wrong PIN and TooManyAttempts while the next one has to wait.
    """
    require(actor, Action.PORTAL_PIN)
    return check_pin_of(actor.id, pin, device)


def check_pin_of(client_id: UUID, pin: str, device: Device) -> CheckedPin:
    """Check the PIN of a client; count the attempt in a transaction of its own.

    Raises Invalid for a wrong PIN and TooManyAttempts while the next one has to wait.
    """
    right = check_secret(client_id, pin, "pin", device)
    return CheckedPin(right, stretch_pin(pin, find_pin_salt(client_id)))


def choose_pin(actor: Actor, checked: CheckedStartCode) -> str:
    """Store the client's PIN and create their writing key; return the reference of the session that follows.

    Raises Invalid when the start code has been used in the meantime.
    """
    finish_attempt(
        actor.id,
        checked.right,
        # Of two concurrent requests with the same code, the second finds it used.
        PortalAccess.start_code_hash == checked.right.stored,
        Invalid({"start_code": [gettext("This code has been used.")]}),
        pin_hash=seal_hash(actor.id, "pin_hash", checked.pin_hash),
        pin_chosen_at=now(),
        start_code_hash=None,
    )
    return _replace_session(actor, create_writing_key(actor.id, checked.pin))


def enter_pin(actor: Actor, checked: CheckedPin) -> str:
    """Forget the wrong attempts and open the client's writing key; return the reference of the session that follows.

    Raises Unauthenticated when the PIN or the session is no longer valid, as after a new invitation.
    """
    return _replace_session(actor, open_with_pin(actor.id, checked))


def open_with_pin(client_id: UUID, checked: CheckedPin) -> PrivateKey:
    """Forget a client's wrong attempts and open their writing key.

    A client who has not signed in since there are writing keys gets one, and a hash that isn't sealed under the key in
    use is sealed anew. Raises Unauthenticated when the PIN is no longer valid.
    """
    right = checked.right
    sealed = _seal_anew(client_id, "pin_hash", right.stored)
    finish_attempt(
        client_id, right, PortalAccess.pin_hash == right.stored, Unauthenticated(), pin_hash=sealed
    )
    try:
        writing = open_writing_key(client_id, checked.pin)
    except SealBroken:
        # Another window has just created the key, with another salt.
        raise Unauthenticated from None
    return writing or create_writing_key(client_id, checked.pin)


def finish_attempt(
    client_id: UUID,
    right: RightSecret,
    unchanged: sa.ColumnElement[bool],
    refusal: Invalid | Unauthenticated,
    **values: object,
) -> None:
    """Lock the client and complete an attempt, unless what was checked has changed since."""
    take_client_lock(client_id)
    updated = db.session.execute(
        sa.update(PortalAccess)
        .where(PortalAccess.client_id == client_id, unchanged)
        # A column is written in any case, so that a new invitation waits or is seen.
        .values(invited_at=PortalAccess.invited_at, **values)
        .returning(PortalAccess.client_id)
    ).scalar()
    if updated is None:
        raise refusal
    clear_attempts(right.limits)


def complete_first_visit(actor: Actor) -> None:
    """Record that the client has read how to use the portal safely, and complete sign-in.

    Raises RuleBroken before the PIN was entered.
    """
    if get_sign_in_step(actor) is not SignInStep.FIRST_VISIT:
        raise RuleBroken(PIN_NEEDED)
    db.session.execute(
        sa.update(PortalAccess)
        .where(PortalAccess.client_id == actor.id)
        .values(first_signed_in_at=sa.func.coalesce(PortalAccess.first_signed_in_at, now()))
    )


def check_secret(client_id: UUID, secret: str, kind: str, device: Device) -> RightSecret:
    """Check a secret and return its hash; count the attempt first, so that concurrent ones can't exceed the limit."""
    invited_at = db.session.execute(
        sa.select(PortalAccess.invited_at).where(PortalAccess.client_id == client_id)
    ).scalar_one()
    limits = pin_limits(client_id, invited_at, device)
    wait = count_attempt(limits)
    column = {"pin": PortalAccess.pin_hash, "start_code": PortalAccess.start_code_hash}[kind]
    stored = db.session.scalar(sa.select(column).where(PortalAccess.client_id == client_id))
    if not verify_secret(stored and open_hash(client_id, column.key, stored), secret):
        count_event(kind, client_id)
        raise Invalid({kind: [describe_failure(wait)]})
    if kind == "start_code" and is_start_code_over(invited_at, now()):
        raise Invalid({kind: [CODE_OVER]})
    return RightSecret(str(stored), limits)


def _seal_anew(client_id: UUID, column: str, stored: str) -> str:
    """Return a stored hash sealed under the key in use."""
    if is_hash_current(stored):
        return stored
    return seal_hash(client_id, column, open_hash(client_id, column, stored))


def seal_stored_hashes(after: UUID | None = None) -> UUID | None:
    """Seal under the key in use the next hashes of PINs and start codes that aren't; return the last client looked at.

    They are looked at in the order of their clients, from the one after `after`; None when there are no more. Nobody's
    PIN is needed. What has changed since it was read is left alone, and so is a hash that doesn't open.
    """
    columns = (PortalAccess.pin_hash, PortalAccess.start_code_hash)
    current = f"${get_ring_key('credentials').number}."
    open_rows = sa.or_(*(sa.not_(column.contains(current, autoescape=True)) for column in columns))
    query = sa.select(PortalAccess.client_id, *columns).where(open_rows)
    if after is not None:
        query = query.where(PortalAccess.client_id > after)
    rows = db.session.execute(query.order_by(PortalAccess.client_id).limit(BATCH_SIZE)).all()
    for client_id, *found in rows:
        for column, stored in zip(columns, found, strict=True):
            if stored is not None and not is_hash_current(stored):
                with suppress(SealBroken, LookupError):
                    db.session.execute(
                        sa.update(PortalAccess)
                        .where(PortalAccess.client_id == client_id, column == stored)
                        .values({column.key: _seal_anew(client_id, column.key, stored)})
                    )
    return rows[-1].client_id if rows else None


def _replace_session(actor: Actor, writing: PrivateKey) -> str:
    """Replace the session by a new one that holds the writing key, so that a reference known before opens nothing.

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
    reference = begin_session("client", actor.id)
    keep_in_session(writing, actor.id, reference)
    return reference


def sign_out(actor: Actor) -> None:
    """End the client's session."""
    require(actor, Action.SESSION_END)
    if actor.session_id:
        end_session(actor.session_id)
        record(actor, Action.SESSION_END, "client", actor.id, client_id=actor.id)


def end_session_by_reference(reference: str) -> Actor | None:
    """End the session of a cookie and return whose it was, or None; the quick exit uses it.

    The audit event is left to `record_quick_exit`, in a transaction after this one: the session ends even when the
    event can't be recorded.
    """
    ended = db.session.execute(
        sa.update(Session)
        .where(session_is_live())
        .values(ended_at=now())
        .returning(Session.id, Session.subject_id),
        session_params("client", reference),
    ).first()
    return None if ended is None else Actor(ended.subject_id, Role.CLIENT, "", "portal", ended.id)


def record_quick_exit(actor: Actor) -> None:
    """Record that a client left by the quick exit."""
    record(actor, Action.SESSION_END, "client", actor.id, client_id=actor.id)
