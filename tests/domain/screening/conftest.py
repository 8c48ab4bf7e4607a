"""A team, a client, and a safety hold for which all is done."""

from __future__ import annotations

import pytest

from tests.domain.screening.hold_helpers import day, finish_tasks, only_hold
from tests.support import builders, staff


@pytest.fixture
def team(second_supervisor_in_template, team):
    return team | staff.find_team(["supervisor2"])


@pytest.fixture
def ines(team):
    with day(-1):
        return builders.client(team["coach"])


@pytest.fixture
def held(team, ines):
    """Return a safety hold that the second supervisor can release."""
    with day(0):
        builders.screen(team["coach"], ines, self_harm="urgent")
    with day(8):
        finish_tasks(team["coach"], ines)
        builders.screen(team["coach"], ines)
    return only_hold(ines)
