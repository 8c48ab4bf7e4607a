"""A client changes their PIN, which only somebody can who knows the one that they have.

What they wrote and did not share stays open to them, since its key is wrapped with the new PIN. Nobody else can change
a PIN: staff can only make new codes, which open nothing written before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.errors import Invalid, Unauthenticated
from caseapp.core.i18n import gettext
from caseapp.core.permissions import Action
from caseapp.core.sessions import Assurance, end_all_sessions, renew_session
from caseapp.domain.audit.operations import record
from caseapp.domain.auth.credentials import hash_secret, stretch_pin
from caseapp.domain.auth.devices import NO_DEVICE
from caseapp.domain.auth.models import PortalAccess
from caseapp.domain.auth.portal_access import RightSecret, check_secret, finish_attempt
from caseapp.domain.auth.rules import find_pin_error
from caseapp.domain.auth.sealing import seal_hash
from caseapp.domain.clients.remembered_devices import forget_devices
from caseapp.domain.keys.writing import keep_in_session, rewrap_writing_key

if TYPE_CHECKING:
    from caseapp.domain.auth.devices import Device
    from caseapp.domain.clients.schemas import PinChange
    from caseapp.domain.keys.writing import StretchedPin


@dataclass(frozen=True)
class CheckedPinChange:
    """A right PIN, and the one that is to replace it; only `check_pin_change` makes one."""

    right: RightSecret
    pin_hash: str
    pin: StretchedPin


def check_pin_change(
    actor: Actor, change: PinChange, device: Device = NO_DEVICE
) -> CheckedPinChange:
    """Check the PIN that a client has and the new one; count the attempt as one at the sign-in, with its limits.

    Raises Invalid for a new PIN that isn't six digits, is too easy to guess or is the one that they have, which costs
    no attempt, and for a wrong PIN; TooManyAttempts while the next one has to wait.
    """
    require(actor, Action.PIN_CHANGE)
    if error := find_pin_error(change.new_pin):
        raise Invalid({"new_pin": [error]})
    if change.new_pin == change.pin:
        raise Invalid(
            {"new_pin": [gettext("Choose a PIN that is different from the one you have now.")]}
        )
    right = check_secret(actor.id, change.pin, "pin", device)
    return CheckedPinChange(right, hash_secret(change.new_pin), stretch_pin(change.new_pin))


def change_pin(actor: Actor, checked: CheckedPinChange) -> str:
    """Store the new PIN, wrap the client's writing key with it, end their other sessions and forget their devices.

    Return the new reference of this session. Raises Unauthenticated when the PIN, the key or the session has changed
    in the meantime, as after a new invitation.
    """
    require(actor, Action.PIN_CHANGE)
    if actor.session_id is None or actor.writing is None:
        raise Unauthenticated
    finish_attempt(
        actor.id,
        checked.right,
        PortalAccess.pin_hash == checked.right.stored,
        Unauthenticated(),
        pin_hash=seal_hash(actor.id, "pin_hash", checked.pin_hash),
        pin_chosen_at=now(),
    )
    if not rewrap_writing_key(actor.writing, actor.id, checked.pin):
        raise Unauthenticated
    end_all_sessions(actor.id, but=actor.session_id)
    forget_devices(actor.id)
    reference = renew_session(actor.session_id, Assurance.ONE_FACTOR)
    if reference is None:
        raise Unauthenticated
    keep_in_session(actor.writing, actor.id, reference)
    record(actor, Action.PIN_CHANGE, "client", actor.id, client_id=actor.id)
    return reference
