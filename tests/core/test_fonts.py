"""Whether our fonts can print a text."""

from __future__ import annotations

from caseapp.core.fonts import find_missing_glyphs


def test_signs_that_do_not_print_are_found(the_app):
    assert find_missing_glyphs("Señor, “quoted”, one\ntwo\tthree") == []
    assert find_missing_glyphs("☃ and 一") == ["☃", "一"]
