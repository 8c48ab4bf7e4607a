"""Codes and their labels."""

from __future__ import annotations

CONSENT_METHODS = {"written": "In writing", "spoken": "Given verbally and recorded here"}

COACH = "coach"
ALERTED = "alert"
SECOND_PERSON = "release"
CARE_TEAM_ROLES = (COACH, ALERTED, SECOND_PERSON)
"""The roles of a care team: who coaches the client, whom an alert has reached, and who was named to release a hold."""
