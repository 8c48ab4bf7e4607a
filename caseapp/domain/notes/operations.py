"""Operations on session notes: start, save, record the screening, sign, add to, discard."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm.attributes import set_committed_value

from caseapp.core.actor import Actor, operator, require
from caseapp.core.clock import now
from caseapp.core.database import UTCTime, db, run, run_for_each
from caseapp.core.ids import new_id
from caseapp.core.permissions import Action
from caseapp.core.vault import seal_json
from caseapp.domain.audit.chain import is_recorded
from caseapp.domain.audit.operations import record, record_once
from caseapp.domain.clients.queries import find_coach_id
from caseapp.domain.legal_holds.queries import is_on_legal_hold
from caseapp.domain.notes.copied_rules import check_copied, keep_between_saves
from caseapp.domain.notes.cosign_operations import (
    INSERT_SIGNATURE,
    ask_for_cosignature,
    follow_addendum,
)
from caseapp.domain.notes.models import Note, NoteSignature
from caseapp.domain.notes.queries import (
    find_opening,
    get_note,
    list_stated_levels,
    list_unsigned_rows,
    locked_draft,
    open_for_signature,
)
from caseapp.domain.notes.records import (
    NO_ANSWERS,
    Addendum,
    DraftScreening,
    NoteRecord,
)
from caseapp.domain.notes.revision_operations import delete_texts, keep_text
from caseapp.domain.notes.rules import (
    apply_addenda,
    check_addendum,
    check_discard,
    check_draft,
    check_new_note,
    check_sign,
    convert_sections,
    find_addendum_kind,
    forget_recorded,
    is_emptied,
    keep_emptied,
    merge_sections,
)
from caseapp.domain.notes.signatures import (
    make_signature,
    signature_row,
)
from caseapp.domain.notes.storing import (
    record_answers,
    sign_text,
    store_addendum,
    store_answers,
)
from caseapp.domain.practice.queries import get_practice_info, today
from caseapp.domain.screening.correction_operations import mark_in_error
from caseapp.domain.screening.proposals import check_lasting_since
from caseapp.domain.screening.rules import opens_safety_hold

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.domain.notes.queries import LockedCaseForNote, LockedNote
    from caseapp.domain.notes.schemas import DraftChange, NewAddendum, NewNote
    from caseapp.domain.screening.queries import LockedScreening


INSERT_NOTE = sa.insert(Note.__table__)  # type: ignore[arg-type]
SIGNED_AT_ONCE = 500
SIGNATURES = "signatures"
"""The `dedup_key` of the event which says that the notes of earlier releases were signed."""


def create_note(actor: Actor, case: LockedCaseForNote, new: NewNote) -> NoteRecord:
    """Start the actor's draft about a session of an open case, and return it.

    Raises RuleBroken when the case is closed, and beside a draft of the actor's in the case, unless it is another note.
    """
    require(actor, Action.NOTE_WRITE)
    check_new_note(case, new)
    moment = now()
    stored: dict[str, Any] = {
        "id": new_id(),
        "case_id": case.id,
        "client_id": case.client_id,
        "author_id": actor.id,
        "format": new.format,
        "session_at": new.session_at,
        "minutes": new.minutes or None,
        "modality": new.modality,
        "actual_session_at": new.session_at,
        "actual_minutes": new.minutes or None,
        "in_error": False,
        "status": "draft",
        "updated_at": moment,
        "version": 1,
    }
    sections = convert_sections(new.sections, new.format)
    row = Note(id=stored["id"], client_id=case.client_id)
    sealed = seal_json(row, "sections", sections, case.key)
    run(INSERT_NOTE, **stored, sections=sealed, created_at=moment, addenda=0)
    record(actor, Action.NOTE_WRITE, "note", stored["id"], client_id=case.client_id)
    return NoteRecord(
        **stored,
        sections=sections,
        screening_id=None,
        signed_at=None,
        sha256=None,
        author=actor.name,
        client=case.client,
        number=case.number,
        draft=NO_ANSWERS,
    )


def save_draft(actor: Actor, note: LockedNote, change: DraftChange, expected_version: int) -> int:
    """Save the changed parts of the actor's own draft, and return its new version.

    An answer or circumstance that opens a safety hold is recorded with everything asked so far, in the same
    transaction: a draft is a place to write, not to hide. The draft keeps the answers, and remembers what was recorded.
    A change that is already stored is not saved again, so repeating an autosave whose response was lost is harmless.
    Every few minutes, the text that is replaced is kept.

    Raises RuleBroken for a signed note, Invalid, and Stale when another window saved a newer version first.
    """
    require(actor, Action.NOTE_WRITE)
    check_draft(note)
    row, before = note.row, note.record
    session_at = change.session_at or before.session_at
    minutes = before.minutes if change.minutes is None else change.minutes or None
    after = replace(
        before,
        format=change.format or before.format,
        session_at=session_at,
        minutes=minutes,
        actual_session_at=session_at,
        actual_minutes=minutes,
        modality=change.modality or before.modality,
        sections=merge_sections(before.format, before.sections, change),
        draft=keep_between_saves(before.draft, change),
    )
    opens_hold = _opens_hold(note, after.draft)
    if is_emptied(before, after) and is_on_legal_hold(note.client.id):
        # What opens a safety hold is recorded whatever else is refused: the text stays then.
        after = keep_emptied(before, after, opens_hold=opens_hold)
    if after == before and not opens_hold:
        return row.version
    moment = now()
    keep_text(note, before, after, moment)
    # Recording reads from the database: the row is changed after it, so that it is stored once.
    draft = record_answers(actor, note, after) if opens_hold else after.draft
    set_committed_value(row, "version", expected_version)
    row.format, row.modality = after.format, after.modality
    row.session_at = row.actual_session_at = session_at
    row.minutes = row.actual_minutes = minutes
    row.sections = seal_json(row, "sections", after.sections, note.key)
    store_answers(note, draft)
    row.updated_at = moment
    db.session.flush()
    changed = [
        name
        for name in ("format", "session_at", "minutes", "modality", "sections", "draft")
        if getattr(after, name) != getattr(before, name)
    ]
    _record(actor, Action.NOTE_WRITE, note, {"fields": changed})
    return row.version


def record_opening_answers(actor: Actor, note: LockedNote) -> None:
    """Record the answers in a draft that was moved, if they open a safety hold where it is now, as saving it does."""
    found = note.record
    if _opens_hold(note, found.draft):
        store_answers(note, record_answers(actor, note, found))
        db.session.flush()


def discard_copied(note: LockedNote) -> None:
    """Take the copied answers out of a draft that is moved: they are the former client's, and nobody gave them here."""
    draft = note.record.draft
    if draft.copied:
        store_answers(note, replace(draft, copied={}))


