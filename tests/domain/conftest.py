"""Every test of the domain stores things about a client only under that client's lock."""

from __future__ import annotations

import pytest

from tests.support.lock_guard import locks_watched


@pytest.fixture(autouse=True)
def client_locks():
    """Refuse what is stored without the lock."""
    with locks_watched():
        yield
