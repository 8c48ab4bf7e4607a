"""Operations on the disclosure log: add an entry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import Invalid
from caseapp.core.ids import new_id
from caseapp.core.permissions import Action
from caseapp.core.vault import seal_padded_json
from caseapp.domain.audit.operations import record
from caseapp.domain.disclosures.models import Disclosure
from caseapp.domain.disclosures.rules import find_disclosure_faults
from caseapp.domain.practice.queries import today

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.domain.clients.queries import LockedClient
    from caseapp.domain.disclosures.schemas import NewDisclosure

BLOCK_SIZE = 8192
"""Bytes: every sealed content has this length, since the longest words fit into it, whatever their characters."""


def record_disclosure(actor: Actor, client: LockedClient, new: NewDisclosure) -> UUID:
    """Record what of a client's record was given to whom, and why; return the entry's id.

    It records what has happened, so that neither consent nor a hold prevents it. Raises Invalid.
    """
    require(actor, Action.DISCLOSURE_WRITE)
    if faults := find_disclosure_faults(new, today()):
        raise Invalid(faults)
    row = Disclosure(
        id=new_id(),
        client_id=client.id,
        disclosed_on=new.disclosed_on,
        recorded_at=now(),
        recorded_by=actor.id,
    )
    content = {"recipient": new.recipient, "what": new.what, "why": new.why}
    row.content = seal_padded_json(row, "content", content, BLOCK_SIZE, client.key)
    db.session.add(row)
    db.session.flush()
    record(actor, Action.DISCLOSURE_WRITE, "disclosure", row.id, client_id=client.id)
    return row.id
