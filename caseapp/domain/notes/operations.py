"""Done: notes started, saved as drafts, screened from, signed and locked, or thrown away unsigned."""

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
from caseapp.domain.clients.models import Client, ClientKey
from caseapp.domain.clients.queries import is_visible_client
from caseapp.domain.notes.models import Note
from caseapp.domain.notes.queries import note_digest, load_note, opened, missing_for_signature
from caseapp.domain.notes.schemas import (
    FORMATS,
    MAX_NOTE_LENGTH,
    SECTIONS,
    NO_ANSWERS,
    DraftScreening,
    NoteRecord,
)
from caseapp.domain.screening.operations import record_screening
from caseapp.domain.screening.protocol import Level

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.domain.notes.schemas import DraftChange, NewNote


BEGIN = sa.insert(Note.__table__)  # type: ignore[arg-type]


def create_note(actor: Actor, case_id: UUID, new: NewNote) -> NoteRecord:
    """Start a draft of the actor's own about a session of an open case; show it as it stands from now on.

    Raises NotFound, and RuleBroken when the case is closed.
    """
    require(actor, Action.NOTE_WRITE)
    ground = run(_ground(actor.role), asks=actor.id, case=case_id).first()
    if ground is None:
        raise NotFound
    if ground.status != "open":
        raise RuleBroken(
            Reason("case_closed", "This case is closed.", "Reopen it to write about a new session.")
        )
    moment = now()
    stored = {
        "id": new_id(),
        "case_id": case_id,
        "client_id": ground.client_id,
        "author_id": actor.id,
        "format": new.format,
        "session_at": new.session_at,
        "minutes": new.minutes or None,
        "modality": new.modality,
        "status": "draft",
        "updated_at": moment,
        "version": 1,
    }
    sections = _carried(new.sections, new.format)
    place = Note(id=stored["id"], client_id=ground.client_id)
    sealed = seal_json(place, "sections", sections, unwrap(ground.client_id, ground.wrapped))
    run(BEGIN, **stored, sections=sealed, created_at=moment)
    record(actor, Action.NOTE_WRITE, "note", stored["id"], client_id=ground.client_id)
    return NoteRecord(
        **stored,
        sections=sections,
        screening_id=None,
        unrecorded_level=None,
        signed_at=None,
        sha256=None,
        author=actor.name,
        client=ground.name,
        number=ground.number,
        draft=NO_ANSWERS,
    )


@cache
def _ground(role: Role) -> sa.Select[*tuple[Any, ...]]:
    """Build, once for each role, the question on which ground a note about a case may be started."""
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
    """Save what changed in the actor's own draft; give its version from here on.

    What stands there already is not saved again, so that a repeated autosave whose answer was lost does no harm. Raises
    NotFound, RuleBroken for a signed note, Invalid, and Stale when another window saved a newer version first.
    """
    require(actor, Action.NOTE_WRITE)
    note, key = _draft(actor, note_id)
    before = opened(note, key)
    after = replace(
        before,
        format=change.format or before.format,
        session_at=change.session_at or before.session_at,
        minutes=before.minutes if change.minutes is None else change.minutes or None,
        modality=change.modality or before.modality,
        sections=_sections(before.format, before.sections, change),
        draft=before.draft if change.screening is None else change.screening,
    )
    if after == before:
        return note.version
    set_committed_value(note, "version", expected_version)
    note.format, note.modality, note.minutes = after.format, after.modality, after.minutes
    note.session_at = after.session_at
    note.sections = seal_json(note, "sections", after.sections, key)
    _keep_answers(note, after.draft, key)
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
    """Record the answers of a draft as a screening, with everything that they demand, and empty the draft's panel.

    What was left blank counts as not asked: in a crisis nobody fills in nine answers first. Raises NotFound, RuleBroken
    for a signed note, Invalid when nothing was asked, Stale.
    """
    require(actor, Action.NOTE_WRITE)
    note, key = _draft(actor, note_id)
    set_committed_value(note, "version", expected_version)
    screening_id = _record_answers(actor, note, opened(note, key).draft, key)
    note.updated_at = now()
    db.session.flush()
    _record(actor, Action.NOTE_WRITE, note, {"screening": str(screening_id)})
    return screening_id


