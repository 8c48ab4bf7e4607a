"""Rules for co-signing notes: who may co-sign or return one, and what a co-signature is bound to. Pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.core.errors import Reason, refuse_for
from caseapp.domain.notes.amendment_rules import find_open
from caseapp.domain.notes.rules import NOT_SIGNED, NOTE_ALTERED, NOTE_IN_ERROR, hash_canonical

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from caseapp.core.actor import Actor
    from caseapp.domain.notes.amendment_records import AmendmentRequest
    from caseapp.domain.notes.queries import LockedNote
    from caseapp.domain.notes.records import NoteRecord

OWN_NOTE = Reason(
    "own_note", "You can’t co-sign your own note.", "Ask another supervisor to co-sign it."
)
COSIGNED = Reason(
    "already_cosigned", "This note has already been co-signed.", "There is nothing to do."
)
NOT_WAITING = Reason(
    "no_cosignature_needed", "This note doesn’t need a co-signature.", "There is nothing to do."
)
RETURNED = Reason(
    "already_returned",
    "This note has already been returned, and nothing has been added to it since.",
    "Wait for an addendum, or co-sign the note.",
)
HAS_REQUEST = Reason(
    "note_has_request",
    "The client’s request to correct this note is waiting for an answer.",
    "Answer it first: your co-signature wouldn’t cover a correction that comes later.",
)


def list_cosign_blockers(
    note: NoteRecord, requests: Sequence[AmendmentRequest], actor_id: UUID
) -> list[Reason]:
    """List why a supervisor who may read a note can't co-sign it; empty when they can.

    It has to be signed, unchanged since, not entered in error, and by somebody else whose notes need a co-signature,
    and no request of the client to correct it waits: the correction would come after the co-signature, which wouldn't
    cover it. A supervisor may answer the request themselves. Product proposal, awaiting sign-off.
    """
    return _list_review_blockers(note, actor_id) or ([HAS_REQUEST] if find_open(requests) else [])


def _list_review_blockers(note: NoteRecord, actor_id: UUID) -> list[Reason]:
    if note.status != "signed":
        return [NOT_SIGNED]
    if not note.is_as_signed:
        return [NOTE_ALTERED]
    if note.in_error:
        return [NOTE_IN_ERROR]
    if note.cosignature is not None:
        return [COSIGNED]
    if note.review is None:
        return [NOT_WAITING]
    return [OWN_NOTE] if actor_id == note.author_id else []


def list_return_blockers(note: NoteRecord, actor_id: UUID) -> list[Reason]:
    """List why a supervisor who may read a note can't return it to its author; empty when they can."""
    found = _list_review_blockers(note, actor_id)
    return found or ([RETURNED] if note.review == "returned" else [])


def check_cosign(
    actor: Actor, note: LockedNote, found: NoteRecord, requests: Sequence[AmendmentRequest]
) -> None:
    """Check that somebody can co-sign a note, as it and the requests about it were `found` after the lock.

    Raises RuleBroken.
    """
    assert found.id == note.row.id  # noqa: S101 - the caller has read the note that it has locked
    refuse_for(list_cosign_blockers(found, requests, actor.id))


def check_return(actor: Actor, note: LockedNote, found: NoteRecord) -> None:
    """Check that somebody can return a note to its author, as it was `found` after the lock.

    Raises RuleBroken.
    """
    assert found.id == note.row.id  # noqa: S101 - the caller has read the note that it has locked
    refuse_for(list_return_blockers(found, actor.id))


def find_state_after_addendum(state: str | None, kind: str) -> str | None:
    """Return the state of a note's co-signing after an addendum; None when it needs none.

    An addendum sends a returned note back to the supervisor. A note that was entered in error needs no co-signature.
    """
    return "waiting" if state and kind != "in_error" else None


def review_version(note: NoteRecord, returns: int) -> int:
    """Return the version of a note's review, which is another one after each addendum, move and return of the note."""
    # A trigger lets nothing change the note's own version for a return.
    return note.version + returns


def cosigned_digest(note_digest: str, addendum_digests: Sequence[str]) -> str:
    """Return what a co-signature is bound to: the digests of the note and of the addenda that it had, in order."""
    # Digests are stored: this form must never change.
    return hash_canonical({"note": note_digest, "addenda": [*addendum_digests]})
