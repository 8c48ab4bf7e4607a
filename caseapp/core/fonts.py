"""Font faces of the installed packages (SIL Open Font License), subset once into the data directory."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from functools import cache
from importlib import import_module
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont

from caseapp.core import settings

FACES = {
    "sans-400": ("font_source_sans_pro", "SourceSansPro-Regular", "App Sans", 400),
    "sans-600": ("font_source_sans_pro", "SourceSansPro-Semibold", "App Sans", 600),
    "serif-400": ("font_source_serif_pro", "SourceSerifPro-Regular", "App Serif", 400),
    "serif-600": ("font_source_serif_pro", "SourceSerifPro-Semibold", "App Serif", 600),
}
# Latin with its extensions, Vietnamese, punctuation, currency, arrows, boxes and ticks.
UNICODE_RANGES = (
    "U+0020-024F,U+02C6-02DD,U+0300-036F,U+1E00-1EFF,U+2000-206F,U+20A0-20BF,U+2190-2193,U+2212,U+2260,U+2264,U+2265,"
    "U+25A0-25CF,U+2610-2612,U+2713,U+2714"
)

# Characters that a message names; more of them would hide what to do.
MOST_NAMED = 10

# Print must not have ligatures: WeasyPrint 70 embeds the fonts of form fields unsubset and then loses the letters
# behind a ligature, so that "after" would be read aloud and copied as "aer".
LAYOUT_FEATURES = {"woff2": ["*"], "ttf": ["ccmp", "kern", "locl", "mark", "mkmk"]}
# Part of the file names, so that a change of these options produces new files.
SUBSET_VERSION = hashlib.sha256(f"{UNICODE_RANGES}{LAYOUT_FEATURES}".encode()).hexdigest()[:8]


def installed_font(key: str) -> Path:
    """Return the installed font file of a face."""
    package, name, _, _ = FACES[key]
    origin = import_module(package).__file__
    assert origin is not None  # noqa: S101 - a package with files
    return Path(origin).parent / "files" / f"{name}.ttf"


def web_font(key: str) -> Path:
    """Return a face as WOFF2 for browsers; build it if needed."""
    return _subset(key, "woff2")


def print_font(key: str) -> Path:
    """Return a face as TTF for PDFs; build it if needed."""
    return _subset(key, "ttf")


def find_missing_glyphs(text: str) -> list[str]:
    """List the characters of a text that one of our faces lacks and that would print as boxes."""
    return sorted(char for char in set(text) - _printable_characters() if not char.isspace())


def replace_missing_glyphs(text: str) -> str:
    """Return a text with a question mark for each character that one of our faces lacks."""
    return text.translate(dict.fromkeys(map(ord, find_missing_glyphs(text)), "?"))


def name_missing_glyphs(text: str) -> str:
    """Name the first characters of a text that our fonts can't print, with their code points; empty if there are none.

    A control or combining character is named by its code point alone.
    """
    return ", ".join(
        f"{char} (U+{ord(char):04X})" if _is_visible(char) else f"U+{ord(char):04X}"
        for char in find_missing_glyphs(text)[:MOST_NAMED]
    )


def _is_visible(char: str) -> bool:
    return char.isprintable() and not unicodedata.combining(char)


@cache
def _printable_characters() -> frozenset[str]:
    codes = set(subset.parse_unicodes(UNICODE_RANGES))
    for face in FACES:
        with TTFont(installed_font(face), lazy=True) as font:
            codes &= font.getBestCmap().keys()
    return frozenset(map(chr, codes))


def _subset(key: str, flavor: str) -> Path:
    target = settings.active().data_dir / "fonts" / f"{key}.{SUBSET_VERSION}.{flavor}"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        options = subset.Options()
        options.flavor = "woff2" if flavor == "woff2" else None
        options.layout_features = LAYOUT_FEATURES[flavor]
        options.hinting = False
        font = TTFont(installed_font(key), recalcTimestamp=False)
        subsetter = subset.Subsetter(options)
        subsetter.populate(unicodes=subset.parse_unicodes(UNICODE_RANGES))
        subsetter.subset(font)
        font.flavor = options.flavor
        # Two processes may build it at the same time; a rename is atomic.
        temporary = target.with_suffix(f".{os.getpid()}")
        with temporary.open("wb") as file:
            font.save(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(target)
    return target
