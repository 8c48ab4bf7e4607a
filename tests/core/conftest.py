"""Pools whose supervisor and hands end with the test."""

from __future__ import annotations

import pytest

from tests.core.sandboxes import make_pool


@pytest.fixture
def sandbox_pool():
    made = make_pool()
    yield made
    made.close()


@pytest.fixture
def single_worker_pool():
    """Give a pool with one hand at a time."""
    made = make_pool(workers=1)
    yield made
    made.close()
