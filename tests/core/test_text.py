from __future__ import annotations

import pytest

from caseapp.core.text import count_visible, fold_for_search


@pytest.mark.parametrize(
    ("text", "folded"),
    [("Élodie", "elodie"), ("STRASSE", "strasse"), ("Straße", "strasse"), ("", "")],
)
def test_fold_removes_case_and_accents(text, folded):
    assert fold_for_search(text) == folded


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("She rang.", 8),
        ("\u3164\u2800\u115f\u1160\uffa0", 0),
        ("\u200b\u034f\ufe0f \n", 0),
        ("é漢!€", 4),
    ],
)
def test_count_visible_counts_what_is_printed(text, count):
    assert count_visible(text) == count
