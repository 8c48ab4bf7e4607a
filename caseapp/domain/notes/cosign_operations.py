"""Operations on notes that need a co-signature: ask for one, co-sign, return to the author."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db, run
from caseapp.core.errors import Stale
from caseapp.core.ids import new_id
from caseapp.core.permissions import Action
from caseapp.core.vault import seal_bytes
from caseapp.domain.audit.operations import record
from caseapp.domain.notes.amendment_queries import list_amendments
from caseapp.domain.notes.cosign_queries import count_returns
from caseapp.domain.notes.cosign_rules import (
    check_cosign,
    check_return,
    find_state_after_addendum,
    review_version,
)
from caseapp.domain.notes.models import NoteReturn, NoteReview, NoteSignature
from caseapp.domain.notes.queries import get_note
from caseapp.domain.notes.sealing import load_addenda
from caseapp.domain.notes.signatures import make_cosignature, signature_row
from caseapp.domain.practice.queries import get_practice_info
from caseapp.domain.users.queries import needs_cosignature

if TYPE_CHECKING:
    from datetime import datetime

    from caseapp.domain.notes.queries import LockedNote
    from caseapp.domain.notes.records import NoteRecord

INSERT_SIGNATURE = sa.insert(NoteSignature.__table__)  # type: ignore[arg-type]


def ask_for_cosignature(note: LockedNote, moment: datetime) -> bool:
    """Let a note that its author has just signed wait for a co-signature, if theirs need one; tell whether it does."""
    if not needs_cosignature(note.row.author_id):
        return False
    db.session.add(
        NoteReview(
            note_id=note.row.id, client_id=note.row.client_id, state="waiting", waits_since=moment
        )
    )
    db.session.flush()
    return True


def follow_addendum(note: NoteRecord, kind: str, moment: datetime) -> None:
    """Send a returned note back for a co-signature after an addendum of a kind; one in error needs none any more."""
    state = find_state_after_addendum(note.review, kind)
    if state == note.review:
        return
    _put_review(note, state, moment)


def _put_review(note: NoteRecord, state: str | None, moment: datetime) -> None:
    row = db.session.get_one(NoteReview, note.id, populate_existing=True)
    if state is None:
        db.session.delete(row)
    else:
        row.state, row.waits_since = state, moment
    db.session.flush()


def _check_version(note: NoteRecord, expected_version: int) -> int:
    """Check that a note's review has the version that somebody has seen, and return how often it was returned."""
    returns = count_returns(note.id)
    if review_version(note, returns) != expected_version:
        raise Stale
    return returns


def cosign_note(actor: Actor, note: LockedNote, expected_version: int) -> NoteRecord:
    """Co-sign a signed note of somebody else together with its addenda, and return it.

    Raises RuleBroken, and Stale when something was added to it or it was returned since `expected_version` of its
    review.
    """
    require(actor, Action.NOTE_COSIGN)
    # Read with its signature and its addenda: nobody co-signs a note that was changed.
    found = get_note(actor, note.row.id)
    check_cosign(actor, note, found, list_amendments([found]).get(found.id, []))
    _check_version(found, expected_version)
    moment, digests = now(), [each.digest for each in load_addenda([found.id]).get(found.id, ())]
    zone = get_practice_info().practice.zone
    signature = make_cosignature(found, digests, actor.id, actor.role.value, zone, moment)
    run(INSERT_SIGNATURE, **signature_row(signature))
    _put_review(found, None, moment)
    details = {"sha256": signature.digest, "addenda": len(digests)}
    record(actor, Action.NOTE_COSIGN, "note", found.id, client_id=found.client_id, details=details)
    return get_note(actor, found.id)


def return_note(actor: Actor, note: LockedNote, comment: str, expected_version: int) -> NoteRecord:
    """Return a signed note to its author with a comment, and return it; the note stays as it is.

    Its author answers by an addendum, which sends it back. Raises RuleBroken, and Stale when something was added to it
    or it was returned since `expected_version` of its review.
    """
    require(actor, Action.NOTE_RETURN)
    found = get_note(actor, note.row.id)
    check_return(actor, note, found)
    before = _check_version(found, expected_version)
    moment = now()
    row = NoteReturn(
        id=new_id(),
        note_id=found.id,
        client_id=found.client_id,
        seq=before + 1,
        created_at=moment,
        created_by=actor.id,
    )
    row.comment = seal_bytes(row, "comment", comment.encode(), note.key)
    db.session.add(row)
    _put_review(found, "returned", moment)
    details = {"return": row.seq}
    record(actor, Action.NOTE_RETURN, "note", found.id, client_id=found.client_id, details=details)
    return get_note(actor, found.id)
