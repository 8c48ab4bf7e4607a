"""Codes and their labels."""

from __future__ import annotations

from datetime import timedelta

CONSENT_METHODS = {"written": "In writing", "spoken": "Verbally"}

COACH = "coach"
ALERTED = "alert"
SECOND_PERSON = "release"
READER = "reader"
COVER = "cover"
ROLE_LABELS = {
    COACH: "Responsible coach",
    ALERTED: "Reached by an alert",
    SECOND_PERSON: "Named to release a hold",
    READER: "Opened the record using emergency access",
    COVER: "Covers for the coach",
}
CARE_TEAM_ROLES = tuple(ROLE_LABELS)
"""The roles of a care team: who coaches the client, whom an alert has reached, who was named to release a hold, who
reads the record for a while by emergency access, and who covers for a coach who is away."""
JOIN_REASONS = {"": "", "opened": "New client or case", "handed_over": "Handed over"}
"""Why somebody is the client's coach; empty for another role, which says it, and where it was not recorded."""

HANDED_FOR = timedelta(days=7)
"""For how long a coach finds on Today that somebody has handed over a client to them."""

DENIAL_REASONS = {
    "relative": "A relative or friend of the client",
    "partner": "A present or former partner of the client, or of the client’s partner",
    "therapist": "Treats or advises the client elsewhere",
    "colleague": "Works with the client elsewhere, or the client works here",
    "wish": "The client asked for it",
    "safety": "The client’s safety",
}
"""Why a member of staff must not see a client. Awaiting sign-off."""
DENIAL_END_REASONS = {
    "past": "The reason no longer exists",
    "wish": "The client agreed",
    "error": "It was recorded in error",
}
"""Why they may see the client again. Awaiting sign-off."""

TRANSFER_STATES = ("offered", "accepted", "declined", "withdrawn", "undone", "expired")
"""What became of an offer of a case to a colleague."""
TRANSFER_REASONS = {
    "leaving": "I am leaving, or will be away for a long time",
    "workload": "I have too many cases",
    "experience": "The colleague has more experience with this",
    "schedule": "Times, place or language suit better",
    "wish": "The client asked for it",
    "conflict": "A conflict of interest",
    "other": "Another reason",
}
"""Why a coach offers a case to a colleague. Awaiting sign-off."""
UNDO_HOURS = 24
"""For how many hours after the acceptance a transfer can be undone; as many after any change the client is told of the
new coach. Awaiting sign-off."""
NEW_COACH_DAYS = 30
"""For how many days the portal says then who the new coach is. Awaiting sign-off."""
EMERGENCY_REASONS = {
    "danger": "The client or somebody else is in danger now",
    "contact": "The client has contacted me and their coach can’t be reached",
    "absence": "I have to act for the coach, who is away",
    "legal": "A court or an authority asks for something that can’t wait",
    "other": "Something else",
}
"""Why somebody opens the record of a client whom they don't see otherwise. Awaiting sign-off."""
EMERGENCY_MINUTES = 60
"""For how many minutes an emergency access lasts. Awaiting sign-off."""
MOST_EMERGENCIES = 3
"""How many emergency accesses somebody may open in EMERGENCY_HOURS. Awaiting sign-off."""
EMERGENCY_HOURS = 24
EMERGENCY_SHOWN_FOR = timedelta(days=14)
"""For how long a client's coach finds on Today that somebody has read the record."""
REVIEW_OUTCOMES = {
    "needed": "The access was needed",
    "not_needed": "The access was not needed",
}
"""What a supervisor finds about an emergency access. Awaiting sign-off."""

DEVICE_KINDS = {
    "iphone": "iPhone",
    "ipad": "iPad",
    "android": "Android",
    "windows": "Windows",
    "mac": "Mac",
    "linux": "Linux",
}
"""What a remembered device runs on: enough to tell a client's devices apart, and nothing more."""

NEW_CODE_REASONS = {
    "lost": "The client has lost the codes or forgotten the PIN",
    "new_phone": "The client has a new phone or computer",
    "known": "Somebody else may know the codes or the PIN",
    "other": "Another reason",
}
"""Why a client who had codes for the portal gets new ones. Awaiting sign-off."""

MATCH_REASONS = {
    "same_name": "has the same name",
    "is_partner": "has the name of this person’s partner",
    "has_partner": "names this person as their partner",
    "similar_name": "has a similar name",
    "similar_to_partner": "has a name like that of this person’s partner",
    "has_similar_partner": "names somebody with a similar name as their partner",
    "same_contact": "has the same email or phone",
}
"""Why a record may be about the same person or their partner, the strongest reason first."""
COACH_DECIDES = frozenset({"same_name", "similar_name"})
"""With these, coaches decide about their own clients whether it is somebody else. Everything else, and whatever
concerns another coach's client, is a supervisor's decision. Awaiting sign-off."""
MOST_QUESTIONS = 10
"""How often in QUESTION_HOURS somebody may be told that there is a possible conflict. Awaiting sign-off."""
QUESTION_HOURS = 24
