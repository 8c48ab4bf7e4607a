"""Codes and their labels."""

from __future__ import annotations

from datetime import timedelta

MAX_SESSION_MINUTES = 600
MODALITIES = {"video": "Video", "phone": "Phone", "in_person": "In person", "messages": "Messages"}
FORMAT_LABELS = {
    "dap": "DAP",
    "soap": "SOAP",
    "birp": "BIRP",
    "girp": "GIRP",
    "free": "Free text",
    "intake": "Intake",
    "closing": "Closing",
}
MEANINGS = {
    "author": "As the author",
    "cosign": "As the supervisor",
    "filed": "Filed for an author who has left",
}
"""What a signature means."""
LOCKING = ("author", "filed")
"""The meanings of the signature that locks a note, which has one of them."""
REVIEW_STATES = {"waiting": "Waiting for a co-signature", "returned": "Returned to the author"}
"""The states of a signed note that nobody has co-signed yet."""
REVISE_EVERY = timedelta(minutes=2)
MAX_REVISIONS = 40
"""How often at most a draft keeps the text that a save replaces, and how many: the newest ones; product proposal."""
LATE_ENTRY_AFTER = timedelta(hours=72)
"""What is written about a session later than this is a late entry; the issue about the record, awaiting sign-off."""
CHOSEN_KINDS = {
    "correction": "A correction: something in the note is wrong",
    "addition": "An addition: something is missing",
    "in_error": "The whole note was entered in error",
}
"""The kinds of addendum that somebody chooses; an addition that comes late is a late entry by itself."""
ADDENDUM_LABELS = {
    "correction": "Correction",
    "addition": "Addition",
    "late_entry": "Late entry",
    "in_error": "Entered in error",
    "filed": "Filed unsigned",
}
"""The kinds of addendum; filing the draft of somebody who has left makes the one of that name."""
AMENDMENT_STATES = ("open", "accepted", "declined")
"""What became of a client's request to correct a note."""
