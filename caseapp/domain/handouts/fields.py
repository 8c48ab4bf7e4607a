"""The kinds of fields of a handout: what each asks, its limits, where it is written, and the shape of its answer.

A kind reduces to its inputs, the single places to write or tick. The form of the portal, the fields of the PDF, the
check of what was sent and what a reader sees all follow from them; only the look of a kind is its own (the templates
`components/handout_fields.html` and `pdf/handout_fields.html`). `blocks` reads the fields from a handout's text.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from caseapp.core.i18n import gettext, lazy_gettext
from caseapp.core.text import fold_for_search

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Answer: TypeAlias = str | list[int] | dict[str, str]
"""A text, the positions of ticked items from 1, or the text of each input by its key; empty when left blank."""

KIND_LABELS = {
    "text": "short text",
    "long": "long text",
    "ticks": "tick list",
    "scale": "scale from 0 to 10",
    "table": "table",
    "person": "names and numbers",
    "sign": "signatures",
    "draw": "drawing space",
}
TEXT_LENGTH, MAX_TEXT_LENGTH = 160, 300
LONG_LENGTH = 2000
"""Characters of a `long` answer. The limits of every kind are those of the library's syntax note."""
MAX_LINES = 16
MIN_ITEMS, MAX_ITEMS, MAX_ITEM_LENGTH = 2, 9, 90
MAX_LABEL_LENGTH = 160
SCALE = tuple(str(number) for number in range(11))
MAX_COLUMNS, MAX_ROWS, CELL_LENGTH = 7, 10, 200
MAX_PEOPLE, NAME_LENGTH, NUMBER_LENGTH = 4, 60, 30
MAX_SIGNERS, DAY_LENGTH = 3, 40
MIN_HEIGHT, MAX_HEIGHT = 30, 120
"""Millimetres of a drawing space."""
EXAMPLE = "eg:"
"""Begins the first cell of a row that is a worked example: it is shown, and nothing can be written in it."""
SIGNED = "yes"


@dataclass(frozen=True)
class Input:
    """One place to write or tick; the only one of a field has no key.

    `pdf_key` is its name in the PDF's field tree, None where the PDF has no field for it. `kind` is `text`, `tick` or
    `scale`.
    """

    key: str
    label: str
    longest: int
    pdf_key: str | None
    kind: str = "text"


@dataclass(frozen=True)
class Field(ABC):
    """A field to fill in; the answer to a `private` one could put the client at risk if somebody else read it."""

    id: str
    label: str
    private: bool

    kind: ClassVar[str]

    @property
    @abstractmethod
    def inputs(self) -> tuple[Input, ...]:
        """Return the places to write or tick, in their order."""

    def find_input(self, key: str) -> Input | None:
        """Find an input by its key."""
        return next((one for one in self.inputs if one.key == key), None)

    def list_problems(self) -> list[str]:
        """List which limits it breaks."""
        too_long = f"its label has more than {MAX_LABEL_LENGTH} characters"
        return [too_long] if len(self.label) > MAX_LABEL_LENGTH else []

    @abstractmethod
    def read(self, stored: object) -> Answer:
        """Return a stored answer in the shape of this kind, also one of an earlier shape."""


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
            Input(str(n), item.words, 1, str(n), "tick")
            for n, item in enumerate(self.items, start=1)
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
            found.append("the same item is listed twice")
        return found

    def find_position(self, written: object) -> int | None:
        """Find the position of an item by its number or else, as the first edition stored them, by its words."""
        numbers = [str(n) for n, _ in enumerate(self.items, start=1)]
        if str(written) in numbers:
            return numbers.index(str(written)) + 1
        return self._find_words(written)

    def _find_words(self, written: object) -> int | None:
        for n, item in enumerate(self.items, start=1):
            # In the first edition an arrow was part of the words.
            if written in {item.words, f"{item.words} → {item.part}"}:
                return n
        return None

    def read(self, stored: object) -> list[int]:
        """Return the positions of the ticked items; the first edition stored one item, or several, as words."""
        written = stored if isinstance(stored, list) else [stored]
        found = (self._find_words(each) or self.find_position(each) for each in written)
        return sorted({n for n in found if n})


