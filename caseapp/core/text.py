"""Text folding for searching, comparing and naming."""

from __future__ import annotations

import unicodedata


def fold_for_search(text: str) -> str:
    """Return a text without case and accents: `Élodie` becomes `elodie`."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(character for character in decomposed if not unicodedata.combining(character))
