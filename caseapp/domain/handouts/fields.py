"""The kinds of fields of a handout: what each asks, its limits, where it is written, and the shape of its answer.

A kind reduces to its inputs, the single places to write or tick. The form of the portal, the fields of the PDF, the
check of what was sent and what a reader sees all follow from them; only the look of a kind is its own (the templates
`components/handout_fields.html` and `pdf/handout_fields.html`). `blocks` reads the fields from a handout's text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeAlias

Answer: TypeAlias = str | list[int] | dict[str, str]
"""A text, the positions of ticked items from 1, or the text of each input by its key; empty when left blank."""

KIND_LABELS = {"text": "short text", "long": "long text", "ticks": "tick list"}
TEXT_LENGTH, MAX_TEXT_LENGTH = 160, 300
LONG_LENGTH = 2000
"""Characters of a `long` answer. The limits of every kind are those of the library's syntax note."""
MAX_LINES = 16
MIN_ITEMS, MAX_ITEMS, MAX_ITEM_LENGTH = 2, 9, 90
MAX_LABEL_LENGTH = 160


@dataclass(frozen=True)
class Input:
    """One place to write or tick; the only one of a field has no key. `pdf_key` is its name in the PDF's field tree."""

    key: str
    label: str
    longest: int
    pdf_key: str


@dataclass(frozen=True)
class Field:
    """A field to fill in; what is written in a `private` one could harm if somebody else read it."""

    id: str
    label: str
    private: bool

    kind: ClassVar[str]

    @property
    def inputs(self) -> tuple[Input, ...]:
        """Return the places to write or tick, in their order."""
        raise NotImplementedError

    def list_problems(self) -> list[str]:
        """List which limits it breaks."""
        too_long = f"its label has more than {MAX_LABEL_LENGTH} characters"
        return [too_long] if len(self.label) > MAX_LABEL_LENGTH else []

    def read(self, stored: object) -> Answer:
        """Return a stored answer in the shape of this kind, also one of an earlier shape."""
        raise NotImplementedError


@dataclass(frozen=True)
class Text(Field):
    """A short answer on one line, or on a few."""

    lines: int = 1
    longest: int = TEXT_LENGTH

    kind = "text"

    @property
    def inputs(self) -> tuple[Input, ...]:
        """Return the only input."""
        return (Input("", self.label, self.longest, ""),)

    def list_problems(self) -> list[str]:
        """List which limits it breaks."""
        found = super().list_problems()
        if not 1 <= self.longest <= MAX_TEXT_LENGTH:
            found.append(f"max has to be 1 to {MAX_TEXT_LENGTH}")
        return found + _list_line_problems(self.lines)

    def read(self, stored: object) -> str:
        """Return a stored answer as text."""
        return str(stored)


@dataclass(frozen=True)
class Long(Field):
    """An answer of any length: on paper it goes on over the page, and a saved one is printed whole."""

    lines: int = 3

    kind = "long"
    longest: ClassVar[int] = LONG_LENGTH

    @property
    def inputs(self) -> tuple[Input, ...]:
        """Return the only input."""
        return (Input("", self.label, self.longest, ""),)

    def list_problems(self) -> list[str]:
        """List which limits it breaks."""
        return super().list_problems() + _list_line_problems(self.lines)

    def read(self, stored: object) -> str:
        """Return a stored answer as text."""
        return str(stored)


def _list_line_problems(lines: int) -> list[str]:
    return [] if 1 <= lines <= MAX_LINES else [f"lines has to be 1 to {MAX_LINES}"]


@dataclass(frozen=True)
class Item:
    """An item of a tick list; `part` names the part of the handout that it leads to, if any."""

    words: str
    part: str = ""


@dataclass(frozen=True)
class Ticks(Field):
    """A list of items to tick; the answer holds their positions, and the words are those of the handout's version."""

    items: tuple[Item, ...] = ()

    kind = "ticks"

    @property
    def inputs(self) -> tuple[Input, ...]:
        """Return one input for each item."""
        return tuple(
            Input(str(n), item.words, 1, str(n)) for n, item in enumerate(self.items, start=1)
        )

    def list_problems(self) -> list[str]:
        """List which limits it breaks."""
        found = super().list_problems()
        if not MIN_ITEMS <= len(self.items) <= MAX_ITEMS:
            found.append(f"it needs {MIN_ITEMS} to {MAX_ITEMS} items")
        found += [
            f"the item “{item.words}” has more than {MAX_ITEM_LENGTH} characters"
            for item in self.items
            if len(item.words) > MAX_ITEM_LENGTH
        ]
        words = [item.words.casefold() for item in self.items]
        if len(set(words)) < len(words):
            found.append("an item stands there twice")
        return found

    def find_position(self, written: object) -> int | None:
        """Find the position of an item by its number, or by its words as the first edition stored them."""
        for n, item in enumerate(self.items, start=1):
            if str(written) in {str(n), item.words}:
                return n
        return None

    def read(self, stored: object) -> list[int]:
        """Return the positions of the ticked items; the first edition stored one item, or several, as words."""
        written = stored if isinstance(stored, list) else [stored]
        return sorted({n for each in written if (n := self.find_position(each))})


def read_answers(fields: tuple[Field, ...], stored: dict[str, object]) -> dict[str, Answer]:
    """Return what is stored of a handout's answers by field, without blank ones."""
    found = {field.id: field.read(stored[field.id]) for field in fields if stored.get(field.id)}
    return {name: answer for name, answer in found.items() if answer}


def describe_field(field: Field) -> list[str]:
    """Describe a field in lines of plain words, for somebody who compares two texts."""
    limits = [
        f"{value} {name}"
        for name, value in (
            ("lines", getattr(field, "lines", None)),
            ("characters", getattr(field, "longest", None)),
        )
        if value is not None
    ]
    how = ", ".join((KIND_LABELS[field.kind], *limits, *(["private"] if field.private else [])))
    items = [
        f"• {item.words}{f' → {item.part}' if item.part else ''}"
        for item in getattr(field, "items", ())
    ]
    return [f"Answer field {field.id}: {field.label} ({how})", *items]
