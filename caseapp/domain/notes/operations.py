"""Operations on session notes: start, save, record the screening, sign, discard."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm.attributes import set_committed_value

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db, run
from caseapp.core.errors import Invalid, NotFound, Reason, RuleBroken
from caseapp.core.ids import new_id
from caseapp.core.permissions import Action, Role
from caseapp.core.vault import DataKey, seal_json, unwrap
from caseapp.domain.audit.operations import record
from caseapp.domain.cases.models import Case
from caseapp.domain.clients.models import Client
from caseapp.domain.clients.queries import is_visible_client, take_client_lock
from caseapp.domain.keys.models import ClientKey
from caseapp.domain.notes.models import Note
from caseapp.domain.notes.queries import load_note, unseal_note
from caseapp.domain.notes.rules import (
    convert_sections,
    merge_sections,
    missing_for_signature,
    note_digest,
)
from caseapp.domain.notes.schemas import NO_ANSWERS, DraftScreening, NoteRecord
from caseapp.domain.screening.operations import record_screening
from caseapp.domain.screening.protocol import Level

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.domain.notes.schemas import DraftChange, NewNote


INSERT_NOTE = sa.insert(Note.__table__)  # type: ignore[arg-type]


def create_note(actor: Actor, case_id: UUID, new: NewNote) -> NoteRecord:
    """Start the actor's draft about a session of an open case, and return it.

    Raises NotFound, and RuleBroken when the case is closed.
    """
    require(actor, Action.NOTE_WRITE)
    take_client_lock(sa.select(Case.client_id).where(Case.id == case_id).scalar_subquery())
    found = run(_select_case_for_note(actor.role), asks=actor.id, case=case_id).first()
    if found is None:
        raise NotFound
    if found.status != "open":
        raise RuleBroken(
            Reason("case_closed", "This case is closed.", "Reopen the case to add a note.")
        )
    moment = now()
    stored = {
        "id": new_id(),
        "case_id": case_id,
        "client_id": found.client_id,
        "author_id": actor.id,
        "format": new.format,
        "session_at": new.session_at,
        "minutes": new.minutes or None,
        "modality": new.modality,
        "status": "draft",
        "updated_at": moment,
        "version": 1,
    }
    sections = convert_sections(new.sections, new.format)
    row = Note(id=stored["id"], client_id=found.client_id)
    sealed = seal_json(row, "sections", sections, unwrap(found.client_id, found.wrapped))
    run(INSERT_NOTE, **stored, sections=sealed, created_at=moment)
    record(actor, Action.NOTE_WRITE, "note", stored["id"], client_id=found.client_id)
    return NoteRecord(
        **stored,
        sections=sections,
        screening_id=None,
        unrecorded_level=None,
        signed_at=None,
        sha256=None,
        author=actor.name,
        client=found.name,
        number=found.number,
        draft=NO_ANSWERS,
    )


@cache
def _select_case_for_note(role: Role) -> sa.Select[*tuple[Any, ...]]:
    """Build, once for each role, the query for a visible case, its client and the client's key."""
    return (
        sa.select(Case.client_id, Case.status, Case.number, Client.name, ClientKey.wrapped)
        .join(Client, Client.id == Case.client_id)
        .join(ClientKey, ClientKey.client_id == Case.client_id)
        .where(
            Case.id == sa.bindparam("case"),
            is_visible_client(role, sa.bindparam("asks"), Case.client_id),
        )
    )


def save_draft(actor: Actor, note_id: UUID, change: DraftChange, expected_version: int) -> int:
    """Save the changed parts of the actor's own draft, and return its new version.

    A change that is already stored is not saved again, so repeating an autosave whose response was lost is harmless.
    Raises NotFound, RuleBroken for a signed note, Invalid, and Stale when another window saved a newer version first.
    """
    require(actor, Action.NOTE_WRITE)
    note, key = _load_draft(actor, note_id)
    before = unseal_note(note, key)
    after = replace(
        before,
        format=change.format or before.format,
        session_at=change.session_at or before.session_at,
        minutes=before.minutes if change.minutes is None else change.minutes or None,
        modality=change.modality or before.modality,
        sections=merge_sections(before.format, before.sections, change),
        draft=before.draft if change.screening is None else change.screening,
    )
    if after == before:
        return note.version
    set_committed_value(note, "version", expected_version)
    note.format, note.modality, note.minutes = after.format, after.modality, after.minutes
    note.session_at = after.session_at
    note.sections = seal_json(note, "sections", after.sections, key)
    _store_answers(note, after.draft, key)
    note.updated_at = now()
    db.session.flush()
    changed = [
        name
        for name in ("format", "session_at", "minutes", "modality", "sections", "draft")
        if getattr(after, name) != getattr(before, name)
    ]
    _record(actor, Action.NOTE_WRITE, note, {"fields": changed})
    return note.version


