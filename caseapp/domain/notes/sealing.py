"""How rows of session notes become records: unsealed, and compared with their signatures, addenda and moves."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from caseapp.core.database import db
from caseapp.core.reads import note_altered
from caseapp.core.vault import SealBroken, unseal_text
from caseapp.domain.cases.models import Case
from caseapp.domain.clients.models import Client
from caseapp.domain.keys.models import ClientKey
from caseapp.domain.keys.queries import open_client_key
from caseapp.domain.notes.codes import LOCKING
from caseapp.domain.notes.models import Note, NoteAddendum, NoteReview, NoteSignature
from caseapp.domain.notes.models import NoteMove as NoteMoveRow
from caseapp.domain.notes.move_rules import (
    find_signing_client,
    is_where_it_was_moved,
    was_signed_elsewhere,
)
from caseapp.domain.notes.records import (
    NO_ANSWERS,
    Addendum,
    NoteMove,
    NoteRecord,
    Signature,
    draft_from_json,
)
from caseapp.domain.notes.signatures import (
    are_facts_as_signed,
    is_addendum_as_signed,
    is_as_signed,
    is_cosigned,
    is_move_as_recorded,
)
from caseapp.domain.users.models import User

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from sqlalchemy.orm import InstrumentedAttribute

    from caseapp.core.vault import DataKey
    from caseapp.domain.notes.records import DraftScreening


Cosignature, Cosigner = aliased(NoteSignature), aliased(User)
COLUMNS = (
    Note.id,
    Note.case_id,
    Note.client_id,
    Note.author_id,
    Note.format,
    Note.session_at,
    Note.minutes,
    Note.modality,
    Note.status,
    Note.sections,
    Note.draft_screening,
    Note.screening_id,
    Note.updated_at,
    Note.signed_at,
    Note.sha256,
    Note.actual_session_at,
    Note.actual_minutes,
    Note.in_error,
    Note.addenda,
    Note.moves,
    Note.version,
    ClientKey.wrapped,
    User.name.label("author"),
    Client.name.label("client"),
    Case.number,
    Case.client_id.label("case_client_id"),
    *(column.label(f"signature_{column.key}") for column in NoteSignature.__table__.c),
    *(
        getattr(Cosignature, column.key).label(f"cosign_{column.key}")
        for column in NoteSignature.__table__.c
    ),
    Cosigner.name.label("cosigner"),
    NoteReview.state.label("review"),
)


IS_LOCKING = sa.and_(NoteSignature.note_id == Note.id, NoteSignature.meaning.in_(LOCKING))
"""The signature that locks a note: its author's, or that with which a supervisor filed it."""


def join_signatures(query: sa.Select[*tuple[Any, ...]]) -> sa.Select[*tuple[Any, ...]]:
    """Join the signatures of notes, and what their co-signing waits for, to a query of COLUMNS."""
    return (
        query.outerjoin(NoteSignature, IS_LOCKING)
        .outerjoin(
            Cosignature,
            sa.and_(Cosignature.note_id == Note.id, Cosignature.meaning == "cosign"),
        )
        .outerjoin(Cosigner, Cosigner.id == Cosignature.signed_by)
        .outerjoin(NoteReview, NoteReview.note_id == Note.id)
    )


NO_KEYS: Mapping[UUID, DataKey] = {}


def was_signed(row: Any) -> bool:  # noqa: ANN401 - a result row
    """Tell whether a note is signed, or was until somebody made it a draft again in the database."""
    return row.status == "signed" or bool(row.signature_mac or row.sha256 or row.addenda)


def build_records(rows: Sequence[Any], keys: Mapping[UUID, DataKey] = NO_KEYS) -> list[NoteRecord]:
    """Unseal notes with their addenda, with the keys of clients that are open already.

    Addenda are loaded, in one statement, also of signed notes that say they have none: they would show that it was
    changed.
    """
    added = load_addenda([row.id for row in rows if was_signed(row)])
    moved = load_moves([row.id for row in rows if row.moves])
    return [
        build_record(row, added.get(row.id, ()), moved.get(row.id, ()), keys.get(row.client_id))
        for row in rows
    ]


def build_record(
    row: Any,  # noqa: ANN401 - a result row
    added: Sequence[Any] = (),
    moved: Sequence[Any] = (),
    key: DataKey | None = None,
) -> NoteRecord:
    """Unseal a note with its addenda and moves, and compare a signed one with its signature and theirs.

    One that was changed is noted for the log. A draft that was signed, and a note in the case of another client, were
    changed: such a draft counts as signed. So was a note that is neither where it was signed nor where it was moved.
    """
    key = key or open_client_key(row.wrapped, row.client_id, "note", row.id)
    is_readable = True
    try:
        note = unseal_note(row, key, author=row.author, client=row.client, number=row.number)
    except SealBroken:
        if not was_signed(row):
            raise
        is_readable = False
        note = unseal_note(row, None, author=row.author, client=row.client, number=row.number)
    moves = [_build_move(found, key) for found in moved]
    note = replace(note, moves=tuple(each for each, _ in moves))
    if not was_signed(row):
        return note
    signature, cosignature = _build_signature(row, "signature"), _build_signature(row, "cosign")
    addenda = [_build_addendum(found, key, note.moves) for found in added]
    note = replace(
        note,
        status="signed",
        signature=signature,
        addenda=tuple(each for each, _ in addenda),
        cosignature=cosignature,
        cosigner=row.cosigner or "",
        review=row.review,
    )
    digests = [found.digest for found in added]
    is_same = (
        row.status == "signed"
        and row.client_id == row.case_client_id
        and is_readable
        and is_as_signed(note, signature, row.signature_key_number, row.signature_mac)
        and all(is_right for _, is_right in (*addenda, *moves))
        and is_where_it_was_moved(note, row.moves)
        and are_facts_as_signed(note, row.addenda)
        and (
            cosignature is None
            or is_cosigned(note, cosignature, row.cosign_key_number, row.cosign_mac, digests)
        )
    )
    if not is_same:
        note_altered("note", note.id, note.client_id)
    return replace(note, is_as_signed=is_same)


