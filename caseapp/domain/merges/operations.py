"""The operation that merges a client's record into another one's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm.attributes import set_committed_value

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import Model, db
from caseapp.core.ids import new_id
from caseapp.core.permissions import Action
from caseapp.core.sessions import end_all_sessions
from caseapp.core.vault import combine_keys, reseal_bytes, seal
from caseapp.domain.assignments.models import Assignment
from caseapp.domain.audit.operations import record
from caseapp.domain.auth.models import PortalAccess
from caseapp.domain.clients.memberships import end_care_team, withdraw_offers
from caseapp.domain.clients.models import (
    Client,
    ClientNameWord,
    NameHash,
    PhoneHash,
    PossibleConflict,
)
from caseapp.domain.clients.operations import withdraw_contact_confirmation
from caseapp.domain.clients.remembered_devices import forget_devices
from caseapp.domain.consent.queries import list_counting
from caseapp.domain.consent.rules import derive_standing
from caseapp.domain.keys.queries import get_ring_key
from caseapp.domain.merges.models import ClientMerge
from caseapp.domain.merges.queries import find_merge_facts
from caseapp.domain.merges.rules import check_merge
from caseapp.domain.merges.treatments import TREATMENTS, Treatment
from caseapp.domain.notes.models import Note
from caseapp.domain.notes.move_operations import file_with_client
from caseapp.domain.practice.queries import lock_practice_row
from caseapp.domain.screening.marks import list_marked, remove_marks

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.core.vault import DataKey
    from caseapp.domain.keys.purposes import Purpose
    from caseapp.domain.merges.queries import LockedMerge
    from caseapp.domain.merges.schemas import NewMerge

OWN_KEYS: dict[str, Purpose] = {"process_note": "process_notes", "form_draft": "drafts"}
"""The tables whose rows are sealed under their author's own key too, with the purpose of the ring that it is of."""
BY_HAND = frozenset({"possible_conflict"})
"""The tables that have another key than `id`."""


def merge_clients(actor: Actor, merge: LockedMerge, new: NewMerge, expected_version: int) -> UUID:
    """Merge the record of a client who was entered twice into the one that is kept, and return that client's id.

    Cases, notes and everything else that `TREATMENTS` says moves is sealed under the key of the record that is kept.
    What is chained stays in the merged record, which nobody finds any more; its log and its key are kept. The client's
    access to the portal by that record ends. The log of both clients has an event, and neither names the other
    client. It can't be undone. Raises RuleBroken, and Stale when somebody changed the record that is merged meanwhile.
    """
    require(actor, Action.CLIENT_MERGE)
    gone, stays = merge.gone, merge.stays
    # A client who is added at this moment, and may be in conflict with the record that is merged, waits or is found.
    lock_practice_row()
    facts = find_merge_facts(actor, gone.record, stays.record)
    check_merge(merge, facts, despite_decision=new.despite_decision)
    remove_marks(list_marked(facts.gone.safety, gone.id), gone.id)
    # The database lets entries that never change follow only a client who has been merged.
    _store(actor, gone.id, new, stays.key)
    _move_notes(actor, new, gone.key, stays.key)
    _renumber_assignments(gone.id, stays.id)
    for table in sorted(TREATMENTS.keys() - BY_HAND):
        if TREATMENTS[table] is Treatment.MOVED:
            _move_rows(table, gone.key, stays.key)
    _move_conflicts(gone.id, stays.id)
    _derive_consent(stays.id)
    _end_access(actor, gone.id)
    _hide(gone.id, expected_version)
    if gone.record.contact_confirmed_at is None:
        withdraw_contact_confirmation(stays)
    for client_id, where in ((gone.id, "away"), (stays.id, "here")):
        details = {"merged": where}
        record(
            actor, Action.CLIENT_MERGE, "client", client_id, client_id=client_id, details=details
        )
    db.session.flush()
    db.session.expire_all()
    return stays.id


def _store(actor: Actor, gone_id: UUID, new: NewMerge, key: DataKey) -> None:
    row = ClientMerge(
        id=new_id(), client_id=gone_id, into_id=key.client_id, merged_at=now(), merged_by=actor.id
    )
    reason = seal(row, "reason", new.reason, key)
    assert reason is not None  # noqa: S101 - the text is not None
    row.reason = reason
    db.session.add(row)
    db.session.flush()


