"""Read answers from a filled-in PDF and convert them to the web form's shape.

The PDF holds one handout or a packet, whose field names contain the handout's position on the client's list.
"""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING, Any, TypeAlias

from caseapp.core.i18n import LANGUAGES, month_names
from caseapp.core.pdf_forms import read_form_fields
from caseapp.domain.handouts.packets import split_field_name
from caseapp.domain.handouts.rendering import plain_text
from caseapp.domain.worksheets.schemas import FIELD_PREFIX, normalize_line, normalize_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from caseapp.domain.handouts.library import Field, Handout
    from caseapp.domain.worksheets.schemas import Answer

# Field values of a PDF by the position of each handout in it.
PdfFields: TypeAlias = dict[int, dict[str, str]]
SINGLE_HANDOUT = 0
"""The position used for a PDF of a single handout. It matches any position that has that handout."""

NUMERIC_DATE = re.compile(r"(\d{1,2})[./\- ]{1,2}(\d{1,2})[./\- ]{1,2}(\d{4})")
DAY_FIRST_DATE = re.compile(r"(\d{1,2})(?:st|nd|rd|th)?\.? (?:de )?([^\W\d]+)\.?,? (?:de )?(\d{4})")
MONTH_FIRST_DATE = re.compile(r"([^\W\d]+)\.? (\d{1,2})(?:st|nd|rd|th)?,? (\d{4})")
MIN_MONTH_LENGTH = 3
MAX_DATE_LENGTH = 40


class WrongHandout(Exception):
    """The file does not have the fields of this handout."""


def read_pdf_fields(data: bytes) -> PdfFields:
    """Read the fields of a PDF by the position of their handout.

    Raises UnreadableForm.
    """
    parts: PdfFields = {}
    for name, value in read_form_fields(data).items():
        position, field_name = split_field_name(name)
        parts.setdefault(position, {})[field_name] = value
    return parts


def list_filled_positions(parts: PdfFields) -> set[int]:
    """Return the positions of the handouts in a packet that have any answer."""
    return {
        position
        for position, found in parts.items()
        if position and any(map(str.strip, found.values()))
    }


def pdf_field_names(handout: Handout) -> frozenset[str]:
    """Return the names of a handout's PDF fields; each checkbox has its own."""
    return frozenset(name for field in handout.fields for name in _names(field))


def _names(field: Field) -> list[str]:
    if field.type == "checkboxes":
        return [f"{field.id}_{number}" for number, _ in enumerate(field.options, 1)]
    return [field.id]


def contains_handout(parts: PdfFields, handout: Handout, position: int) -> bool:
    """Return whether a PDF contains the handout at this position of the client's list."""
    found = parts.get(position) or parts.get(SINGLE_HANDOUT)
    return found is not None and found.keys() == pdf_field_names(handout)


def read_answers(parts: PdfFields, handout: Handout, position: int) -> dict[str, Any]:
    """Return the answers to the handout at this position as its web form would send them, not yet validated.

    Raises DifferentHandout.
    """
    if not contains_handout(parts, handout, position):
        raise WrongHandout
    found = parts.get(position) or parts[SINGLE_HANDOUT]
    raw: dict[str, Any] = {}
    for field in handout.fields:
        if answer := _answer(field, found):
            raw[f"{FIELD_PREFIX}{field.id}"] = answer
    return raw


def _answer(field: Field, found: Mapping[str, str]) -> Answer:
    if field.type == "checkboxes":
        pairs = zip(_names(field), field.options, strict=True)
        return [option for name, option in pairs if found[name]]
    text = normalize_text(found[field.id])
    if field.type == "choice":
        # The PDF shows options with proper quotation marks.
        return next((option for option in field.options if plain_text(option) == text), text)
    if field.type == "date":
        return _parse_date(text[:MAX_DATE_LENGTH])
    return normalize_line(text) if field.type == "text" else text


def _parse_date(text: str) -> str:
    """Convert a date to ISO format; return an ambiguous or invalid one as it was typed."""
    if found := NUMERIC_DATE.fullmatch(text):
        first, second, year = map(int, found.groups())
        days = {_iso_date(year, second, first), _iso_date(year, first, second)} - {""}
        return days.pop() if len(days) == 1 else text
    if found := DAY_FIRST_DATE.fullmatch(text):
        number, name, year_ = found.groups()
    elif found := MONTH_FIRST_DATE.fullmatch(text):
        name, number, year_ = found.groups()
    else:
        return text
    return _iso_date(int(year_), _month_number(name), int(number)) or text


def _iso_date(year: int, month: int, day: int) -> str:
    try:
        return date(year, month, day).isoformat()
    except ValueError:
        return ""


def _month_number(name: str) -> int:
    if len(name) < MIN_MONTH_LENGTH:
        return 0
    for language in LANGUAGES:
        for number, month in enumerate(month_names(language), 1):
            if month.lower().startswith(name.lower()):
                return number
    return 0


def merge_answers(
    before: Mapping[str, Answer], read: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Answer]]:
    """Merge the answers of a PDF over the saved ones; return the result and the saved answers that would change."""
    merged = {f"{FIELD_PREFIX}{name}": answer for name, answer in before.items()} | dict(read)
    overwritten = {
        name: answer for name, answer in before.items() if merged[f"{FIELD_PREFIX}{name}"] != answer
    }
    return merged, overwritten