def record_draft_screening(actor: Actor, note: LockedNote, expected_version: int) -> UUID:
    """Record the answers in a draft as a screening, open what its levels require, and clear the draft's answers.

    Returns the screening's id. What saving the draft has recorded is not recorded again. A blank answer counts as not
    asked: in a crisis nobody fills in every answer first. Copied answers stay copied. Raises RuleBroken for a signed
    note, Invalid when nothing was asked, Stale.
    """
    require(actor, Action.NOTE_WRITE)
    check_draft(note)
    found = note.record
    check_copied(note)
    check_lasting_since(found.draft.screening, today())
    set_committed_value(note.row, "version", expected_version)
    if found.draft.has_unrecorded or found.draft.recorded is None:
        record_answers(actor, note, found)
    store_answers(note, replace(NO_ANSWERS, copied=found.draft.copied))
    note.row.updated_at = now()
    db.session.flush()
    screening_id = note.row.screening_id
    assert screening_id is not None  # noqa: S101 - a draft remembers what was recorded only with it
    _record(actor, Action.NOTE_WRITE, note, {"screening": str(screening_id)})
    return screening_id


def sign_note(actor: Actor, note: LockedNote, expected_version: int) -> None:
    """Sign and lock the actor's own draft; record an unrecorded screening in it in the same transaction.

    From then on database triggers refuse every change. The note of a coach whose notes need a co-signature then waits
    for one. Raises RuleBroken for a signed note, Invalid naming every
    missing part, Stale.
    """
    require(actor, Action.NOTE_SIGN)
    moment = now()
    check_sign(note, moment, today())
    row, found = note.row, note.record
    set_committed_value(row, "version", expected_version)
    if found.draft.has_unrecorded:
        record_answers(actor, note, found)
    sign_text(actor, note, "author", moment)
    needs = {"needs_cosignature": True} if ask_for_cosignature(note, moment) else {}
    _record(actor, Action.NOTE_SIGN, note, {"sha256": row.sha256} | needs)