def record_draft_screening(actor: Actor, note_id: UUID, expected_version: int) -> UUID:
    """Record the answers in a draft as a screening, open what its levels require, and clear the draft's answers.

    Returns the screening's id. A blank answer counts as not asked: in a crisis nobody fills in nine answers first.
    Raises NotFound, RuleBroken for a signed note, Invalid when nothing was asked, Stale.
    """
    require(actor, Action.NOTE_WRITE)
    note, key = _load_draft(actor, note_id)
    set_committed_value(note, "version", expected_version)
    screening_id = _record_answers(actor, note, unseal_note(note, key).draft, key)
    note.updated_at = now()
    db.session.flush()
    _record(actor, Action.NOTE_WRITE, note, {"screening": str(screening_id)})
    return screening_id


def sign_note(actor: Actor, note_id: UUID, expected_version: int) -> None:
    """Sign and lock the actor's own draft; record an unrecorded screening in it in the same transaction.

    From then on database triggers refuse every change. Raises NotFound, RuleBroken for a signed note, Invalid naming
    every missing part, Stale.
    """
    require(actor, Action.NOTE_SIGN)
    note, key = _load_draft(actor, note_id)
    moment = now()
    draft = unseal_note(note, key)
    if problems := missing_for_signature(draft, moment):
        raise Invalid(problems, "This note is not complete yet.")
    set_committed_value(note, "version", expected_version)
    if draft.draft.highest_level is not None:
        _record_answers(actor, note, draft.draft, key)
    _store_answers(note, NO_ANSWERS, key)
    note.status = "signed"
    note.signed_at = note.updated_at = moment
    note.signed_by = actor.id
    note.sha256 = note_digest(unseal_note(note, key))
    db.session.flush()
    _record(actor, Action.NOTE_SIGN, note, {"sha256": note.sha256})


def discard_draft(actor: Actor, note_id: UUID, expected_version: int) -> None:
    """Delete the actor's own draft; a screening recorded from it is kept.

    Raises NotFound, Stale, and RuleBroken for a signed note or a draft with an unrecorded concern.
    """
    require(actor, Action.NOTE_WRITE)
    note, _key = _load_draft(actor, note_id)
    if (note.unrecorded_level or 0) >= Level.CONCERN:
        raise RuleBroken(
            Reason(
                "unrecorded_concern",
                "This draft mentions a concern that has not been recorded yet.",
                "Record the screening first, or correct its levels.",
            )
        )
    set_committed_value(note, "version", expected_version)
    db.session.delete(note)
    db.session.flush()
    _record(actor, Action.NOTE_WRITE, note, {"discarded": True})


def _load_draft(actor: Actor, note_id: UUID) -> tuple[Note, DataKey]:
    take_client_lock(sa.select(Note.client_id).where(Note.id == note_id).scalar_subquery())
    note, key = load_note(actor, note_id)
    if note.status != "draft":
        raise RuleBroken(
            Reason(
                "note_signed",
                "This note is signed and can't be changed.",
                "Start a new note for anything you want to add.",
            )
        )
    return note, key


def _store_answers(note: Note, draft: DraftScreening, key: DataKey) -> None:
    note.unrecorded_level = draft.highest_level
    note.draft_screening = (
        seal_json(
            note,
            "draft_screening",
            {
                "answers": draft.answers,
                "asked_alone": draft.asked_alone,
                "actions_taken": list(draft.actions_taken),
                "comment": draft.comment,
            },
            key,
        )
        if draft.touched
        else None
    )


def _record_answers(actor: Actor, note: Note, draft: DraftScreening, key: DataKey) -> UUID:
    screening_id = record_screening(actor, note.client_id, draft.screening, note_id=note.id)
    note.screening_id = screening_id
    _store_answers(note, NO_ANSWERS, key)
    return screening_id


def _record(actor: Actor, action: Action, note: Note, details: dict[str, Any]) -> None:
    record(actor, action, "note", note.id, client_id=note.client_id, details=details)
