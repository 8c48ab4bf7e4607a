"""Passkeys of staff (WebAuthn): added while signed in, and shown to sign in or to confirm who one is.

A passkey counts as two factors, since its device asks for a finger, a face or a PIN (user verification). A challenge is
a sealed time for one browser; a passkey accepts none that is older than the last, so that no answer counts twice.
"""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import sqlalchemy as sa
import webauthn
from webauthn.helpers import (
    base64url_to_bytes,
    bytes_to_base64url,
    parse_authentication_credential_json,
    parse_client_data_json,
    parse_registration_credential_json,
)
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from caseapp.core import settings
from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import Invalid, NotFound, Unauthenticated
from caseapp.core.i18n import lazy_gettext
from caseapp.core.ids import new_id
from caseapp.core.permissions import Action, Role
from caseapp.core.sessions import Assurance, begin_session, renew_session
from caseapp.core.tokens import hash_token
from caseapp.core.vault import SealBroken, open_token, seal_token
from caseapp.domain.audit.operations import record, record_refusal
from caseapp.domain.auth import second_factor
from caseapp.domain.auth.identities import refuse_other_ways
from caseapp.domain.auth.models import Passkey
from caseapp.domain.auth.rules import is_wait_over
from caseapp.domain.auth.sealing import open_secret, seal_secret
from caseapp.domain.keys.queries import get_ring_key
from caseapp.domain.practice.queries import get_practice
from caseapp.domain.users.models import User
from caseapp.domain.users.queries import require_active

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from caseapp.domain.auth.schemas import NewPasskey

MOST_PASSKEYS = 10
REFUSED = lazy_gettext("That passkey wasn’t accepted. Try again.")
ADDS, SHOWS = "adds", "shows"
BROKEN = (WebAuthnException, SealBroken, ValueError, TypeError, KeyError)
"""What an answer raises that was made up, or made for another challenge or address."""
OWNER = (
    sa.select(
        Passkey.id,
        Passkey.person_id,
        Passkey.ring_number,
        Passkey.secret,
        Passkey.sign_count,
        User.role,
        User.name,
    )
    .join(User, User.id == Passkey.person_id)
    .where(Passkey.ended_at.is_(None), User.disabled_at.is_(None))
)


@dataclass(frozen=True)
class Site:
    """The address that passkeys belong to: its name, and its origin as a browser states it."""

    name: str
    origin: str


def find_site() -> Site | None:
    """Return the address of the staff pages; None while it is a number, to which no passkey can belong."""
    parts = urlsplit(settings.active().base_url)
    try:
        ipaddress.ip_address(parts.hostname or "")
    except ValueError:
        return Site(parts.hostname or "", f"{parts.scheme}://{settings.active().staff_host}")
    return None


def list_passkeys(person_id: UUID) -> Sequence[Passkey]:
    """List somebody's passkeys, oldest first."""
    return db.session.scalars(
        sa.select(Passkey)
        .where(Passkey.person_id == person_id, Passkey.ended_at.is_(None))
        .order_by(Passkey.created_at, Passkey.id)
    ).all()


def _purpose(use: str, browser: str) -> str:
    return f"passkey\x1f{use}\x1f{browser}"


def _make_challenge(use: str, browser: str) -> bytes:
    key = get_ring_key("credentials").derive("challenge")
    return seal_token(now().isoformat(), _purpose(use, browser), key).encode()


def _open_challenge(challenge: bytes, use: str, browser: str) -> datetime:
    """Return when a challenge was made for this browser.

    Raises SealBroken for any other, and ValueError when it is too old.
    """
    key = get_ring_key("credentials").derive("challenge")
    issued_at = datetime.fromisoformat(open_token(challenge.decode(), _purpose(use, browser), key))
    if is_wait_over(issued_at, now()):
        raise ValueError("too old")
    return issued_at


def _open(row: Any) -> tuple[bytes, bytes]:  # noqa: ANN401 - a passkey, or a row with its columns
    """Return the id by which the device knows a passkey, and its public key."""
    found = json.loads(open_secret(row.id, row.person_id, row.ring_number, row.secret))
    return base64url_to_bytes(found["id"]), base64url_to_bytes(found["key"])


