"""The American variant of a text that is written in British English: the same text with its pairs of words applied.

What is stored, hashed, compared and answered is always the written text. A variant is made from it for whoever reads,
so that both can't drift apart; only words differ, never a field, its name or its place.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from caseapp.core.i18n import current_language, variety_of
from caseapp.domain.practice.queries import get_practice_info

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from caseapp.domain.handouts.library import Handout

WRITTEN_IN, AMERICAN = "en", "en-US"
"""The language that has variants, and the variety that differs from how it's written."""
FENCE = ":::"
QUOTED = re.compile(r'"[^"]*"')
MARKER = re.compile(r"(\{\{[^}]*\}\})")

Pair = tuple[str, str]
"""A phrase as it's written, and what the American variant says instead."""


def find_variety(language: str) -> str:
    """Find the variety of a text's language for whoever reads now: their own, else that of the practice's country."""
    found = variety_of(language)
    if language != WRITTEN_IN or found == current_language():
        return found
    return variety_of(language, get_practice_info().practice.country)


def for_reader(handout: Handout) -> Handout:
    """Return the variant of a text for whoever reads now."""
    written = handout.original
    return make_variant(written, find_variety(written.language)) if written.us else written


@lru_cache(maxsize=256)
def make_variant(written: Handout, variety: str) -> Handout:
    """Make the variant of a text in a variety of its language; the written text where nothing differs."""
    if variety != AMERICAN or not written.us:
        return written
    words = _make_replacer(written.us)
    return replace(
        written,
        title=words(written.title),
        alias=words(written.alias) if written.alias else None,
        summary=words(written.summary),
        two_minutes=tuple(map(words, written.two_minutes)),
        faith_insert=words(written.faith_insert) if written.faith_insert else None,
        body="\n".join(_change_line(line, words) for line in written.body.split("\n")),
        written=written,
    )


def find_unused_pairs(handout: Handout) -> list[str]:
    """Find the phrases of pairs that don't stand in the text."""
    texts = [*_list_texts(handout)]
    return [
        phrase for phrase, _ in handout.us if not any(_find(phrase).search(text) for text in texts)
    ]


def _list_texts(handout: Handout) -> Iterator[str]:
    """Yield every text in which words are replaced, without names of fields, options and markers."""
    yield from filter(None, (handout.title, handout.alias, handout.summary, handout.faith_insert))
    yield from handout.two_minutes
    for line in handout.body.split("\n"):
        yield from QUOTED.findall(line) if line.startswith(FENCE) else MARKER.split(line)[::2]


def _find(phrase: str) -> re.Pattern[str]:
    """Find a phrase as whole words."""
    return re.compile(rf"(?<!\w){re.escape(phrase)}(?!\w)")


def _make_replacer(pairs: Sequence[Pair]) -> Callable[[str], str]:
    """Replace all phrases at once, so that what one puts in place isn't changed by another; longer ones come first."""
    instead = dict(pairs)
    phrases = sorted(instead, key=len, reverse=True)
    any_of = re.compile("|".join(_find(phrase).pattern for phrase in phrases))
    return lambda text: any_of.sub(lambda found: instead[found.group()], text)


def _change_line(line: str, words: Callable[[str], str]) -> str:
    if line.startswith(FENCE):
        # Names and options stay; what stands in quotation marks is read, such as the ends of a scale.
        return QUOTED.sub(lambda found: words(found.group()), line)
    parts = MARKER.split(line)
    parts[::2] = map(words, parts[::2])
    return "".join(parts)
