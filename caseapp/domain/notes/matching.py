"""Looking for words in the texts of notes: folded as names are for a search, and where they stand. Pure functions."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from caseapp.core.text import fold_for_search
from caseapp.domain.notes.codes import ADDENDUM_LABELS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caseapp.domain.notes.records import NoteRecord

SHOWN_AROUND = 90
"""Characters that are shown before and after what was found."""
MAX_EXCERPTS = 3
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")


@dataclass(frozen=True)
class Excerpt:
    """A part of a note in which a word was found: which part, and the text before, of and after the word."""

    part: str
    before: str = field(repr=False)
    found: str = field(repr=False)
    after: str = field(repr=False)


def split_words(text: str) -> list[str]:
    """Split what somebody looks for into folded words."""
    return _fold(text).split()


def list_texts(note: NoteRecord) -> Iterator[tuple[str, str]]:
    """List the texts of a note and of its addenda, each with the name of its part."""
    for section, text in note.texts:
        yield section.label, text
    for addendum in note.addenda:
        yield ADDENDUM_LABELS[addendum.kind], addendum.text
        yield ADDENDUM_LABELS[addendum.kind], addendum.reason


def has_words(note: NoteRecord, words: list[str]) -> bool:
    """Tell whether a note holds every one of some folded words, in any of its texts, also inside other words."""
    folded = "\n".join(_fold(text) for _, text in list_texts(note))
    return all(word in folded for word in words)


def list_excerpts(note: NoteRecord, words: list[str]) -> tuple[Excerpt, ...]:
    """List where each of some folded words stands first in a note, at most MAX_EXCERPTS."""
    found, left = list[Excerpt](), [*words]
    for part, text in list_texts(note):
        if not any(word in _fold(text) for word in left):
            continue
        folded, places = _fold_with_places(text)
        for word in [*left]:
            at = folded.find(word)
            if at < 0:
                continue
            left.remove(word)
            if len(found) < MAX_EXCERPTS:
                found.append(_cut(part, text, places[at], places[at + len(word) - 1] + 1))
    return tuple(found)


def _fold(text: str) -> str:
    # The same as folding all of it, without looking at each plain letter.
    return _NOT_ASCII.sub(lambda found: fold_for_search(found[0]), text).lower()


def _fold_with_places(text: str) -> tuple[str, list[int]]:
    """Fold a text; return for each character of the result the place of the one that it came from."""
    parts, places = [], list[int]()
    for place, character in enumerate(text):
        folded = character.lower() if character.isascii() else _fold(character)
        parts.append(folded)
        places += [place] * len(folded)
    return "".join(parts), places


def _cut(part: str, text: str, begin: int, end: int) -> Excerpt:
    before, after = text[:begin], text[end:]
    if len(before) > SHOWN_AROUND:
        before = f"… {before[-SHOWN_AROUND:].partition(' ')[2]}"
    if len(after) > SHOWN_AROUND:
        after = f"{after[:SHOWN_AROUND].rpartition(' ')[0]} …"
    return Excerpt(part, before, text[begin:end], after)