def sign_note(actor: Actor, note_id: UUID, expected_version: int) -> None:
    """Sign and lock the actor's own draft; an unrecorded screening in it is recorded in the same transaction.

    From here on triggers refuse every change. Raises NotFound, RuleBroken for a signed note, Invalid naming every part
    that is missing, Stale.
    """
    require(actor, Action.NOTE_SIGN)
    note, key = _draft(actor, note_id)
    moment = now()
    draft = opened(note, key)
    if faults := missing_for_signature(draft, moment):
        raise Invalid(faults, "This note is not whole yet.")
    set_committed_value(note, "version", expected_version)
    if draft.draft.highest_level is not None:
        _record_answers(actor, note, draft.draft, key)
    _keep_answers(note, NO_ANSWERS, key)
    note.status = "signed"
    note.signed_at = note.updated_at = moment
    note.signed_by = actor.id
    note.sha256 = note_digest(opened(note, key))
    db.session.flush()
    _record(actor, Action.NOTE_SIGN, note, {"sha256": note.sha256})


def discard_draft(actor: Actor, note_id: UUID, expected_version: int) -> None:
    """Throw the actor's own draft away for good; a screening that was recorded from it stays.

    Raises NotFound, Stale, and RuleBroken for a signed note or while the draft holds a concern that nobody recorded.
    """
    require(actor, Action.NOTE_WRITE)
    note, _key = _draft(actor, note_id)
    if (note.unrecorded_level or 0) >= Level.CONCERN:
        raise RuleBroken(
            Reason(
                "unrecorded_concern",
                "This draft holds a concern that is not recorded yet.",
                "Record the screening first, or set its levels right.",
            )
        )
    set_committed_value(note, "version", expected_version)
    db.session.delete(note)
    db.session.flush()
    _record(actor, Action.NOTE_WRITE, note, {"discarded": True})


def _draft(actor: Actor, note_id: UUID) -> tuple[Note, DataKey]:
    note, key = load_note(actor, note_id)
    if note.status != "draft":
        raise RuleBroken(
            Reason(
                "note_signed",
                "This note is signed and can no longer change.",
                "Write what is new into a note of its own.",
            )
        )
    return note, key


def _sections(before_format: str, before: dict[str, str], change: DraftChange) -> dict[str, str]:
    target = change.format or before_format
    strange = change.sections.keys() - FORMATS[before_format].keys() - FORMATS[target].keys()
    if strange:
        raise Invalid(
            {"sections": [f"This format has no section named {', '.join(sorted(strange))}."]}
        )
    sections = _carried({**before, **change.sections}, target)
    if sum(map(len, sections.values())) > MAX_NOTE_LENGTH:
        longest = max(sections, key=lambda key: len(sections[key]))
        raise Invalid({longest: [f"A note holds at most {MAX_NOTE_LENGTH:,} characters in all."]})
    return sections


def _carried(sections: dict[str, str], target: str) -> dict[str, str]:
    """Arrange texts for a format; what has no box there goes to the top of the first one, so that no word is lost."""
    kept = {key: sections.get(key, "") for key in FORMATS[target]}
    first = next(iter(kept))
    homeless = [
        text if key == "text" else f"{SECTIONS[key].label}: {text}"
        for key, text in sections.items()
        if key not in kept and text
    ]
    kept[first] = "\n\n".join([*homeless, *filter(None, [kept[first]])])
    return kept


def _keep_answers(note: Note, draft: DraftScreening, key: DataKey) -> None:
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
    _keep_answers(note, NO_ANSWERS, key)
    return screening_id


def _record(actor: Actor, action: Action, note: Note, details: dict[str, Any]) -> None:
    record(actor, action, "note", note.id, client_id=note.client_id, details=details)