def describe_adding(actor: Actor, email: str, browser: str) -> str:
    """Return what a browser needs to make a passkey, as JSON; nothing while the address is a number.

    `browser` is something that only this browser's session holds.
    """
    site = find_site()
    if site is None:
        return ""
    own = [PublicKeyCredentialDescriptor(id=_open(row)[0]) for row in list_passkeys(actor.id)]
    options = webauthn.generate_registration_options(
        rp_id=site.name,
        rp_name=get_practice().name,
        user_id=actor.id.bytes,
        user_name=email,
        user_display_name=actor.name,
        challenge=_make_challenge(f"{ADDS}\x1f{actor.id.hex}", browser),
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED,
            user_verification=UserVerificationRequirement.REQUIRED,
        ),
        exclude_credentials=own,
    )
    return webauthn.options_to_json(options)


def describe_showing(browser: str, person_id: UUID | None = None) -> str:
    """Return what a browser needs to show a passkey, as JSON: one of a person's, or of whoever signs in.

    Nothing while the address is a number, and for somebody who has none.
    """
    site = find_site()
    own = [] if person_id is None else list_passkeys(person_id)
    if site is None or (person_id is not None and not own):
        return ""
    options = webauthn.generate_authentication_options(
        rp_id=site.name,
        challenge=_make_challenge(SHOWS, browser),
        allow_credentials=[PublicKeyCredentialDescriptor(id=_open(row)[0]) for row in own],
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    return webauthn.options_to_json(options)


def add_passkey(actor: Actor, new: NewPasskey, browser: str) -> list[str]:
    """Add a passkey; end one's other sessions and all of one's tokens.

    Return new recovery codes, shown only once, for somebody who had none, else nothing. Raises Invalid naming
    `passkey_answer` for an answer that doesn't belong to this page, and for the eleventh passkey.
    """
    require(actor, Action.FACTOR_MANAGE)
    require_active(actor)
    second_factor.lock_credentials(actor.id)
    site = find_site()
    try:
        if site is None:
            raise ValueError("no site")
        parsed = parse_registration_credential_json(new.answer)
        challenge = parse_client_data_json(parsed.response.client_data_json).challenge
        issued_at = _open_challenge(challenge, f"{ADDS}\x1f{actor.id.hex}", browser)
        verified = webauthn.verify_registration_response(
            credential=parsed,
            expected_challenge=challenge,
            expected_rp_id=site.name,
            expected_origin=site.origin,
            require_user_verification=True,
        )
    except BROKEN as error:
        raise Invalid({"passkey_answer": [str(REFUSED)]}) from error
    device_id = bytes_to_base64url(verified.credential_id)
    lookup = hash_token(device_id)
    if db.session.scalar(sa.select(Passkey.id).where(Passkey.lookup == lookup)):
        raise Invalid({"passkey_answer": ["That passkey has already been added."]})
    if len(list_passkeys(actor.id)) >= MOST_PASSKEYS:
        raise Invalid(
            {
                "passkey_answer": [
                    f"You can have {MOST_PASSKEYS} passkeys at most. Remove one first."
                ]
            }
        )
    row = Passkey(
        id=new_id(),
        person_id=actor.id,
        name=new.name,
        lookup=lookup,
        sign_count=verified.sign_count,
        challenge_at=issued_at,
        created_at=now(),
    )
    key = bytes_to_base64url(verified.credential_public_key)
    row.ring_number, row.secret = seal_secret(
        row.id, actor.id, json.dumps({"id": device_id, "key": key})
    )
    db.session.add(row)
    db.session.flush()
    second_factor.note_added(actor)
    record(actor, Action.FACTOR_MANAGE, "user", actor.id, details={"passkey": "added"})
    has_codes = second_factor.count_recovery_codes(actor.id) > 0
    return [] if has_codes else second_factor.make_recovery_codes(actor)


def remove_passkey(actor: Actor, passkey_id: UUID) -> None:
    """Remove one of one's own passkeys; end one's other sessions and all of one's tokens.

    Raises NotFound, and RuleBroken for the last factor of somebody who must have one.
    """
    require(actor, Action.FACTOR_MANAGE)
    second_factor.lock_credentials(actor.id)
    ended = db.session.execute(
        sa.update(Passkey)
        .where(Passkey.id == passkey_id, Passkey.person_id == actor.id, Passkey.ended_at.is_(None))
        .values(ended_at=now(), ring_number=None, secret=None)
        .returning(Passkey.id)
    ).scalar()
    if ended is None:
        raise NotFound
    second_factor.note_removed(actor)
    record(actor, Action.FACTOR_MANAGE, "user", actor.id, details={"passkey": "removed"})


@dataclass(frozen=True)
class CheckedPasskey:
    """Whose passkey was shown; only `check_passkey` makes one. `issued_at` is when its challenge was made."""

    actor: Actor
    passkey_id: UUID
    counted: int
    sign_count: int
    issued_at: datetime = field(repr=False)


def check_passkey(answer: str, browser: str, actor: Actor | None = None) -> CheckedPasskey:
    """Check the answer of a passkey to a challenge for this browser; `actor` is who confirms or completes a sign-in.

    A counter that hasn't gone up tells of a copied key (WebAuthn Level 3, 6.1.1): it is refused and recorded. Raises
    Invalid naming `code`.
    """
    refused = Invalid({"code": [str(REFUSED)]})
    site = find_site()
    try:
        parsed = parse_authentication_credential_json(answer)
        challenge = parse_client_data_json(parsed.response.client_data_json).challenge
        issued_at = _open_challenge(challenge, SHOWS, browser)
    except BROKEN as error:
        raise refused from error
    lookup = hash_token(bytes_to_base64url(parsed.raw_id))
    row = db.session.execute(OWNER.where(Passkey.lookup == lookup)).first()
    if row is None or site is None or (actor is not None and row.person_id != actor.id):
        raise refused
    try:
        verified = webauthn.verify_authentication_response(
            credential=parsed,
            expected_challenge=challenge,
            expected_rp_id=site.name,
            expected_origin=site.origin,
            credential_public_key=_open(row)[1],
            # The counter is judged below, where a wrong one is recorded.
            credential_current_sign_count=0,
            require_user_verification=True,
        )
    except BROKEN as error:
        raise refused from error
    owner = actor or Actor(row.person_id, Role(row.role), row.name, "web")
    if not has_counted_on(row.sign_count, verified.new_sign_count):
        details = {"passkey": "counter", "id": row.id.hex}
        record_refusal(owner, Action.SIGN_IN, "user", owner.id, details=details)
        raise refused
    return CheckedPasskey(owner, row.id, row.sign_count, verified.new_sign_count, issued_at)


def has_counted_on(before: int, after: int) -> bool:
    """Tell whether the counter of a passkey has gone up; one of a passkey that is on several devices stays 0."""
    return after > before or after == before == 0


def _accept(checked: CheckedPasskey) -> None:
    """Accept a passkey, unless it has ended or shown as new a challenge since.

    Raises Unauthenticated.
    """
    accepted = db.session.execute(
        sa.update(Passkey)
        .where(
            Passkey.id == checked.passkey_id,
            Passkey.ended_at.is_(None),
            Passkey.sign_count == checked.counted,
            Passkey.challenge_at < checked.issued_at,
        )
        .values(sign_count=checked.sign_count, challenge_at=checked.issued_at, used_at=now())
        .returning(Passkey.id)
    ).scalar()
    if accepted is None:
        raise Unauthenticated(REFUSED)
    require_active(checked.actor)


def sign_in(checked: CheckedPasskey) -> str:
    """Begin a session and return the token for the cookie.

    Raises Unauthenticated for an answer that was used, and for somebody who has to sign in at the provider.
    """
    _accept(checked)
    actor = checked.actor
    refuse_other_ways(actor.id)
    token = begin_session("staff", actor.id, level=Assurance.TWO_FACTORS, method="passkey")
    record(actor, Action.SIGN_IN, "user", actor.id, details={"passkey": True})
    return token


def show_passkey(checked: CheckedPasskey) -> str:
    """Note that somebody has shown a passkey: a sign-in that waited is complete, or they confirmed who they are.

    Return the session's new token for the cookie. Raises Unauthenticated for an answer that was used, and when the
    session has ended since the check.
    """
    _accept(checked)
    actor = checked.actor
    token = renew_session(actor.session_id, Assurance.TWO_FACTORS) if actor.session_id else None
    if token is None:
        raise Unauthenticated
    record(actor, Action.SIGN_IN, "user", actor.id, details={"passkey": True})
    return token
