"""Rules for clients: how names and phone numbers are compared, and whether mail may be sent. Pure functions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from caseapp.core.text import fold_for_search

if TYPE_CHECKING:
    from caseapp.domain.clients.schemas import SafeContact

MAX_WORD_LENGTH = 60


def name_words(name: str) -> list[str]:
    """Split a name into folded words: no case, no accents, letters and digits only."""
    return [word[:MAX_WORD_LENGTH] for word in re.findall(r"\w+", fold_for_search(name))]


def phone_digits(phone: str) -> str:
    """Return the last nine digits of a phone number, so that +44 and 0 compare as equal; "" when it is too short."""
    digits = re.sub(r"\D", "", phone)
    return digits[-9:] if len(digits) >= 5 else ""  # noqa: PLR2004


def may_be_mailed(safe: SafeContact, email: str | None) -> bool:
    """Tell whether mail may be sent to a client now: there is an address, and email is safe for them."""
    return bool(email) and safe.allows("email")
