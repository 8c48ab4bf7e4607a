"""What the log says about a client's safety only to whoever has the client's key: its plain columns are all alike."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

from caseapp.core.permissions import Action
from caseapp.core.vault import SealBroken, pad, seal_bound, unseal_bound
from caseapp.domain.keys.queries import open_listed_client_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from caseapp.core.vault import DataKey
    from caseapp.domain.audit.queries import AuditRecord

SEALED_ACTIONS = frozenset(
    {
        Action.CIRCUMSTANCE_END,
        Action.FLAG_SET,
        Action.FLAG_CLEAR,
        Action.HOLD_OPEN,
        Action.HOLD_RELEASE,
        Action.HOLD_NAME,
        Action.HOLD_ALLOW,
    }
)
"""What tells whether somebody has a hold or flag, and of which kind: only a care hold lets a handout be allowed."""
KIND = "safety"
BLOCK_SIZE = 160
"""Bytes: every sealed part has this length, since the longest one fits into it."""


def seal_change(values: dict[str, Any], key: DataKey) -> dict[str, Any]:
    """Return an event of one of the SEALED_ACTIONS as it is stored: what was done, and to what, is sealed."""
    object_id: UUID = values["object_id"]
    plain = {
        "action": values["action"],
        "kind": values["object_kind"],
        "id": object_id.hex,
        "details": values["details"],
    }
    text = pad(json.dumps(plain), BLOCK_SIZE).encode()
    sealed = seal_bound(text, _binding(values["id"]), key).hex()
    return values | {
        "action": str(Action.SAFETY_WRITE),
        "object_kind": KIND,
        "object_id": None,
        "details": {"sealed": sealed},
    }


def open_change(event: AuditRecord, wrapped_keys: Mapping[UUID, bytes]) -> AuditRecord:
    """Open what is sealed in an event with the wrapped keys of clients, whom the caller has noted as read.

    One whose client was erased, or that was changed, says only that something about their safety was recorded.
    """
    client_id = event.client_id
    if event.action != Action.SAFETY_WRITE or client_id is None:
        return event
    stored, wrapped = event.details.get("sealed", ""), wrapped_keys.get(client_id)
    event = replace(event, details={})
    if wrapped is not None:
        key = open_listed_client_key(wrapped, client_id)
        with suppress(SealBroken, ValueError):
            found = json.loads(unseal_bound(bytes.fromhex(stored), _binding(event.id), key))
            return replace(
                event,
                action=found["action"],
                object_kind=found["kind"],
                object_id=UUID(found["id"]),
                details=found["details"],
            )
    return event


def _binding(event_id: UUID) -> bytes:
    return f"audit_event\x1fdetails\x1f{event_id.hex}".encode()
