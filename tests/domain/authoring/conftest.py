"""Staff for handout authoring: two supervisors, so that one may approve what the other wrote."""

from __future__ import annotations

import pytest

from tests.support import staff


@pytest.fixture
def team(second_supervisor_in_template, team):
    return team | staff.find_team(["supervisor2"])
