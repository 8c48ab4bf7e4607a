"""Rules for the disclosure log. Pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import date

    from caseapp.domain.disclosures.schemas import NewDisclosure


def find_disclosure_faults(new: NewDisclosure, today: date) -> dict[str, list[str]]:
    """Find what is wrong with an entry: messages by field, empty when all is right."""
    return {"disclosed_on": ["This day is in the future."]} if new.disclosed_on > today else {}
