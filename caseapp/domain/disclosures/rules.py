"""Rules for the disclosure log. Pure functions."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from caseapp.domain.disclosures.schemas import NewDisclosure

EARLIEST = date(1970, 1, 1)
"""An earlier day is a slip in the year: an entry never changes, so that it has to be noticed first."""


def find_disclosure_faults(new: NewDisclosure, today: date) -> dict[str, list[str]]:
    """Find what is wrong with an entry: messages by field, empty when all is right."""
    if new.disclosed_on > today:
        return {"disclosed_on": ["This day is in the future."]}
    if new.disclosed_on < EARLIEST:
        return {"disclosed_on": [f"This day is before {EARLIEST.year}. Check the year."]}
    return {}