def _move_notes(actor: Actor, new: NewMerge, key: DataKey, other: DataKey) -> None:
    notes = sa.select(Note).where(Note.client_id == key.client_id).order_by(Note.id)
    for row in db.session.scalars(notes).all():
        file_with_client(actor, row, new.reason, key, other)
    db.session.expire_all()


def _renumber_assignments(gone_id: UUID, stays_id: UUID) -> None:
    """Renumber the assignments of one client after those of the other, which are numbered from 1."""
    last = db.session.scalar(
        sa.select(sa.func.max(Assignment.position)).where(
            Assignment.client_id.in_((gone_id, stays_id))
        )
    )
    db.session.execute(
        sa.update(Assignment.__table__)  # type: ignore[arg-type]
        .where(Assignment.client_id == gone_id)
        .values(position=Assignment.position + (last or 0))
    )


def _move_rows(name: str, key: DataKey, other: DataKey) -> None:
    """Let a table's rows about one client be about the other, and seal anew whatever is sealed in them."""
    table, purpose = Model.metadata.tables[name], OWN_KEYS.get(name)
    sealed = [column for column in table.columns if isinstance(column.type, sa.LargeBinary)]
    owned = [table.c.author_id, table.c.ring_number] if purpose else []
    rows = db.session.execute(
        sa.select(table.c.id, *sealed, *owned).where(table.c.client_id == key.client_id)
    ).all()
    for row in rows:
        keys = (key, other)
        if purpose and row.ring_number is not None:
            own = get_ring_key(purpose, row.ring_number).for_person(row.author_id)
            keys = (combine_keys(key, own), combine_keys(other, own))
        values: dict[str, Any] = {
            column.name: reseal_bytes(name, column.name, row.id, value, *keys)
            for column in sealed
            if (value := getattr(row, column.name)) is not None
        }
        db.session.execute(
            sa.update(table).where(table.c.id == row.id).values(client_id=other.client_id, **values)
        )


def _move_conflicts(gone_id: UUID, stays_id: UUID) -> None:
    """Let what was decided about conflicts with third clients count for the client who stays, where nothing is yet."""
    pairs = sa.select(PossibleConflict).where(
        sa.or_(PossibleConflict.client_id == gone_id, PossibleConflict.other_id == gone_id)
    )
    for row in db.session.scalars(pairs).all():
        third = row.other_id if row.client_id == gone_id else row.client_id
        ids = max(stays_id, third), min(stays_id, third)
        if third != stays_id and db.session.get(PossibleConflict, ids) is None:
            db.session.add(
                PossibleConflict(
                    client_id=ids[0],
                    other_id=ids[1],
                    found_at=row.found_at,
                    decided_at=row.decided_at,
                    decided_by=row.decided_by,
                )
            )
        db.session.delete(row)
    db.session.flush()


def _derive_consent(stays_id: UUID) -> None:
    """Let the client have agreed to the newest text of the entries of both; the rules saw that a withdrawal stands."""
    version, _ = derive_standing(list_counting(stays_id))
    db.session.execute(
        sa.update(Client).where(Client.id == stays_id).values(consent_version=version)
    )


def _end_access(actor: Actor, gone_id: UUID) -> None:
    """End who sees the merged record, and the client's access to the portal by it."""
    withdraw_offers(actor, gone_id)
    end_care_team(gone_id)
    db.session.execute(sa.delete(PortalAccess).where(PortalAccess.client_id == gone_id))
    end_all_sessions(gone_id)
    forget_devices(gone_id)


def _hide(gone_id: UUID, expected_version: int) -> None:
    """Let nothing find the merged record: no search, no comparison, no lock."""
    for table in (ClientNameWord, NameHash, PhoneHash):
        db.session.execute(sa.delete(table).where(table.client_id == gone_id))
    row = db.session.get_one(Client, gone_id)
    set_committed_value(row, "version", expected_version)
    row.is_merged, row.email_hash = True, None
    db.session.flush()