@dataclass(frozen=True)
class _Parts(Field):
    """A field with several inputs, each with a key; the answer holds the text of each one that was filled in."""

    def read(self, stored: object) -> dict[str, str]:
        """Return the texts of its inputs by key, without blank ones."""
        written = stored if isinstance(stored, dict) else {}
        return {one.key: str(written[one.key]) for one in self.inputs if written.get(one.key)}


@dataclass(frozen=True)
class Scale(_Parts):
    """A number from 0 to 10, asked once or twice; `low` and `high` say what the ends mean."""

    before: str = ""
    after: str = ""
    low: str = ""
    high: str = ""

    kind = "scale"

    @property
    def inputs(self) -> tuple[Input, ...]:
        """Return one input for each time."""
        times = (("before", self.before), ("after", self.after))
        return tuple(Input(key, words, 2, key, "scale") for key, words in times if words)

    def list_problems(self) -> list[str]:
        """List which limits it breaks."""
        found = super().list_problems()
        if not self.before:
            found.append('“before” must name the time, as in before="Now"')
        if not (self.low and self.high):
            found.append("it has to say what 0 and 10 mean, as in “0 = not at all”")
        return found


@dataclass(frozen=True)
class Table(_Parts):
    """A table whose empty cells are filled in: its first cell names a row, if it isn't empty."""

    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()

    kind = "table"

    def is_example(self, row: int) -> bool:
        """Return whether a row is a worked example; rows count from 0."""
        return self.rows[row][0].casefold().startswith(EXAMPLE)

    def is_example_column(self, column: int) -> bool:
        """Return whether the cells of a column are all filled, so that it shows an example; columns count from 0."""
        own = [row for n, row in enumerate(self.rows) if not self.is_example(n)]
        return column > 0 and all(row[column] for row in own)

    def key(self, row: int, column: int) -> str:
        """Return the key of a cell; it counts from 1 and includes the examples, as the rows stand on paper."""
        return f"{row + 1}.{column + 1}"

    @property
    def inputs(self) -> tuple[Input, ...]:
        """Return an input for each empty cell of a row that is no example."""
        return _list_cells(self)

    def list_problems(self) -> list[str]:
        """List which limits it breaks."""
        found = super().list_problems()
        if not 1 <= len(self.columns) <= MAX_COLUMNS:
            found.append(f"it needs 1 to {MAX_COLUMNS} columns")
        if not 1 <= len(self.rows) <= MAX_ROWS:
            found.append(f"it needs 1 to {MAX_ROWS} rows")
        if not self.inputs:
            found.append("it has no empty cell to fill in")
        return found


@lru_cache(maxsize=256)
def _list_cells(table: Table) -> tuple[Input, ...]:
    own = [(n, row) for n, row in enumerate(table.rows) if not table.is_example(n)]
    names = _name_parts([row[0] for _, row in own], "r")
    headings = _name_parts(table.columns, "c")
    return tuple(
        Input(
            table.key(at, column),
            ": ".join(filter(None, (row[0] or str(number), table.columns[column]))),
            CELL_LENGTH,
            f"{name}.{headings[column]}",
        )
        for number, ((at, row), name) in enumerate(zip(own, names, strict=True), start=1)
        for column, cell in enumerate(row)
        if not cell
    )


def _name_parts(texts: Sequence[str], letter: str) -> list[str]:
    """Name rows or columns by their words, `to_bed`; one without words, or with those of another, by its number."""
    names: list[str] = []
    for number, text in enumerate(texts, start=1):
        letters = fold_for_search(text).encode("ascii", "ignore").decode()
        name = re.sub(r"[^a-z0-9]+", "_", letters).strip("_")[:30]
        # Such a name is kept for what has no words.
        name = "" if re.fullmatch(rf"{letter}\d+", name) else name
        names.append(name if name and name not in names else f"{letter}{number}")
    return names


