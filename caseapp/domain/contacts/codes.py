"""Kinds of entries in the contact log, and what each says besides. Times are proposals that await sign-off."""

from __future__ import annotations

from datetime import timedelta

CONTACT = "contact"
ATTEMPT = "attempt"
NO_SHOW = "no_show"
CANCELLED = "cancelled"
IN_ERROR = "in_error"
"""The kind of an entry that only says that another one was recorded in error."""

KIND_LABELS = {
    CONTACT: "Contact",
    ATTEMPT: "Attempted contact",
    NO_SHOW: "No-show",
    CANCELLED: "Cancelled session",
}
"""What somebody can record. None of it tells anything about safety: it says that people met, or that they didn't."""

METHOD_LABELS = {
    "call": "Phone call",
    "message": "Message",
    "in_person": "In person",
    "video": "Video",
}
HAS_METHOD = (CONTACT, ATTEMPT)
"""The kinds that happened in some way; of a session that did not take place there is none."""

CANCELLED_BY_LABELS = {
    "client": "The client",
    "practice": "The practice",
    "other": "Somebody else",
}

FOLLOWUP_TITLES = {
    ATTEMPT: "Try again to reach the client",
    NO_SHOW: "Get in touch after the no-show",
    CANCELLED: "Agree another time for the cancelled session",
}
"""What the follow-up that an entry may ask for is called, by its kind."""

FOLLOWUP_AFTER = timedelta(days=1)
"""When that follow-up is due after the entry was recorded. Product proposal, awaiting clinical sign-off."""
