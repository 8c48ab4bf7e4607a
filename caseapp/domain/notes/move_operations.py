"""The operation that moves a note into another client's record."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.orm.attributes import set_committed_value

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db, run
from caseapp.core.ids import new_id
from caseapp.core.permissions import Action
from caseapp.core.vault import reseal_bytes, seal, seal_bytes, unseal_bytes
from caseapp.domain.audit.operations import record
from caseapp.domain.notes.models import Note, NoteAddendum, NoteReturn, NoteReview
from caseapp.domain.notes.models import NoteMove as NoteMoveRow
from caseapp.domain.notes.move_queries import find_former_clients, find_move_facts
from caseapp.domain.notes.move_rules import check_move
from caseapp.domain.notes.operations import discard_copied, record_opening_answers
from caseapp.domain.notes.queries import get_note, lock_note
from caseapp.domain.notes.records import NoteMove, NoteRecord
from caseapp.domain.notes.revision_operations import take_texts_along
from caseapp.domain.notes.sealing import load_addenda
from caseapp.domain.notes.signatures import authenticate_move
from caseapp.domain.practice.queries import get_practice_info

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from caseapp.core.vault import DataKey
    from caseapp.domain.notes.move_queries import LockedNoteMove
    from caseapp.domain.notes.schemas import NewNoteMove

INSERT_MOVE = sa.insert(NoteMoveRow.__table__)  # type: ignore[arg-type]


def move_note(
    actor: Actor, move: LockedNoteMove, new: NewNoteMove, expected_version: int
) -> NoteRecord:
    """Move a note that was filed in the wrong client's record, with its addenda, to another client's case; return it.

    All of it is sealed under the other client's key. What was signed stays as it is: the move, which is authenticated
    like a signature, leads from the ids that were signed to the new ones. The log of both clients has an event, and
    neither names the other client. Answers in a draft that open a safety hold where it is now are recorded at once;
    those that were copied from the former client's last time are discarded.

    Raises RuleBroken, Invalid and Stale.
    """
    require(actor, Action.NOTE_MOVE)
    row, former, case = move.note.row, move.note.client, move.case
    # Read with its signature and its addenda: a note that was changed isn't moved.
    found = get_note(actor, row.id)
    facts = find_move_facts(found, case.client_id, case.status)
    check_move(actor, move, found, facts, find_former_clients(found, case.client_id), new)
    set_committed_value(row, "version", expected_version)
    if row.status == "draft":
        discard_copied(move.note)
    _file(actor, row, case.id, new.reason, former.key, case.key)
    for client_id, where in ((former.id, "away"), (case.client_id, "here")):
        details = {"moved": where}
        record(actor, Action.NOTE_MOVE, "note", row.id, client_id=client_id, details=details)
    if row.status == "draft":
        take_texts_along(row.id, former.key, case.key)
        _record_opening_answers(actor, row.id)
    return get_note(actor, row.id)


def file_with_client(actor: Actor, row: Note, reason: str, key: DataKey, other: DataKey) -> None:
    """File a note of a client who is being merged with the client who stays, in its case, which moves too.

    The caller holds the locks of both clients.
    """
    _file(actor, row, row.case_id, reason, key, other)


def _file(
    actor: Actor, row: Note, case_id: UUID, reason: str, key: DataKey, other: DataKey
) -> None:
    """File a note with its addenda and its review in a case of another client, sealed under that client's key."""
    moved = NoteMove(
        new_id(),
        row.id,
        row.moves + 1,
        key.client_id,
        row.case_id,
        other.client_id,
        case_id,
        row.addenda,
        now(),
        actor.id,
        actor.role.value,
        get_practice_info().practice.zone,
    )
    # The database lets a signed note change only for a move that it has.
    _store_move(moved, reason, other)
    for column in ("sections", "draft_screening"):
        if (sealed := getattr(row, column)) is not None:
            sealed = reseal_bytes(Note.__tablename__, column, row.id, sealed, key, other)
            setattr(row, column, sealed)
    row.client_id, row.case_id, row.moves = other.client_id, case_id, moved.seq
    db.session.flush()
    _take_addenda_along(moved, key, other)
    _take_review_along(moved, key, other)


def _record_opening_answers(actor: Actor, note_id: UUID) -> None:
    """Record what opens a safety hold where the draft is now; its new client is locked already."""
    record_opening_answers(actor, lock_note(actor, note_id))


def _store_move(moved: NoteMove, reason: str, key: DataKey) -> None:
    row = NoteMoveRow(id=moved.id, client_id=moved.to_client_id)
    run(
        INSERT_MOVE,
        id=moved.id,
        note_id=moved.note_id,
        seq=moved.seq,
        from_client_id=moved.from_client_id,
        from_case_id=moved.from_case_id,
        client_id=moved.to_client_id,
        case_id=moved.to_case_id,
        addenda=moved.addenda,
        moved_at=moved.moved_at,
        moved_by=moved.moved_by,
        role=moved.role,
        zone=moved.zone,
        reason=seal(row, "reason", reason, key),
        **authenticate_move(moved),
    )


def _take_addenda_along(moved: NoteMove, key: DataKey, other: DataKey) -> None:
    for row in load_addenda([moved.note_id]).get(moved.note_id, ()):
        table = NoteAddendum.__tablename__
        content = reseal_bytes(table, "content", row.id, row.content, key, other)
        db.session.execute(
            sa.update(NoteAddendum)
            .where(NoteAddendum.id == row.id)
            .values(client_id=other.client_id, content=content)
        )


def _take_review_along(moved: NoteMove, key: DataKey, other: DataKey) -> None:
    """Let a note wait for its co-signature in the other record, and copy the comments of returns, which never change.

    Comments that were copied from there before aren't copied back.
    """
    db.session.execute(
        sa.update(NoteReview)
        .where(NoteReview.note_id == moved.note_id)
        .values(client_id=other.client_id)
    )
    rows = db.session.scalars(
        sa.select(NoteReturn).where(NoteReturn.note_id == moved.note_id).order_by(NoteReturn.seq)
    ).all()

    def unseal_returns(of: DataKey) -> list[tuple[datetime, UUID, bytes]]:
        table = NoteReturn.__tablename__
        return [
            (
                row.created_at,
                row.created_by,
                unseal_bytes(table, "comment", row.id, row.comment, of),
            )
            for row in rows
            if row.client_id == of.client_id
        ]

    known = unseal_returns(other)
    missing = [found for found in unseal_returns(key) if found not in known]
    for seq, (created_at, created_by, comment) in enumerate(missing, len(rows) + 1):
        row = NoteReturn(
            id=new_id(),
            note_id=moved.note_id,
            client_id=other.client_id,
            seq=seq,
            created_at=created_at,
            created_by=created_by,
        )
        row.comment = seal_bytes(row, "comment", comment, other)
        db.session.add(row)
    db.session.flush()
