from __future__ import annotations

import pytest

from caseapp.core.text import fold_for_search


@pytest.mark.parametrize(
    ("text", "folded"),
    [("Élodie", "elodie"), ("STRASSE", "strasse"), ("Straße", "strasse"), ("", "")],
)
def test_fold_removes_case_and_accents(text, folded):
    assert fold_for_search(text) == folded
