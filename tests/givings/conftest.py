"""A team whose outbox is carried out by the test, and six calm cases."""

import pytest

from caseapp.core import outbox
from tests import build, people
from tests.givings.giving import NAMES


@pytest.fixture
def team(app, monkeypatch):
    # The test's own outbox hands nothing to a queue: each test delivers when it wants to.
    monkeypatch.setattr(outbox, "_hand_over", [])
    return people.team()


@pytest.fixture
def cases(team):
    made = [build.case(team["coach"], name) for name in NAMES]
    for one in made:
        build.screen(team["coach"], one.client_id)
    return made
