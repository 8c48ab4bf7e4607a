"""Rules for finding clients: how names and phone numbers are compared. Pure functions."""

from __future__ import annotations

import re

from caseapp.core.text import fold_for_search

MAX_WORD_LENGTH = 60


def name_words(name: str) -> list[str]:
    """Split a name into folded words: no case, no accents, letters and digits only."""
    return [word[:MAX_WORD_LENGTH] for word in re.findall(r"\w+", fold_for_search(name))]


def phone_digits(phone: str) -> str:
    """Return the last nine digits of a phone number, so that +44 and 0 compare as equal; "" when it is too short."""
    digits = re.sub(r"\D", "", phone)
    return digits[-9:] if len(digits) >= 5 else ""  # noqa: PLR2004
