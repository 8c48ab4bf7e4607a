"""The operation that files the draft of somebody who has left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy.orm.attributes import set_committed_value

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.errors import Invalid
from caseapp.core.ids import new_id
from caseapp.core.permissions import Action
from caseapp.domain.audit.operations import record
from caseapp.domain.notes.left_draft_rules import check_filing, give_reason, list_words_to_keep
from caseapp.domain.notes.queries import LockedNote, get_note
from caseapp.domain.notes.records import Addendum, NoteRecord
from caseapp.domain.notes.storing import record_answers, sign_text, store_addendum
from caseapp.domain.practice.queries import get_practice_info

if TYPE_CHECKING:
    from datetime import datetime

    from caseapp.domain.notes.left_draft_queries import LockedLeftDraft


def file_draft(
    actor: Actor, draft: LockedLeftDraft, reason: str, expected_version: int
) -> NoteRecord:
    """File the draft of somebody who has left as a note that its author never signed, and return it.

    The text stays as it was left, and its author stays its author. The supervisor signs that they filed it, and why:
    that is its first addendum. Answers to a screening that nobody has recorded are recorded, with what they require;
    copied ones that nobody has confirmed are not. It needs no co-signature. Its earlier texts are deleted, as when a
    note is signed.

    Raises RuleBroken and Stale.
    """
    require(actor, Action.DRAFT_FILE)
    moment, note = now(), draft.note
    check_filing(draft, moment)
    found = note.record
    set_committed_value(note.row, "version", expected_version)
    if found.draft.has_unrecorded:
        _record_left_answers(actor, note, found, reason)
    addendum = _make_filing(actor, found, reason, moment)
    store_addendum(note, addendum)
    note.row.addenda = addendum.seq
    sign_text(actor, note, "filed", moment)
    details = {"sha256": note.row.sha256, "author": str(draft.author_id)}
    client_id = note.client.id
    record(actor, Action.DRAFT_FILE, "note", note.row.id, client_id=client_id, details=details)
    return get_note(actor, note.row.id)


def _record_left_answers(actor: Actor, note: LockedNote, found: NoteRecord, reason: str) -> None:
    """Record the answers in a draft; where only the reason of a much lower level is missing, filing gives it."""
    try:
        record_answers(actor, note, found)
    except Invalid as error:
        if error.fields.keys() != {"below_reason"}:
            raise
        record_answers(actor, note, give_reason(found, reason))


def _make_filing(actor: Actor, note: NoteRecord, reason: str, moment: datetime) -> Addendum:
    return Addendum(
        new_id(),
        note.id,
        note.client_id,
        1,
        "filed",
        moment,
        actor.id,
        actor.role.value,
        get_practice_info().practice.zone,
        list_words_to_keep(note),
        reason,
        None,
        None,
    )
