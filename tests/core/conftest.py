"""Sandbox pools that are closed after each test."""

from __future__ import annotations

import pytest

from tests.core.sandboxes import make_pool


@pytest.fixture
def sandbox_pool():
    pool = make_pool()
    yield pool
    pool.close()


@pytest.fixture
def single_worker_pool():
    """Yield a pool with one worker."""
    pool = make_pool(workers=1)
    yield pool
    pool.close()