def load_addenda(note_ids: Sequence[UUID]) -> dict[UUID, list[Any]]:
    """Load the addenda of notes as rows, by note and in their order."""
    return _load_by_note(NoteAddendum, NoteAddendum.created_by, "author", note_ids)


def load_moves(note_ids: Sequence[UUID]) -> dict[UUID, list[Any]]:
    """Load the moves of notes as rows, by note and in their order."""
    return _load_by_note(NoteMoveRow, NoteMoveRow.moved_by, "mover", note_ids)


def _load_by_note(
    model: type[NoteAddendum | NoteMoveRow],
    by: InstrumentedAttribute[UUID],
    name: str,
    note_ids: Sequence[UUID],
) -> dict[UUID, list[Any]]:
    found: dict[UUID, list[Any]] = {}
    if not note_ids:
        return found
    rows = db.session.execute(
        sa.select(*model.__table__.c, User.name.label(name))
        .join(User, User.id == by)
        .where(model.note_id.in_(note_ids))
        .order_by(model.note_id, model.seq)
    )
    for row in rows:
        found.setdefault(row.note_id, []).append(row)
    return found


def _build_move(row: Any, key: DataKey) -> tuple[NoteMove, bool]:  # noqa: ANN401 - a result row
    """Unseal a move; tell too whether it is as it was recorded. Only a move to where the note is has its reason."""
    is_readable, reason = True, ""
    if row.client_id == key.client_id:
        try:
            reason = unseal_text("note_move", "reason", row.id, row.reason, key) or ""
        except SealBroken:
            is_readable = False
    move = NoteMove(
        row.id,
        row.note_id,
        row.seq,
        row.from_client_id,
        row.from_case_id,
        row.client_id,
        row.case_id,
        row.addenda,
        row.moved_at,
        row.moved_by,
        row.role,
        row.zone,
        reason,
        row.mover,
    )
    return move, is_readable and is_move_as_recorded(move, row.key_number, row.mac)


def _build_addendum(
    row: Any,  # noqa: ANN401 - a result row
    key: DataKey,
    moves: Sequence[NoteMove],
) -> tuple[Addendum, bool]:
    """Unseal an addendum; tell too whether it is as it was signed. One that doesn't open has no texts."""
    try:
        content = _unseal_data(row, "content", key, NoteAddendum.__tablename__)
    except SealBroken:
        content = {}
    session_at = content.get("session_at")
    addendum = Addendum(
        row.id,
        row.note_id,
        row.client_id,
        row.seq,
        row.kind,
        row.created_at,
        row.created_by,
        row.role,
        row.zone,
        content.get("text", ""),
        content.get("reason", ""),
        datetime.fromisoformat(session_at) if session_at else None,
        content.get("minutes"),
        row.author,
        was_signed_elsewhere(moves, row.seq, row.client_id),
    )
    signed = replace(addendum, client_id=find_signing_client(moves, row.seq, row.client_id))
    is_right = is_addendum_as_signed(signed, row.digest, row.key_number, row.mac)
    return addendum, is_right and row.client_id == key.client_id


def _build_signature(row: Any, which: str) -> Signature | None:  # noqa: ANN401 - a result row
    def get(name: str) -> Any:  # noqa: ANN401 - a value of the row
        return getattr(row, f"{which}_{name}")

    if get("mac") is None:
        return None
    return Signature(
        row.id,
        get("meaning"),
        get("signed_client_id"),
        get("signed_case_id"),
        get("signed_by"),
        get("role"),
        get("signed_at"),
        get("zone"),
        get("recorded_at"),
        get("digest"),
    )


def unseal_note(
    note: Note | sa.Row[*tuple[Any, ...]],
    key: DataKey | None,
    *,
    author: str = "",
    client: str = "",
    number: str = "",
) -> NoteRecord:
    """Unseal a note that was loaded as an object or as a row; without a key, leave out its text.

    Raises SealBroken when a text was changed or moved.
    """
    return NoteRecord(
        id=note.id,
        case_id=note.case_id,
        client_id=note.client_id,
        author_id=note.author_id,
        format=note.format,
        session_at=note.session_at,
        minutes=note.minutes,
        modality=note.modality,
        status=note.status,
        sections=_unseal_data(note, "sections", key) if key else {},
        screening_id=note.screening_id,
        updated_at=note.updated_at,
        signed_at=note.signed_at,
        sha256=note.sha256,
        actual_session_at=note.actual_session_at,
        actual_minutes=note.actual_minutes,
        in_error=note.in_error,
        version=note.version,
        author=author,
        client=client,
        number=number,
        draft=draft_screening(note, key) if key else NO_ANSWERS,
    )


def _unseal_data(
    row: Note | sa.Row[*tuple[Any, ...]],
    column: str,
    key: DataKey,
    table: str = Note.__tablename__,
) -> Any:  # noqa: ANN401 - JSON
    text = unseal_text(table, column, row.id, getattr(row, column), key)
    return None if text is None else json.loads(text)


def draft_screening(note: Note | sa.Row[*tuple[Any, ...]], key: DataKey) -> DraftScreening:
    """Unseal the screening answers in a draft."""
    data = _unseal_data(note, "draft_screening", key)
    if data is None:
        return NO_ANSWERS
    return draft_from_json(data)
