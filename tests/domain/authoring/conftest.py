"""Staff for handout authoring: two supervisors, so that one may approve what the other wrote."""

from __future__ import annotations

import pytest

from tests.support import staff


@pytest.fixture
def team(team):
    return team | {"supervisor2": staff.add("supervisor2", role="supervisor")}
