"""The people of tests about staff who leave."""

from __future__ import annotations

import pytest

from tests.support import staff


@pytest.fixture
def team(app):
    """Add a supervisor with two coaches, and another supervisor who supervises the first one."""
    return {
        "supervisor2": staff.add("supervisor2"),
        "supervisor": staff.add("supervisor", supervisor="supervisor2"),
        "coach": staff.add("coach", supervisor="supervisor"),
        "coach2": staff.add("coach2", supervisor="supervisor"),
        "admin": staff.add("admin"),
    }
