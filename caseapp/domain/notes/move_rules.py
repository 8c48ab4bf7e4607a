"""Rules for moving a note that was filed in the wrong record, and what a moved note must fit. Pure functions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from caseapp.core.errors import Invalid, Reason, refuse_for
from caseapp.core.permissions import Role

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from uuid import UUID

    from caseapp.core.actor import Actor
    from caseapp.domain.notes.move_queries import LockedNoteMove
    from caseapp.domain.notes.records import NoteMove, NoteRecord
    from caseapp.domain.notes.schemas import NewNoteMove

LEAST_NAME = 3
"""Characters: shorter words of a name stand in too many sentences."""

NOT_AUTHOR = Reason(
    "not_author_of_note",
    "You didn’t write this note.",
    "Ask its author or a supervisor to move it.",
)
SAME_RECORD = Reason(
    "note_in_this_record",
    "This note is in this client’s record already.",
    "Choose a case of another client.",
)
CASE_CLOSED = Reason("case_closed", "That case is closed.", "Reopen the case to move a note there.")
ALTERED = Reason(
    "note_altered",
    "This note isn’t as it was signed: it was changed in the database.",
    "Tell your supervisor, and write a new note.",
)
HAS_SCREENING = Reason(
    "note_has_screening",
    "A screening was recorded with this note, and it counts for this client.",
    "Record it for the right client, and mark this one as recorded in error; then move the note. If it can’t be "
    "marked, mark the note as entered in error and write it again in the right record.",
)
NEEDS_COSIGNATURE = Reason(
    "note_needs_cosignature",
    "This note needs a co-signature first.",
    "Ask a supervisor to co-sign it, or mark it as entered in error; then move it.",
)
NEEDS_SUPERVISOR = Reason(
    "move_needs_supervisor",
    "A supervisor has to move this note.",
    "Ask your supervisor to move it.",
)
NAMES_FORMER = (
    "Leave out whose record the note was in: whoever reads it where it is moved to reads this."
)


@dataclass(frozen=True)
class MoveFacts:
    """What a move depends on besides the note: whose case was chosen and whether it is open, and both clients.

    `has_screening` tells that a screening recorded with the note counts, `is_undecided` that nobody has decided yet
    whether the two clients may be a couple or one person.
    """

    client_id: UUID
    case_status: str
    has_screening: bool
    is_undecided: bool


def list_move_blockers(
    note: NoteRecord, facts: MoveFacts, actor_id: UUID, *, is_supervisor: bool
) -> list[Reason]:
    """List why somebody who sees both clients can't move a note to the chosen case; empty when they can.

    Its author moves it, or a supervisor. Between clients who may be a couple only a supervisor does, and the refusal
    doesn't say why. Product proposal, awaiting sign-off.
    """
    if not note.is_as_signed:
        return [ALTERED]
    if facts.client_id == note.client_id:
        return [SAME_RECORD]
    if not is_supervisor and actor_id != note.author_id:
        return [NOT_AUTHOR]
    found = [CASE_CLOSED] if facts.case_status != "open" else []
    if facts.has_screening:
        found.append(HAS_SCREENING)
    if note.review is not None:
        found.append(NEEDS_COSIGNATURE)
    if facts.is_undecided and not is_supervisor:
        found.append(NEEDS_SUPERVISOR)
    return found


def find_move_faults(
    reason: str, former: Collection[str], number: str, other: str
) -> dict[str, list[str]]:
    """List by field what is wrong with the reason for a move.

    It names neither the client from whose record the note is moved (`former` are their names) nor their case; a word
    that is also in the name of the `other` client, such as a shared family name, is allowed.
    """
    known = {*_words(other)}
    names = {word for name in former for word in _words(name) if len(word) >= LEAST_NAME}
    is_named = (names - known) & {*_words(reason)} or number.casefold() in reason.casefold()
    return {"reason": [NAMES_FORMER]} if is_named else {}


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", text)


def check_move(
    actor: Actor,
    move: LockedNoteMove,
    found: NoteRecord,
    facts: MoveFacts,
    former: Collection[str],
    new: NewNoteMove,
) -> None:
    """Check that somebody can move a note, as it was `found` after the lock; `former` are its client's names.

    Raises RuleBroken, and Invalid when the reason says whose record the note was in.
    """
    assert found.id == move.note.row.id  # noqa: S101 - the caller has read the note that it has locked
    is_supervisor = actor.role is Role.SUPERVISOR
    refuse_for(list_move_blockers(found, facts, actor.id, is_supervisor=is_supervisor))
    if faults := find_move_faults(new.reason, former, found.number, move.case.client):
        raise Invalid(faults)


def find_signing_client(moves: Sequence[NoteMove], seq: int, client_id: UUID) -> UUID:
    """Return the client of a note when addendum `seq` was signed; `client_id` is the one that it has now."""
    return next((move.from_client_id for move in moves if move.addenda >= seq), client_id)


def is_where_it_was_moved(note: NoteRecord, number: int) -> bool:
    """Tell whether a signed note has all of so many moves, and they lead from where it was signed to where it is."""
    if note.signature is None or [each.seq for each in note.moves] != [*range(1, number + 1)]:
        return False
    places = [(each.from_client_id, each.from_case_id) for each in note.moves]
    places.append((note.client_id, note.case_id))
    reached = [(each.to_client_id, each.to_case_id) for each in note.moves]
    return places[1:] == reached and (note.signature.client_id, note.signature.case_id) in places
