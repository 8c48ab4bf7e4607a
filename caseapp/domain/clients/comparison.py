"""How names and phone numbers are compared, so that somebody written differently is found. Pure functions."""

from __future__ import annotations

import re
import string
import unicodedata
from dataclasses import dataclass
from functools import cache
from itertools import chain, pairwise
from typing import TYPE_CHECKING

import phonenumbers
from nicknames import name_triplets

from caseapp.core.text import fold_for_search

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

VERSION = 1
"""Counts the changes of this module after which stored fingerprints have to be made again."""
MAX_WORD_LENGTH = 60
PARTICLES = frozenset(
    {
        "abu",
        "af",
        "al",
        "av",
        "bat",
        "ben",
        "bin",
        "bint",
        "da",
        "das",
        "de",
        "degli",
        "dei",
        "del",
        "della",
    }
    | {
        "den",
        "der",
        "di",
        "do",
        "dos",
        "du",
        "el",
        "ibn",
        "la",
        "las",
        "le",
        "les",
        "los",
        "mac",
        "mc",
        "san",
    }
    | {"santa", "st", "te", "ten", "ter", "van", "vom", "von", "zu", "zum", "zur"}
)
"""Small words before a family name. They are written apart, together or not at all."""
FEWEST_LETTERS = 4
"""A word with fewer letters has only longer neighbours: one letter makes another name of a short one."""
SHORTEST_NUMBER = 5
NUMBERS = re.compile(r"\+?\d[\d\s().–/-]*")
TWO_LETTERS = re.compile("(a)[ae]|([ou])e")


def fold_word(text: str) -> str:
    """Fold a word to small ASCII letters and digits, with `ae`, `oe`, `ue` and `aa` as one letter.

    `Müller`, `Mueller` and `Muller` become `muller`. What begins a word begins it folded too.
    """
    plain = re.sub(r"[^a-z0-9]", "", fold_for_search(text))
    return TWO_LETTERS.sub(lambda found: found[1] or found[2], plain)[:MAX_WORD_LENGTH]


def _split(name: str) -> list[str]:
    """Split a name at everything but letters, digits and apostrophes."""
    return [word for word in re.split(r"[^a-z0-9'`]+", fold_for_search(name)) if word]


def split_name(name: str) -> list[str]:
    """Split a name into folded words; an apostrophe stands inside a word, a hyphen between two."""
    return [folded for word in _split(name) if (folded := fold_word(word))]


def _join_particles(words: list[str]) -> list[str]:
    """Write particles together with the word that they stand before."""
    joined, before = [], ""
    for word in words[:-1]:
        before += word
        if word not in PARTICLES:
            joined.append(before)
            before = ""
    return [*joined, before + words[-1]] if words else []


def searched_words(name: str) -> set[str]:
    """Return the folded words by whose beginnings a name is found: apart, and together with their neighbours."""
    words = split_name(name)
    parts = chain.from_iterable(re.split("['`]", word) for word in _split(name))
    joined = (first + second for first, second in pairwise(words))
    every = {*words, *joined, *_join_particles(words), *map(fold_word, parts)}
    return {word[:MAX_WORD_LENGTH] for word in every if word}


def search_words(text: str) -> list[str]:
    """Split a search into the beginnings of `searched_words`."""
    return [word[:MAX_WORD_LENGTH] for word in _join_particles(split_name(text))]


@dataclass(frozen=True)
class ComparedName:
    """A name as pairs of words in alphabetical order, so that the order of the words doesn't matter.

    `whole` are the first word with the last one. `parts` are the other pairs by which somebody may be called: with a
    middle name, a second family name or the preferred name, or with two words written as one.
    """

    whole: frozenset[str] = frozenset()
    parts: frozenset[str] = frozenset()


def make_comparable(name: str, preferred: str = "") -> ComparedName:
    """Return a name in the form that is compared; it is empty for a name without letters and digits."""
    words = split_name(name)
    if not words:
        return ComparedName()
    last = len(words) - 1
    bare = [word for n, word in enumerate(words) if n in {0, last} or word not in PARTICLES]
    joined = _join_particles(words)
    whole = {_pair(bare)} | ({_pair(joined)} if len(joined) > 1 else set())
    parts = {_pair([bare[0], word]) for word in bare[1:]}
    parts |= {_pair([word, bare[-1]]) for word in bare[:-1]}
    for n, (first, second) in enumerate(pairwise(words)):
        parts.add(_pair([*words[:n], first + second, *words[n + 2 :]]))
    if called := split_name(preferred):
        parts |= {_pair([called[0], bare[-1]]), _pair([called[0], joined[-1]])}
    return ComparedName(frozenset(whole), frozenset(parts - whole))


