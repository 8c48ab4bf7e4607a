"""Text folding for searching, comparing and naming, and the length of a text as people see it."""

from __future__ import annotations

import unicodedata
from itertools import groupby

from anyascii import anyascii

PRINTED_AS_BLANKS = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters and symbols that print as blanks: the fillers of Hangul, and the pattern of Braille without a dot."""
COUNTED_IN_A_ROW = 3
"""So many of the same character in a row count as written: `www` and `1000` are words, `xxxxxxxxxx` is a filler."""


def fold_for_search(text: str) -> str:
    """Return a text in lower-case ASCII letters: `Élodie` becomes `elodie`, `Łukasz` `lukasz`, `Ольга` `ol'ga`."""
    return anyascii(text.casefold()).lower()


def count_written(text: str) -> int:
    """Count the characters of a text that say something: letters, digits, punctuation marks and symbols.

    What can't be seen doesn't count, and neither does the same character more often than three times in a row, whatever
    invisible ones stand between. A text without any letter or digit says nothing: its count is 0.
    """
    seen = [
        character
        for character in text
        if unicodedata.category(character)[0] in "LNPS" and character not in PRINTED_AS_BLANKS
    ]
    if not any(unicodedata.category(character)[0] in "LN" for character in seen):
        return 0
    return sum(min(len([*row]), COUNTED_IN_A_ROW) for _, row in groupby(seen))
