"""A team, and a case whose client was screened and is calm."""

import pytest

from tests import build, people


@pytest.fixture
def team(app):
    return people.team()


@pytest.fixture
def made(team):
    made = build.case(team["coach"], "Ines Okafor")
    build.screen(team["coach"], made.client_id)
    return made
