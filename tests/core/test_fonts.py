"""Which characters our fonts can print."""

from __future__ import annotations

from caseapp.core.fonts import find_missing_glyphs


def test_find_missing_glyphs_lists_unprintable_characters(session_app):
    assert find_missing_glyphs("Señor, “quoted”, one\ntwo\tthree") == []
    assert find_missing_glyphs("☃ and 一") == ["☃", "一"]
