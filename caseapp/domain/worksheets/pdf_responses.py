"""Filled: the answers in a PDF that came back, checked to be a sheet's and brought into the web form's shape.

The PDF may be one sheet by itself or a pack, whose fields say to which place of the client's list they belong.
"""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING, Any, TypeAlias

from caseapp.core.pdf_forms import fields_of
from caseapp.domain.handouts.labels import WORDS
from caseapp.domain.handouts.packets import place_and_name
from caseapp.domain.handouts.rendering import plain
from caseapp.domain.worksheets.schemas import PREFIX, as_typed, on_one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from caseapp.domain.handouts.library import Field, Handout
    from caseapp.domain.worksheets.schemas import Answer

# What a PDF says, by the place of each sheet in it.
Parts: TypeAlias = dict[int, dict[str, str]]
BY_ITSELF = 0
"""Stands for the place where the PDF is one sheet, which may be read at any place that has this sheet."""

IN_DIGITS = re.compile(r"(\d{1,2})[./\- ]{1,2}(\d{1,2})[./\- ]{1,2}(\d{4})")
IN_WORDS = re.compile(r"(\d{1,2})(?:st|nd|rd|th)?\.? (?:de )?([^\W\d]+)\.?,? (?:de )?(\d{4})")
MONTH_FIRST = re.compile(r"([^\W\d]+)\.? (\d{1,2})(?:st|nd|rd|th)?,? (\d{4})")
SHORTEST_MONTH = 3
LONGEST_DAY = 40


class OtherSheet(Exception):
    """The file does not hold the fields of this sheet."""


def parts_of(data: bytes) -> Parts:
    """Read the fields of a PDF, each with the sheet that it belongs to.

    Raises core.forms.Unreadable.
    """
    parts: Parts = {}
    for name, value in fields_of(data).items():
        place, own = place_and_name(name)
        parts.setdefault(place, {})[own] = value
    return parts


def filled_in(parts: Parts) -> set[int]:
    """Give the places of those sheets in a pack of which something is filled in."""
    return {
        place for place, found in parts.items() if place and any(map(str.strip, found.values()))
    }


def names_of(handout: Handout) -> frozenset[str]:
    """Give the names that a sheet's fields have in its PDF: each tick box has one of its own."""
    return frozenset(name for field in handout.fields for name in _names(field))


def _names(field: Field) -> list[str]:
    if field.type == "checkboxes":
        return [f"{field.id}_{number}" for number, _ in enumerate(field.options, 1)]
    return [field.id]


def holds(parts: Parts, handout: Handout, place: int) -> bool:
    """Tell whether a PDF holds the sheet that is at this place of the client's list."""
    found = parts.get(place) or parts.get(BY_ITSELF)
    return found is not None and found.keys() == names_of(handout)


def answers_in(parts: Parts, handout: Handout, place: int) -> dict[str, Any]:
    """Give the answers to the sheet at this place, as its web form would send them, for its schema to check.

    Raises OtherSheet.
    """
    if not holds(parts, handout, place):
        raise OtherSheet
    found = parts.get(place) or parts[BY_ITSELF]
    raw: dict[str, Any] = {}
    for field in handout.fields:
        if answer := _answer(field, found):
            raw[f"{PREFIX}{field.id}"] = answer
    return raw


def _answer(field: Field, found: Mapping[str, str]) -> Answer:
    if field.type == "checkboxes":
        pairs = zip(_names(field), field.options, strict=True)
        return [option for name, option in pairs if found[name]]
    text = as_typed(found[field.id])
    if field.type == "choice":
        # The PDF shows options with proper quotation marks.
        return next((option for option in field.options if plain(option) == text), text)
    if field.type == "date":
        return _day(text[:LONGEST_DAY])
    return on_one_line(text) if field.type == "text" else text


def _day(text: str) -> str:
    """Write a date as the web form does; one that may mean two days, or none, stays as it was typed."""
    if found := IN_DIGITS.fullmatch(text):
        first, second, year = map(int, found.groups())
        days = {_date(year, second, first), _date(year, first, second)} - {""}
        return days.pop() if len(days) == 1 else text
    if found := IN_WORDS.fullmatch(text):
        number, name, year_ = found.groups()
    elif found := MONTH_FIRST.fullmatch(text):
        name, number, year_ = found.groups()
    else:
        return text
    return _date(int(year_), _month(name), int(number)) or text


def _date(year: int, month: int, day: int) -> str:
    try:
        return date(year, month, day).isoformat()
    except ValueError:
        return ""


def _month(name: str) -> int:
    if len(name) < SHORTEST_MONTH:
        return 0
    for words in WORDS.values():
        for number, month in enumerate(words.months, 1):
            if month.lower().startswith(name.lower()):
                return number
    return 0


def together(
    before: Mapping[str, Answer], read: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Answer]]:
    """Lay what a PDF says over what is saved; also give what would be lost: saved answers that it contradicts."""
    whole = {f"{PREFIX}{name}": answer for name, answer in before.items()} | dict(read)
    lost = {name: answer for name, answer in before.items() if whole[f"{PREFIX}{name}"] != answer}
    return whole, lost
