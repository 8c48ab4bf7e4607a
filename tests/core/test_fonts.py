"""Whether our fonts can print a text."""

from __future__ import annotations

from caseapp.core.fonts import missing_signs


def test_signs_that_do_not_print_are_found(the_app):
    assert missing_signs("Señor, “quoted”, one\ntwo\tthree") == []
    assert missing_signs("☃ and 一") == ["☃", "一"]
