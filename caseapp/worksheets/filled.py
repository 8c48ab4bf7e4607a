"""Filled: the answers in a PDF that came back, checked to be this sheet's and brought into the web form's shape."""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING, Any

from caseapp.core.forms import fields_of
from caseapp.handouts.sheets import plain
from caseapp.handouts.words import WORDS
from caseapp.worksheets.schemas import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from caseapp.handouts.library import Field, Handout
    from caseapp.worksheets.schemas import Answer

IN_DIGITS = re.compile(r"(\d{1,2})[./\- ]{1,2}(\d{1,2})[./\- ]{1,2}(\d{4})")
IN_WORDS = re.compile(r"(\d{1,2})(?:st|nd|rd|th)?\.? (?:de )?([^\W\d]+)\.?,? (?:de )?(\d{4})")
MONTH_FIRST = re.compile(r"([^\W\d]+)\.? (\d{1,2})(?:st|nd|rd|th)?,? (\d{4})")
SHORTEST_MONTH = 3
LONGEST_DAY = 40


class OtherSheet(Exception):
    """The file holds the fields of another sheet; `names` are what they are called."""

    def __init__(self, names: frozenset[str]) -> None:
        """Keep the names, by which the other sheet may be found."""
        super().__init__("other_sheet")
        self.names = names


def names_of(handout: Handout) -> frozenset[str]:
    """Give the names that a sheet's fields have in its PDF: each tick box has one of its own."""
    return frozenset(name for field in handout.fields for name in _names(field))


def _names(field: Field) -> list[str]:
    if field.type == "checkboxes":
        return [f"{field.id}_{number}" for number, _ in enumerate(field.options, 1)]
    return [field.id]


def answers_in(handout: Handout, data: bytes) -> dict[str, Any]:
    """Read the answers to a sheet out of its PDF, as its web form would send them, for its schema to check.

    Raises core.forms.Unreadable, and OtherSheet.
    """
    found = fields_of(data)
    if found.keys() != names_of(handout):
        raise OtherSheet(frozenset(found))
    raw: dict[str, Any] = {}
    for field in handout.fields:
        if answer := _answer(field, found):
            raw[f"{PREFIX}{field.id}"] = answer
    return raw


def sheet_with(names: frozenset[str], handouts: Iterable[Handout]) -> Handout | None:
    """Find the sheet that has fields of these names."""
    return next((handout for handout in handouts if names_of(handout) == names), None)


def _answer(field: Field, found: Mapping[str, str]) -> Answer:
    if field.type == "checkboxes":
        pairs = zip(_names(field), field.options, strict=True)
        return [option for name, option in pairs if found[name]]
    text = found[field.id].strip()
    if field.type == "choice":
        # The PDF shows options with proper quotation marks.
        return next((option for option in field.options if plain(option) == text), text)
    if field.type == "date":
        return _day(text[:LONGEST_DAY])
    return text


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
