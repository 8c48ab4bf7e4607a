from __future__ import annotations

import pytest

from caseapp.core.text import count_written, fold_for_search


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
        ("é漢!€", 6),
        ("e\u0301e\u0300", 2),
        ("e" + "\u0316\u0317\u0318" * 20, 1),
        ("漢" * 40, 9),
        ("她今晚住在姐姐家很安全", 33),
        ("今夜は姉の家にいる", 22),
        ("오늘은 언니 집에 있어요", 20),
        ("คืนนี้เธออยู่บ้านพี่สาว", 20),
        ("वह आज बहन के घर पर सुरक्षित है", 23),
        ("هي الليلة عند أختها", 16),
        ("www.1000.de", 11),
        ("x" * 40, 3),
        ("x \u200bx " * 40, 3),
        ("....... ", 0),
        ("-- \U0001f642 !?", 0),
        ("No" + "." * 40, 5),
        ("नमस्ते", 6),
    ],
)
def test_only_what_says_something_counts_as_written(text, count):
    assert count_written(text) == count
