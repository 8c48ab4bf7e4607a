"""The blocks of a handout's Markdown: fields to fill in, help lines and dialogues, each between `:::` lines.

    ::: ticks ready {private}
    After the wait
    - I'm calmer, even if it still hurts
    - My message doesn't need anything from them
    :::

The first line inside a field is its label. Texts that were published before blocks existed list their fields in the
front matter, each placed by a marker; `convert_earlier` writes those as blocks, so that all are read alike.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from caseapp.domain.handouts.drawings import DRAWINGS
from caseapp.domain.handouts.fields import (
    MAX_TEXT_LENGTH,
    TEXT_LENGTH,
    Draw,
    Field,
    Item,
    Long,
    Person,
    Scale,
    Sign,
    Table,
    Text,
    Ticks,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

HELP, TALK, DRAWING = "help", "talk", "drawing"
FENCE = ":::"
MAX_DIGITS = 4
"""Digits of an option. A number beyond its limit is still shown, so a larger one would occupy the server."""
OPENING = re.compile(r"::: *([a-z]+)(?: +([^\s{]+))?(?: *\{([^}]*)\})? *")
FIELD_ID = re.compile(r"[a-z][a-z0-9_]{1,39}")
OPTION = re.compile(r'([a-z]+)(?:=("[^"]*"|[^\s"]+))?(?:\s+|$)')
ITEM = re.compile(r"- +(.+?)(?: *→ *(\w+))?")
PLACEHOLDER = re.compile(r"\{\{([^}]*)\}\}")
EARLIER_MARKER = re.compile(r"^\{\{field:(\w+)\}\}$", re.MULTILINE)


class InvalidBlock(Exception):
    """A block that can't be read; its text says why."""


@dataclass(frozen=True)
class Block:
    """A part of a text: plain Markdown, or a block with its field, if it is one, or with what is wrong with it."""

    kind: str
    text: str
    field: Field | None = None
    problem: str = ""


@dataclass(frozen=True)
class _Lines:
    """The opening of a block and the lines in it."""

    kind: str
    id: str
    options: Mapping[str, str]
    label: str
    rest: tuple[str, ...]

    def number(self, name: str, default: int) -> int:
        """Return an option as a whole number.

        Raises InvalidBlock.
        """
        text = self.options.get(name, str(default))
        if not (text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS):
            raise InvalidBlock(f"{name} has to be a whole number of up to {MAX_DIGITS} digits")
        return int(text)

    def refuse_rest(self) -> None:
        """Refuse lines after the label.

        Raises InvalidBlock.
        """
        if self.rest:
            raise InvalidBlock("it can’t have any lines after the label")


@lru_cache(maxsize=1024)
def split_blocks(text: str) -> tuple[Block, ...]:
    """Split a text at its blocks; what lies between them is of the kind `prose`."""
    return tuple(_split(text.split("\n")))


def _split(lines: Sequence[str]) -> Iterator[Block]:
    start = at = 0
    while at < len(lines):
        if not lines[at].startswith(FENCE):
            at += 1
            continue
        yield from _prose(lines[start:at])
        end = _find_end(lines, at + 1)
        whole = "\n".join(lines[at : end + 1])
        yield _read_block(
            lines[at].rstrip(), lines[at + 1 : end], whole, closed=_closes(lines, end)
        )
        start = at = end + 1 if _closes(lines, end) else end
    yield from _prose(lines[start:])


def _find_end(lines: Sequence[str], at: int) -> int:
    """Find the line that closes a block, or that shows that it isn't closed: a heading, another block, the end."""
    while at < len(lines) and not lines[at].startswith((FENCE, "## ")):
        at += 1
    return at


def _closes(lines: Sequence[str], end: int) -> bool:
    return end < len(lines) and lines[end].rstrip() == FENCE


def _prose(lines: Sequence[str]) -> Iterator[Block]:
    if text := "\n".join(lines).strip():
        yield Block("prose", text)