@dataclass(frozen=True)
class Person(_Parts):
    """Rows for somebody's name and telephone number."""

    rows: int = 1

    kind = "person"

    @property
    def inputs(self) -> tuple[Input, ...]:
        """Return a name and a number for each row."""
        several = self.rows > 1
        return tuple(
            Input(f"{n}.{key}", f"{words} {n}" if several else str(words), longest, f"{n}.{key}")
            for n in range(1, self.rows + 1)
            for key, words, longest in (
                ("name", lazy_gettext("Name"), NAME_LENGTH),
                ("number", lazy_gettext("Number"), NUMBER_LENGTH),
            )
        )

    def list_problems(self) -> list[str]:
        """List which limits it breaks."""
        wrong = [] if 1 <= self.rows <= MAX_PEOPLE else [f"rows has to be 1 to {MAX_PEOPLE}"]
        return super().list_problems() + wrong


@dataclass(frozen=True)
class Sign(_Parts):
    """Lines to sign on paper, one for each person; what is kept is whether and when they did."""

    who: tuple[str, ...] = ()

    kind = "sign"

    @property
    def inputs(self) -> tuple[Input, ...]:
        """Return for each person whether they have signed, and the date."""
        names = _name_parts(self.who, "p")
        return tuple(
            one
            for n, who in enumerate(self.who, start=1)
            for one in (
                Input(f"{n}.signed", f"{who}: {gettext('Signed on paper')}", 3, None, "tick"),
                Input(f"{n}.date", f"{who}: {gettext('Date')}", DAY_LENGTH, f"{names[n - 1]}.date"),
            )
        )

    def list_problems(self) -> list[str]:
        """List which limits it breaks."""
        wrong = 1 <= len(self.who) <= MAX_SIGNERS
        return super().list_problems() + (
            [] if wrong else [f"“who” must name 1 to {MAX_SIGNERS} people"]
        )


@dataclass(frozen=True)
class Draw(_Parts):
    """A frame to draw in, on paper only: it has no answer."""

    height: int = 60

    kind = "draw"
    inputs = ()

    def list_problems(self) -> list[str]:
        """List which limits it breaks."""
        fits = MIN_HEIGHT <= self.height <= MAX_HEIGHT
        wrong = [] if fits else [f"height has to be {MIN_HEIGHT} to {MAX_HEIGHT}"]
        return super().list_problems() + wrong


def read_answers(fields: tuple[Field, ...], stored: Mapping[str, object]) -> dict[str, Answer]:
    """Return what is stored of a handout's answers by field, without blank ones."""
    found = {field.id: field.read(stored[field.id]) for field in fields if stored.get(field.id)}
    return {name: answer for name, answer in found.items() if answer}


def print_answers(
    answers: Mapping[str, Answer], make_printable: Callable[[str], str]
) -> dict[str, Answer]:
    """Return answers with each of their texts made printable."""
    return {name: _print_answer(answer, make_printable) for name, answer in answers.items()}


def _print_answer(answer: Answer, make_printable: Callable[[str], str]) -> Answer:
    if isinstance(answer, str):
        return make_printable(answer)
    if isinstance(answer, dict):
        return {key: make_printable(text) for key, text in answer.items()}
    return answer


def describe_field(field: Field) -> list[str]:
    """Describe a field in lines of plain words, for somebody who compares two texts."""
    limits = [
        f"{getattr(field, name)} {words}"
        for name, words in (("lines", "lines"), ("longest", "characters"), ("height", "mm"))
        if hasattr(field, name)
    ]
    how = ", ".join((KIND_LABELS[field.kind], *limits, *(["private"] if field.private else [])))
    return [f"Answer field {field.id}: {field.label} ({how})", *_describe_parts(field)]


def _describe_parts(field: Field) -> list[str]:
    if isinstance(field, Ticks):
        return [f"• {one.words}{f' → {one.part}' if one.part else ''}" for one in field.items]
    if isinstance(field, Scale):
        times = [time for time in (field.before, field.after) if time]
        return [*(f"• {time}" for time in times), f"0 = {field.low}", f"10 = {field.high}"]
    if isinstance(field, Table):
        return [" | ".join(cell or "…" for cell in row) for row in (field.columns, *field.rows)]
    if isinstance(field, Person):
        return [f"• rows: {field.rows}"]
    return [f"• {who}" for who in field.who] if isinstance(field, Sign) else []