def _pair(words: list[str]) -> str:
    return " ".join(sorted({words[0], words[-1]}))


def similar_names(name: ComparedName) -> set[str]:
    """Return the pairs of words that differ from a whole name by one edit or a nickname in one of the words."""
    found: set[str] = set()
    for pair in name.whole:
        first, second = (pair.split() * 2)[:2]
        for word, other in ((first, second), (second, first)):
            for near in _near_words(word):
                found.add(_pair([near, other]))
                if word == other:
                    found.add(near)
    return found - name.whole


def _near_words(word: str) -> Iterator[str]:
    yield from _nicknames().get(word, ())
    if word.isalpha():
        yield from _edits(word)


def _edits(word: str) -> Iterator[str]:
    """Yield the words that become a word by adding, leaving out, changing or exchanging one letter."""
    for n in range(len(word) + 1):
        head, tail = word[:n], word[n:]
        if len(word) >= FEWEST_LETTERS - 1:
            yield from (head + letter + tail for letter in string.ascii_lowercase)
        if len(word) >= FEWEST_LETTERS and tail:
            yield head + tail[1:]
            yield from (head + letter + tail[1:] for letter in string.ascii_lowercase)
            yield head + tail[1::-1] + tail[2:]


@cache
def _nicknames() -> dict[str, frozenset[str]]:
    """Return for each name those that may stand for it: its nicknames, and whatever shares a full name with it."""
    full_names: dict[str, set[str]] = {}
    nicknames: dict[str, set[str]] = {}
    for full, _relation, short in name_triplets():
        one, other = fold_word(full), fold_word(short)
        full_names.setdefault(one, {one})
        full_names.setdefault(other, {other}).add(one)
        nicknames.setdefault(one, {one}).add(other)
    return {
        name: frozenset(chain.from_iterable(nicknames.get(one, ()) for one in called)) - {name}
        for name, called in full_names.items()
    }


def phone_numbers(text: str, country: str) -> set[str]:
    """Return each phone number of a text in its international form, `+44…`, without extensions.

    `country` is the one in which numbers without a country code are dialled. A number that can't be one there is
    compared by its digits, and one with fewer than SHORTEST_NUMBER digits not at all.
    """
    return {
        number
        for found in NUMBERS.findall(_plain_digits(text))
        for number in _international(found, country)
    }


def _plain_digits(text: str) -> str:
    """Replace the digits of other scripts and the full-width plus sign; a plus sign begins another number."""
    digits = (
        str(unicodedata.digit(character)) if character.isdecimal() else character
        for character in text.replace("\uff0b", "+")
    )
    return "".join(digits)


def _international(text: str, country: str) -> Iterable[str]:
    """Return the number that a text is, or the numbers that it consists of."""
    if number := _parse(text, country) or _parse(re.sub(r"^00", "+", text), country):
        return [number]
    pieces = [piece for piece in text.split("/") if piece.strip()]
    if len(pieces) > 1:
        return chain.from_iterable(_international(piece, country) for piece in pieces)
    words = text.split()
    for n in range(1, len(words)):
        both = [_parse(" ".join(part), country, whole=True) for part in (words[:n], words[n:])]
        if all(both):
            return [number for number in both if number]
    digits = re.sub(r"\D", "", text)
    return [digits] if len(digits) >= SHORTEST_NUMBER else []


def _parse(text: str, country: str, *, whole: bool = False) -> str | None:
    """Return a number in its international form; `whole` refuses one that lacks the code of its area."""
    try:
        number = phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException:
        return None
    reason = phonenumbers.is_possible_number_with_reason(number)
    local = phonenumbers.ValidationResult.IS_POSSIBLE_LOCAL_ONLY
    if reason == phonenumbers.ValidationResult.IS_POSSIBLE or (reason == local and not whole):
        return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return None
