"""New keys for the log and for signatures, and the closed key of a period of the log for an auditor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.core.actor import require
from caseapp.core.errors import NotFound, Reason, RuleBroken
from caseapp.core.permissions import Action
from caseapp.domain.audit.operations import record, record_in_every_stream
from caseapp.domain.keys.operations import renew_ring_key
from caseapp.domain.keys.queries import list_ring, list_secrets

if TYPE_CHECKING:
    from caseapp.core.actor import Actor
    from caseapp.domain.keys.operations import Renewable

IN_USE = Reason(
    "key_in_use",
    "Events are still written with this key, and anyone who has it could change them.",
    "Renew it first: caseapp keys renew audit",
)


def renew_key(actor: Actor, purpose: Renewable) -> int:
    """Begin to use a new key for a purpose in the open transaction; return its number.

    The one before stays, and verifies what was written under it. A new key of the log begins with an event in every
    stream, behind which nothing under an earlier key counts.
    """
    require(actor, Action.KEY_RENEW)
    number = renew_ring_key(purpose)
    details = {"purpose": purpose, "number": number}
    if purpose == "audit":
        record_in_every_stream(actor, Action.KEY_RENEW, "ring_key", details)
    else:
        record(actor, Action.KEY_RENEW, "ring_key", details=details)
    return number


def reveal_log_key(actor: Actor, number: int) -> bytes:
    """Return a closed key of the log, with which an auditor verifies each event of its period; the log keeps that.

    With it somebody could write another log of that period, whose last event the next key's first one doesn't follow.
    Raises NotFound, and RuleBroken for the key in use.
    """
    require(actor, Action.KEY_REVEAL)
    found = [key for key in list_ring() if (key.purpose, key.number) == ("audit", number)]
    if not found:
        raise NotFound
    if found[0].retired_at is None:
        raise RuleBroken(IN_USE)
    record(actor, Action.KEY_REVEAL, "ring_key", details={"purpose": "audit", "number": number})
    return list_secrets("audit")[number]
