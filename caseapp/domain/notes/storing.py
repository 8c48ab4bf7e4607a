"""What several operations on notes store: the answers of a draft, the signature that locks its text, an addendum."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core.clock import now
from caseapp.core.database import db, run
from caseapp.core.vault import seal_json
from caseapp.domain.notes.cosign_operations import INSERT_SIGNATURE
from caseapp.domain.notes.models import NoteAddendum
from caseapp.domain.notes.records import NO_ANSWERS, addendum_to_json, draft_to_json
from caseapp.domain.notes.revision_operations import delete_texts
from caseapp.domain.notes.rules import (
    convert_sections,
    find_session_time,
    note_digest,
    remember_recorded,
)
from caseapp.domain.notes.signatures import (
    authenticate_addendum,
    make_signature,
    signature_row,
)
from caseapp.domain.practice.queries import get_practice_info, today
from caseapp.domain.screening.operations import record_screening
from caseapp.domain.screening.proposals import keep_right_days

if TYPE_CHECKING:
    from datetime import datetime

    from caseapp.core.actor import Actor
    from caseapp.domain.notes.queries import LockedNote
    from caseapp.domain.notes.records import Addendum, DraftScreening, NoteRecord

INSERT_ADDENDUM = sa.insert(NoteAddendum.__table__)  # type: ignore[arg-type]


def record_answers(actor: Actor, note: LockedNote, found: NoteRecord) -> DraftScreening:
    """Record the answers in a draft as it was found; return them with what they remember as recorded.

    Raises Invalid.
    """
    draft = found.draft
    session_at = find_session_time(found.session_at, draft.recorded, now())
    recorded = record_screening(
        actor,
        note.client,
        keep_right_days(draft.screening, today()),
        note_id=note.row.id,
        session_at=session_at,
        repeats=draft.repeats,
    )
    note.row.screening_id = recorded.id
    return remember_recorded(draft, recorded.id, session_at)


def store_answers(note: LockedNote, draft: DraftScreening) -> None:
    """Seal the answers of a draft into its row."""
    note.row.has_unrecorded = draft.has_unrecorded
    note.row.draft_screening = (
        seal_json(note.row, "draft_screening", draft_to_json(draft), note.key)
        if draft.touched or draft.recorded or draft.copied
        else None
    )


def sign_text(actor: Actor, note: LockedNote, meaning: str, moment: datetime) -> None:
    """Lock a draft with the actor's signature of a meaning, without its answers, which are recorded already.

    Its earlier texts are deleted.
    """
    row, found = note.row, note.record
    store_answers(note, NO_ANSWERS)
    row.sections = seal_json(
        row, "sections", convert_sections(found.sections, found.format), note.key
    )
    row.status = "signed"
    row.signed_at = row.updated_at = moment
    row.signed_by = actor.id
    signed = note.record
    row.sha256 = note_digest(signed)
    db.session.flush()
    delete_texts(row.id)
    zone = get_practice_info().practice.zone
    signature = make_signature(signed, meaning, actor.id, actor.role.value, zone, moment)
    run(INSERT_SIGNATURE, **signature_row(signature))


def store_addendum(note: LockedNote, addendum: Addendum) -> None:
    """Store an addendum of a note, sealed and authenticated; the caller counts it in the note."""
    stored = NoteAddendum(id=addendum.id, client_id=addendum.client_id)
    run(
        INSERT_ADDENDUM,
        id=addendum.id,
        note_id=addendum.note_id,
        client_id=addendum.client_id,
        seq=addendum.seq,
        kind=addendum.kind,
        created_at=addendum.created_at,
        created_by=addendum.created_by,
        role=addendum.role,
        zone=addendum.zone,
        content=seal_json(stored, "content", addendum_to_json(addendum), note.key),
        **authenticate_addendum(addendum),
    )