def _read_block(opening: str, inside: Sequence[str], whole: str, *, closed: bool) -> Block:
    found = OPENING.fullmatch(opening)
    if found is None:
        return Block("broken", whole, problem=f"the line “{opening}” doesn’t open a block")
    kind, name, options = found.group(1), found.group(2) or "", found.group(3) or ""
    title = f"{kind} {name}".strip()
    if kind == DRAWING:
        return Block(kind, name, problem=_find_drawing_problem(title, name, options, inside))
    if not closed:
        return Block("broken", whole, problem=f"the block “{title}” isn’t closed with {FENCE}")
    if kind in (HELP, TALK):
        problem = f"the block “{title}” can’t have a name or options" if name or options else ""
        return Block(kind, "\n".join(inside).strip(), problem=problem)
    try:
        field = _read_field(kind, name, options, [line.rstrip() for line in inside])
    except InvalidBlock as error:
        return Block("broken", whole, problem=f"the block “{title}”: {error}")
    broken = "; ".join(field.list_problems())
    return Block("field", whole, field, f"the block “{title}”: {broken}" if broken else "")


def _find_drawing_problem(title: str, name: str, options: str, inside: Sequence[str]) -> str:
    if name not in DRAWINGS:
        return f"the block “{title}”: there is no such drawing; choose {', '.join(DRAWINGS)}"
    if options or any(line.strip() for line in inside):
        return f"the block “{title}” can’t have options or lines"
    return ""


def _read_field(kind: str, name: str, options: str, inside: Sequence[str]) -> Field:
    if kind not in READERS:
        raise InvalidBlock(
            f"there is no such kind; choose {', '.join((*READERS, HELP, TALK, DRAWING))}"
        )
    if not FIELD_ID.fullmatch(name):
        raise InvalidBlock("its name needs lowercase letters, digits and _, starting with a letter")
    known, read = READERS[kind]
    written = [line for line in inside if line.strip()]
    if not written:
        raise InvalidBlock("it has no label")
    return read(_Lines(kind, name, _read_options(options, known), written[0], tuple(written[1:])))


