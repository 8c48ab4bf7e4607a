"""Rules for moving a note that was filed in the wrong record, and what a moved note must fit. Pure functions."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

from caseapp.core.errors import Invalid, Reason, refuse_for
from caseapp.core.permissions import Role
from caseapp.core.text import fold_for_search
from caseapp.domain.screening.protocol import ITEMS_BY_KEY, Level

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from uuid import UUID

    from caseapp.core.actor import Actor
    from caseapp.domain.notes.move_queries import FormerClients, LockedNoteMove
    from caseapp.domain.notes.records import NoteMove, NoteRecord
    from caseapp.domain.notes.schemas import NewNoteMove
    from caseapp.domain.screening.records import ScreeningRecord

LEAST_NAME = 3
"""Characters: shorter words of a name stand in too many sentences."""

NOT_AUTHOR = Reason(
    "not_author_of_note",
    "You didn’t write this note.",
    "Ask its author or a supervisor to move it.",
)
SAME_RECORD = Reason(
    "note_in_this_record",
    "This note is already in this client’s record.",
    "Choose a case of another client.",
)
CASE_CLOSED = Reason("case_closed", "That case is closed.", "Reopen the case to move a note there.")
ALTERED = Reason(
    "note_altered",
    "This note was changed in the database after it was signed.",
    "Tell your supervisor, and write a new note.",
)
HAS_SCREENING = Reason(
    "note_has_screening",
    "A screening was recorded with this note, and it counts for this client.",
    "Record it for the right client and mark this one as recorded in error, then move the note. If the screening "
    "can’t be marked, mark the note as entered in error and write it again in the right record.",
)
NEEDS_SUPERVISOR = Reason(
    "move_needs_supervisor",
    "A supervisor has to move this note.",
    "Ask your supervisor to move it.",
)
HAS_REQUEST = Reason(
    "note_has_request",
    "The client’s request to correct this note is waiting for an answer.",
    "Answer it first, for example by saying that the note was filed in the wrong record.",
)
HELD = Reason(
    "note_on_legal_hold",
    "There is a legal hold on the record that this note is in, so the note can’t be moved out of it.",
    "Mark a signed note as entered in error, and write it again in the right record.",
)
NAMES_FORMER = (
    "Don’t mention the client whose record the note was in, their partner or their case numbers: everyone who reads "
    "the note in its new record will read this too."
)


@dataclass(frozen=True)
class MoveFacts:
    """What a move depends on besides the note: whose case was chosen and whether it is open, and both clients.

    `has_screening` tells that a screening recorded with the note counts, `unasked` are the items of `list_unasked`,
    `is_undecided` tells that nobody has decided yet whether the two clients may be a couple or one person,
    `has_request` that the client's request to correct the note waits for an answer, and `has_legal_hold` that a legal
    hold stands on the record that the note is in.
    """

    client_id: UUID
    case_status: str
    has_screening: bool
    unasked: list[str]
    is_undecided: bool
    has_request: bool = False
    has_legal_hold: bool = False


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
    elif facts.unasked:
        found.append(_needs_screening(facts.unasked))
    if facts.is_undecided and not is_supervisor:
        found.append(NEEDS_SUPERVISOR)
    if facts.has_request:
        found.append(HAS_REQUEST)
    if facts.has_legal_hold:
        found.append(HELD)
    return found


def list_unasked(
    of_note: Iterable[ScreeningRecord], of_other: Collection[ScreeningRecord]
) -> list[str]:
    """List the items that the chosen client has to be asked about before a note can move to them.

    They are those with a concern or an urgent level in a screening that was recorded with the note (`of_note`), also in
    error: moving the note mustn't lose it. The other client was asked about one since when a screening that counts has
    an answer to it, was recorded in time and not before that one.
    """
    found = {
        key
        for each in of_note
        for key, level in each.counting.items()
        if (level or 0) >= Level.CONCERN
        and not any(
            other.counting.get(key) is not None
            and not other.is_late
            and other.recorded_at >= each.recorded_at
            for other in of_other
            if other.in_error is None
        )
    }
    return [key for key in ITEMS_BY_KEY if key in found]


def _needs_screening(unasked: Iterable[str]) -> Reason:
    asked = ", ".join(ITEMS_BY_KEY[key].label for key in unasked)
    return Reason(
        "screening_stays_behind",
        "A screening recorded with this note has a level of Concern or Urgent. It stays in the earlier record, and the "
        "client of the chosen case has not been screened for this since.",
        f"Record a screening for the client of the chosen case first, with an answer to: {asked}.",
    )


def find_move_faults(
    reason: str, former: Collection[str], numbers: Collection[str], other: Collection[str]
) -> dict[str, list[str]]:
    """List by field what is wrong with the reason for a move.

    It names neither a client in whose record the note was (`former` are their names and those of their partners) nor
    a case of theirs; a word that is also in a name of the `other` client, such as a shared family name, is allowed.
    Capitals and accents make no difference.
    """
    names = {word for word in _words(*former) if len(word) >= LEAST_NAME} - _words(*other)
    folded = fold_for_search(reason)
    is_named = names & _words(reason) or any(number.lower() in folded for number in numbers)
    return {"reason": [NAMES_FORMER]} if is_named else {}


def _words(*texts: str) -> set[str]:
    joined = unicodedata.normalize("NFC", " ".join(texts))
    return {
        "".join(letter for letter in fold_for_search(word) if letter.isalpha())
        for word in re.findall(r"[^\W\d_]+", joined)
    }


def check_move(
    actor: Actor,
    move: LockedNoteMove,
    found: NoteRecord,
    facts: MoveFacts,
    former: FormerClients,
    new: NewNoteMove,
) -> None:
    """Check that somebody can move a note, as it was `found` after the lock, from the records of `former` clients.

    Raises RuleBroken, and Invalid when the reason says whose record the note was in.
    """
    assert found.id == move.note.row.id  # noqa: S101 - the caller has read the note that it has locked
    is_supervisor = actor.role is Role.SUPERVISOR
    refuse_for(list_move_blockers(found, facts, actor.id, is_supervisor=is_supervisor))
    if faults := find_move_faults(new.reason, former.names, former.numbers, former.other):
        raise Invalid(faults)


def find_signing_client(moves: Sequence[NoteMove], seq: int, client_id: UUID) -> UUID:
    """Return the client of a note when addendum `seq` was signed; `client_id` is the one that it has now."""
    return next((move.from_client_id for move in moves if move.addenda >= seq), client_id)


def was_signed_elsewhere(moves: Sequence[NoteMove], seq: int, client_id: UUID) -> bool:
    """Tell whether addendum `seq` was signed while the note was in the record of another person.

    A client who was merged into another one is the same person.
    """
    same = {client_id}
    for move in reversed(moves):
        if move.is_merge and move.to_client_id in same:
            same.add(move.from_client_id)
    return find_signing_client(moves, seq, client_id) not in same


def is_where_it_was_moved(note: NoteRecord, number: int) -> bool:
    """Tell whether a signed note has all of so many moves, and they lead from where it was signed to where it is."""
    if note.signature is None or [each.seq for each in note.moves] != [*range(1, number + 1)]:
        return False
    places = [(each.from_client_id, each.from_case_id) for each in note.moves]
    places.append((note.client_id, note.case_id))
    reached = [(each.to_client_id, each.to_case_id) for each in note.moves]
    return places[1:] == reached and (note.signature.client_id, note.signature.case_id) in places
