"""Workshops whose foreman and hands end with the test."""

from __future__ import annotations

import pytest

from tests.core.sandboxes import shop_of


@pytest.fixture
def shop():
    made = shop_of()
    yield made
    made.close()


@pytest.fixture
def lonely():
    """Give a workshop with one hand at a time."""
    made = shop_of(hands=1)
    yield made
    made.close()
