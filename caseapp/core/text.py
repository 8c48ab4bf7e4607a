"""Text folding for searching, comparing and naming, and the length of a text as people see it."""

from __future__ import annotations

import unicodedata
from itertools import groupby

from anyascii import anyascii

PRINTED_AS_BLANKS = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters and symbols that print as blanks: the fillers of Hangul, and the pattern of Braille without a dot."""
COUNTED_IN_A_ROW = 3
"""So many of the same character in a row count as written: `www` and `1000` are words, `xxxxxxxxxx` is a filler."""


WEIGHTS = {"CJK": 3, "HIRAGANA": 2, "KATAKANA": 2, "HANGUL": 2, "YI": 2, "ETHIOPIC": 2}
"""For how many letters a character counts, by the first word of its name: an ideograph is a word or half of one, a
syllable a consonant with its vowel. One and the same text in English has two to three times as many letters."""


def fold_for_search(text: str) -> str:
    """Return a text in lower-case ASCII letters: `Élodie` becomes `elodie`, `Łukasz` `lukasz`, `Ольга` `ol'ga`."""
    return anyascii(text.casefold()).lower()


def count_written(text: str) -> int:
    """Count the characters of a text that say something: letters, digits, punctuation marks and symbols.

    What can't be seen doesn't count, and neither does the same character more often than three times in a row, whatever
    invisible ones stand between. An ideograph counts as three, a syllable that is one character as two, see `WEIGHTS`.
    In scripts without capitals, such as Thai, Hindi or Arabic, a letter with marks, which are vowels there, counts as
    two. A text without any letter or digit says nothing: its count is 0.
    """
    seen: list[tuple[str, int]] = []
    for character in unicodedata.normalize("NFC", text):
        kind = unicodedata.category(character)
        if kind[0] in "LNPS" and character not in PRINTED_AS_BLANKS:
            seen.append((character, _weigh(character) if kind == "Lo" else 1))
        elif kind in {"Mn", "Mc"} and seen and _carries_vowels(seen[-1][0]):
            seen[-1] = (seen[-1][0] + character, 2)
    if not any(unicodedata.category(written[0])[0] in "LN" for written, _ in seen):
        return 0
    rows = ([*row] for _, row in groupby(seen))
    return sum(sum(weight for _, weight in row[:COUNTED_IN_A_ROW]) for row in rows)


def _weigh(letter: str) -> int:
    return WEIGHTS.get(unicodedata.name(letter, "").partition(" ")[0], 1)


def _carries_vowels(written: str) -> bool:
    """Tell whether a letter, perhaps with marks, is of a script without capitals whose vowels are marks."""
    return unicodedata.category(written[0]) == "Lo" and _weigh(written[0]) == 1
