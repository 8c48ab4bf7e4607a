"""Operations on the contact log: add an entry, and say that one was recorded in error."""

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
from caseapp.domain.contacts.codes import IN_ERROR
from caseapp.domain.contacts.models import Contact
from caseapp.domain.contacts.rules import check_error, derive_followup, find_contact_faults
from caseapp.domain.followups.operations import create_followup

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from caseapp.domain.clients.queries import LockedClient
    from caseapp.domain.contacts.queries import LockedContact
    from caseapp.domain.contacts.schemas import NewContact

BLOCK_SIZE = 4096
"""Bytes: every sealed content has this length, since the longest words fit into it, whatever their characters."""


def record_contact(actor: Actor, client: LockedClient, new: NewContact) -> UUID:
    """Add an entry to a client's contact log, and the follow-up for the actor that it asks for.

    Its time is kept to the minute, as the form shows it. It changes nothing about holds, flags or what the protocol
    requires. Raises Invalid naming each wrong field.
    """
    require(actor, Action.CONTACT_WRITE)
    moment = now()
    if faults := find_contact_faults(new, moment):
        raise Invalid(faults)
    content = {"method": new.method, "cancelled_by": new.cancelled_by, "words": new.words}
    happened_at = (new.happened_at or moment).replace(second=0, microsecond=0)
    entry_id = _add(actor, client, new.kind, happened_at, content)
    if new.follow_up:
        create_followup(actor, client, derive_followup(new.kind, moment))
    return entry_id


def mark_contact_in_error(actor: Actor, contact: LockedContact, reason: str) -> None:
    """Mark an entry as recorded in error; it stays readable with the reason, but no longer counts.

    A follow-up that it asked for stays. Raises RuleBroken when the entry is marked already.
    """
    require(actor, Action.CONTACT_WRITE)
    check_error(contact)
    _add(actor, contact.client, IN_ERROR, now(), {"words": reason}, corrects_id=contact.record.id)


def _add(
    actor: Actor,
    client: LockedClient,
    kind: str,
    happened_at: datetime,
    content: dict[str, str | None],
    *,
    corrects_id: UUID | None = None,
) -> UUID:
    row = Contact(
        id=new_id(),
        client_id=client.id,
        kind=kind,
        happened_at=happened_at,
        recorded_at=now(),
        recorded_by=actor.id,
        corrects_id=corrects_id,
    )
    row.content = seal_padded_json(row, "content", content, BLOCK_SIZE, client.key)
    db.session.add(row)
    db.session.flush()
    details = {"corrects": str(corrects_id)} if corrects_id else {}
    record(actor, Action.CONTACT_WRITE, "contact", row.id, client_id=client.id, details=details)
    return row.id