def _read_options(text: str, known: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    text, at = text.strip(), 0
    while at < len(text):
        option = OPTION.match(text, at)
        if option is None or option[1] in found or option[1] not in (*known, "private"):
            allowed = ", ".join((*known, "private"))
            raise InvalidBlock(f"“{text}” can’t be read; the options are {allowed}")
        found[option[1]] = (option[2] or "").strip('"')
        at = option.end()
    return found


def _text(found: _Lines) -> Text:
    found.refuse_rest()
    lines, longest = found.number("lines", 1), found.number("max", TEXT_LENGTH)
    return Text(found.id, found.label, "private" in found.options, lines, longest)


def _long(found: _Lines) -> Long:
    found.refuse_rest()
    return Long(found.id, found.label, "private" in found.options, found.number("lines", 3))


def _ticks(found: _Lines) -> Ticks:
    items = [ITEM.fullmatch(line) for line in found.rest]
    if None in items:
        raise InvalidBlock("each line after the label has to be an item: “- ” and its words")
    read = tuple(Item(item[1], item[2] or "") for item in items if item)
    return Ticks(found.id, found.label, "private" in found.options, read)


END = re.compile(r"(0|10) *= *(.+)")


def _scale(found: _Lines) -> Scale:
    ends = [END.fullmatch(line) for line in found.rest]
    named = {end[1]: end[2] for end in ends if end}
    if None in ends or len(named) < len(ends):
        raise InvalidBlock("after the label there must be “0 = …” and “10 = …” and nothing else")
    return Scale(
        found.id,
        found.label,
        "private" in found.options,
        found.options.get("before", ""),
        found.options.get("after", ""),
        named.get("0", ""),
        named.get("10", ""),
    )


def _table(found: _Lines) -> Table:
    lines = [_read_cells(line) for line in found.rest]
    has_rule = len(lines) > 1 and all(re.fullmatch(r":?-+:?", cell) for cell in lines[1])
    if not has_rule or any(len(line) != len(lines[0]) for line in lines):
        raise InvalidBlock(
            "after the label there must be a row of headings, a line such as |---|---|, and the other rows, each with "
            "the same number of cells"
        )
    return Table(
        found.id,
        found.label,
        "private" in found.options,
        lines[0],
        tuple(lines[2:]),
    )


def _read_cells(line: str) -> tuple[str, ...]:
    text = line.strip()
    if not (text.startswith("|") and text.endswith("|") and len(text) > 1):
        raise InvalidBlock(f"the line “{line}” isn’t a row: a row must begin and end with |")
    return tuple(cell.strip() for cell in text[1:-1].split("|"))


def _person(found: _Lines) -> Person:
    found.refuse_rest()
    return Person(found.id, found.label, "private" in found.options, found.number("rows", 1))


def _sign(found: _Lines) -> Sign:
    found.refuse_rest()
    who = (name.strip() for name in found.options.get("who", "").split(","))
    return Sign(found.id, found.label, "private" in found.options, tuple(filter(None, who)))


def _draw(found: _Lines) -> Draw:
    found.refuse_rest()
    return Draw(found.id, found.label, "private" in found.options, found.number("height", 60))


READERS: dict[str, tuple[tuple[str, ...], Callable[[_Lines], Field]]] = {
    Text.kind: (("lines", "max"), _text),
    Long.kind: (("lines",), _long),
    Ticks.kind: ((), _ticks),
    Scale.kind: (("before", "after"), _scale),
    Table.kind: ((), _table),
    Person.kind: (("rows",), _person),
    Sign.kind: (("who",), _sign),
    Draw.kind: (("height",), _draw),
}
"""For each kind of field the names of its options, besides `private`, and what reads it from a block."""


@lru_cache(maxsize=512)
def list_fields(body: str) -> tuple[Field, ...]:
    """List the fields of a text in their order; blocks that can't be read have none."""
    return tuple(block.field for block in split_blocks(body) if block.field)


def has_help_block(body: str) -> bool:
    """Return whether a text begins with a help block."""
    return any(block.kind == HELP for block in split_blocks(body)[:1])


def count_words(body: str) -> int:
    """Count the words of a text outside its fields; a field counts as one."""
    return sum(
        1 if block.field else len(block.text.split())
        for block in split_blocks(body)
        if block.kind != DRAWING
    )


def list_block_problems(body: str) -> list[str]:
    """List what is wrong with the blocks of a text."""
    blocks = split_blocks(body)
    found = [block.problem for block in blocks if block.problem]
    ids = [block.field.id for block in blocks if block.field]
    found += [
        f"two fields are named {name}" for name in sorted({x for x in ids if ids.count(x) > 1})
    ]
    found += [
        f"{{{{{marker[1]}}}}} can’t stand in the block “{block.text.split(chr(10))[0]}”, where it isn’t filled in"
        for block in blocks
        if block.field or block.kind == TALK
        for marker in PLACEHOLDER.finditer(block.text)
    ]
    if HELP in [block.kind for block in blocks[1:]]:
        found.append("the help block has to be the first one, before everything else")
    return found


def convert_earlier(fields: Sequence[Mapping[str, Any]], body: str) -> str:
    """Write the fields of the first edition as blocks, at their markers: the same words under the same names.

    A choice becomes a tick list and a date a text, since there are no such kinds any more.
    """
    by_id = {str(field.get("id", "")): field for field in fields}

    def place(marker: re.Match[str]) -> str:
        field = by_id.get(marker[1])
        return _write_earlier(field) if field else marker.group()

    return EARLIER_MARKER.sub(place, body)


def _write_earlier(field: Mapping[str, Any]) -> str:
    private = ["private"] if field.get("sensitive") else []
    inside = [str(field.get("label", ""))]
    kind = field.get("type")
    if kind in ("checkboxes", "choice"):
        name, options = Ticks.kind, private
        inside += [f"- {option}" for option in field.get("options", ())]
    elif kind == "textarea":
        name, options = Long.kind, [f"lines={field.get('lines', 3)}", *private]
    else:
        longest = 40 if kind == "date" else field.get("max_length", MAX_TEXT_LENGTH)
        limit = [] if longest == TEXT_LENGTH else [f"max={longest}"]
        name, options = Text.kind, [*limit, *private]
    braces = f" {{{' '.join(options)}}}" if options else ""
    return "\n".join((f"{FENCE} {name} {field['id']}{braces}", *inside, FENCE))
