"""What a merge does with each table that is about a client.

`tests/domain/merges/test_treatments.py` fails on a table with a reference to a client, a case or a note, or to a row of
such a table, that isn't here.
"""

from __future__ import annotations

from enum import StrEnum


class Treatment(StrEnum):
    """What a merge does with a table's rows about the client whose record goes."""

    MOVED = "moved"
    """They are in the record that is kept afterwards, and whatever is sealed in them is sealed under its key."""
    WITH_NOTE = "with_note"
    """They follow their note, which is moved as by `move_note`, so that what was signed verifies."""
    WITH_ROW = "with_row"
    """They name no client: they belong to a row that is moved."""
    ENDED = "ended"
    """They are deleted, or end."""
    KEPT = "kept"
    """They stay in the merged record, sealed under its key, which is kept too."""
    REFUSED = "refused"
    """Nobody here can seal them anew: the merge is refused while there are any."""


MOVED, WITH_NOTE, WITH_ROW = Treatment.MOVED, Treatment.WITH_NOTE, Treatment.WITH_ROW
ENDED, KEPT, REFUSED = Treatment.ENDED, Treatment.KEPT, Treatment.REFUSED

TREATMENTS: dict[str, Treatment] = {
    # The cases and what belongs to them. Case numbers stay as they are.
    "coaching_case": MOVED,
    "case_event": MOVED,
    "attestation": MOVED,
    "assignment": MOVED,
    "bulk_assignment_item": MOVED,
    "follow_up": MOVED,
    "alert": MOVED,
    "alert_step": WITH_ROW,
    "alert_recipient": WITH_ROW,
    "contact": MOVED,
    "consent": MOVED,
    "disclosure": MOVED,
    # Sealed under the author's own key as well, which stays.
    "process_note": MOVED,
    "form_draft": MOVED,
    "note": WITH_NOTE,
    # Of drafts only, and a merge is refused while there is one.
    "note_revision": MOVED,
    "amendment_request": MOVED,
    "note_addendum": WITH_NOTE,
    "note_review": WITH_NOTE,
    "note_move": WITH_NOTE,
    # Comments are copied; the ids of a signature are those of what was signed.
    "note_return": WITH_NOTE,
    "note_signature": KEPT,
    # What a client wrote for nobody else is sealed to a key that only their PIN opens. Files that they sent are not.
    "worksheet_response": REFUSED,
    "worksheet_upload": MOVED,
    # Chained or numbered by client, and sealed so. Nothing of it may count only there: see `rules`.
    "safety_event": KEPT,
    "client_safety": KEPT,
    "safety_plan": KEPT,
    "viewer_mark": ENDED,
    # Who could see the merged record, and the access to the portal.
    "care_team": ENDED,
    "access_denial": KEPT,
    "emergency_access": KEPT,
    "covered_client": KEPT,
    "transfer": ENDED,
    "portal_access": ENDED,
    "portal_invitation": KEPT,
    "remembered_device": ENDED,
    "session": ENDED,
    "writing_key": KEPT,
    # By what the record was found. Decided conflicts with third people are the other client's afterwards.
    "name_hash": ENDED,
    "phone_hash": ENDED,
    "client_name_word": ENDED,
    "possible_conflict": MOVED,
    # The record itself, its key, its log, and that it was merged.
    "client": KEPT,
    "client_key": KEPT,
    "client_merge": KEPT,
    # A request that waits keeps a merge from being made.
    "erasure": KEPT,
    # One that stands keeps a merge from being made.
    "legal_hold": KEPT,
    "audit_event": KEPT,
    "audit_event_client": KEPT,
}