def add_addendum(actor: Actor, note: LockedNote, new: NewAddendum) -> NoteRecord:
    """Sign an addendum to a signed note, which itself stays as it is; return the note with it.

    Lists and counts then use what a correction says of the session's time and minutes. A note that was entered in error
    no longer counts as a session; a screening that was recorded with it stays until it is marked itself. Raises
    RuleBroken and Invalid.
    """
    require(actor, Action.NOTE_AMEND)
    moment, row = now(), note.row
    # Read with its signature and its addenda: nothing is added to a note that was changed.
    found = get_note(actor, row.id)
    opened_at = find_opening(row.case_id)
    check_addendum(actor, note, found, find_coach_id(note.client.id), opened_at, new, moment)
    addendum = Addendum(
        new_id(),
        row.id,
        note.client.id,
        row.addenda + 1,
        find_addendum_kind(new.kind, found, moment),
        moment,
        actor.id,
        actor.role.value,
        get_practice_info().practice.zone,
        new.text,
        new.reason,
        new.session_at,
        new.minutes,
    )
    store_addendum(note, addendum)
    row.actual_session_at, row.actual_minutes, row.in_error = apply_addenda(
        row.actual_session_at, row.actual_minutes, [addendum]
    )
    row.addenda = addendum.seq
    db.session.flush()
    follow_addendum(found, addendum.kind, moment)
    details = {"addendum": str(addendum.id), "kind": addendum.kind}
    _record(actor, Action.NOTE_AMEND, note, details)
    return get_note(actor, row.id)


def record_missing_signatures() -> int:
    """Record, in the open transaction, signatures of the notes that earlier releases signed; return how many.

    They are the signed notes from before the oldest signature: a later one whose signature is missing lost it. A note
    that doesn't open gets none, and is shown as altered. It is done once, also where there are none: one event of the
    log holds their number and a hash of their ids and digests, and while it stands nothing is signed any more.
    """
    if is_recorded(db.session.connection(), SIGNATURES):
        return 0
    zone, moment, number, after = get_practice_info().practice.zone, now(), 0, None
    digest = hashlib.sha256()
    oldest = db.session.scalar(sa.select(sa.func.min(NoteSignature.signed_at, type_=UTCTime())))
    while rows := list_unsigned_rows(oldest, after, SIGNED_AT_ONCE):
        signatures = [
            signature_row(
                make_signature(note, "author", row.signed_by or row.author_id, None, zone, moment)
            )
            for row in rows
            if (note := open_for_signature(row)) is not None
        ]
        if signatures:
            run_for_each(INSERT_SIGNATURE, signatures)
        for each in signatures:
            digest.update(f"{each['note_id'].hex}\t{each['digest']}\n".encode())
        number, after = number + len(signatures), rows[-1].id
    details = {"notes": number, "sha256": digest.hexdigest()}
    record_once(operator(), Action.SIGNATURES_BEGIN, "note", SIGNATURES, details)
    return number


def discard_draft(actor: Actor, note: LockedNote, expected_version: int) -> None:
    """Delete the actor's own draft; a screening recorded from it is kept.

    Raises Stale, and RuleBroken for a signed note, a draft that was moved, one with an unrecorded concern, and while a
    legal hold stands on the record.
    """
    require(actor, Action.NOTE_WRITE)
    check_discard(note, is_held=is_on_legal_hold(note.client.id))
    set_committed_value(note.row, "version", expected_version)
    delete_texts(note.row.id)
    db.session.delete(note.row)
    db.session.flush()
    _record(actor, Action.NOTE_WRITE, note, {"discarded": True})


def mark_screening_in_error(actor: Actor, locked: LockedScreening, reason: str) -> None:
    """Mark a screening as recorded in error, see `mark_in_error`, and take its answers out of the draft they came from.

    An answer that opens a safety hold has to be given again there; the others stay, and are recorded with the rest.
    Raises RuleBroken.
    """
    mark_in_error(actor, locked, reason)
    screening = locked.screening
    note = locked_draft(locked.client, screening.note_id) if screening.note_id else None
    if note is None:
        return
    row, draft = note.row, forget_recorded(note.record.draft, screening.id)
    if row.screening_id == screening.id:
        origins = draft.recorded.origins.values() if draft.recorded else ()
        counting = [each.id for each in locked.history.screenings if each.id in {*origins}]
        row.screening_id = counting[0] if counting else None
    store_answers(note, draft)
    row.updated_at = now()
    db.session.flush()


def _opens_hold(note: LockedNote, draft: DraftScreening) -> bool:
    stated = list_stated_levels(note, draft)
    return any(opens_safety_hold(*answer) for answer in stated.items())


def _record(actor: Actor, action: Action, note: LockedNote, details: dict[str, Any]) -> None:
    record(actor, action, "note", note.row.id, client_id=note.client.id, details=details)
