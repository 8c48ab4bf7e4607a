"""What a client wrote before a new invitation: only the PIN that they had then opens it.

So whoever gets hold of new codes reads nothing that the client wrote for nobody else.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from caseapp.core.actor import Actor, require
from caseapp.core.errors import Invalid, Unauthenticated
from caseapp.core.permissions import Action
from caseapp.core.vault import SealBroken
from caseapp.domain.audit.operations import record
from caseapp.domain.audit.security_events import count_event
from caseapp.domain.auth.budgets import describe_failure
from caseapp.domain.auth.credentials import stretch_pin
from caseapp.domain.auth.throttling import (
    Limit,
    clear_attempts,
    count_attempt,
    earlier_pin_limits,
)
from caseapp.domain.clients.queries import take_client_lock
from caseapp.domain.keys.writing import count_tries, move_writing, unwrap_with_pin

if TYPE_CHECKING:
    from caseapp.core.vault import PrivateKey


@dataclass(frozen=True)
class CheckedEarlierPin:
    """The closed key that an earlier PIN has opened, and the limits of the try; only `check_earlier_pin` makes one."""

    closed: PrivateKey
    limits: list[Limit]


def check_earlier_pin(actor: Actor, pin: str) -> CheckedEarlierPin:
    """Check an earlier PIN with what the client wrote under it; count the attempt in a transaction of its own.

    Raises Invalid for one that opens nothing, and TooManyAttempts while the next one has to wait.
    """
    require(actor, Action.PORTAL_WRITE)
    limits = earlier_pin_limits(actor.id)
    wait = count_attempt(limits)
    for row in count_tries(actor.id):
        with suppress(SealBroken):
            return CheckedEarlierPin(unwrap_with_pin(row, stretch_pin(pin, row.pin_salt)), limits)
    count_event("pin", actor.id)
    raise Invalid({"pin": [describe_failure(wait)]})


def open_earlier_writing(actor: Actor, checked: CheckedEarlierPin) -> None:
    """Open for the client's new PIN what they wrote under the earlier one; the earlier PIN opens nothing afterwards.

    Raises Unauthenticated when the client was invited anew in the meantime.
    """
    require(actor, Action.PORTAL_WRITE)
    take_client_lock(actor.id)
    if actor.writing is None or not move_writing(actor.id, checked.closed, actor.writing):
        raise Unauthenticated
    clear_attempts(checked.limits)
    record(
        actor,
        Action.PORTAL_WRITE,
        "client",
        actor.id,
        client_id=actor.id,
        details={"answers": "earlier_opened"},
    )
