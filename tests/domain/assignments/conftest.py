"""Fixtures: a team, and a case whose client has a steady screening."""

import pytest

from tests.support import builders, staff


@pytest.fixture
def team(app):
    return staff.team()


@pytest.fixture
def made(team):
    made = builders.case(team["coach"], "Ines Okafor")
    builders.screen(team["coach"], made.client_id)
    return made
