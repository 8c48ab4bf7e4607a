"""Text folding for searching, comparing and naming, and the length of a text as people see it."""

from __future__ import annotations

import unicodedata

PRINTED_AS_BLANKS = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters and symbols that print as blanks: the fillers of Hangul, and the pattern of Braille without a dot."""


def fold_for_search(text: str) -> str:
    """Return a text without case and accents: `Élodie` becomes `elodie`."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(character for character in decomposed if not unicodedata.combining(character))


def count_visible(text: str) -> int:
    """Count the letters, digits, punctuation marks and symbols of a text, which somebody can see."""
    return sum(
        unicodedata.category(character)[0] in "LNPS" and character not in PRINTED_AS_BLANKS
        for character in text
    )
