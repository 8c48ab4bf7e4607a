from __future__ import annotations

import pytest

from caseapp.core.tokens import generate_code, generate_token, normalize_code


def test_generate_token_returns_a_new_token_each_time():
    tokens = {generate_token() for _ in range(200)}
    assert len(tokens) == 200
    assert {len(token) for token in tokens} == {43}


def test_generate_code_returns_new_codes_without_look_alikes():
    codes = {generate_code(2) for _ in range(200)}
    assert len(codes) == 200
    for code in codes:
        assert len(code) == 9
        assert code[4] == "-"
        assert not set(code) & set("01ILO")


@pytest.mark.parametrize("typed", ["7KQ2-M9XD", "7kq2m9xd", " 7kq2 - m9xd ", "7K Q2M9XD\n"])
def test_normalize_code_accepts_every_way_of_typing(typed):
    assert normalize_code(typed) == "7KQ2M9XD"
