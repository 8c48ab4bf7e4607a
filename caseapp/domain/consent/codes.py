"""Codes of consent and their labels."""

from __future__ import annotations

GIVEN, WITHDRAWN = "given", "withdrawn"
KIND_LABELS = {GIVEN: "Consent given", WITHDRAWN: "Consent withdrawn"}
"""What an entry about a client's consent says. These codes are stored and never change."""

IN_ERROR = "in_error"
"""The kind of an entry which says that another one was recorded in error."""

MISSING, EARLIER_TEXT = "missing", "earlier_text"
STATES = (GIVEN, EARLIER_TEXT, MISSING, WITHDRAWN)
"""How a client's consent stands: given, given to an earlier text than the present one, missing, or withdrawn."""

MAX_TEXT = 20_000
MAX_WORDS = 500
"""The most characters of a text, and of what somebody writes about a withdrawal."""
