"""Fixtures: a team whose outbox the test delivers, and six steady cases."""

import pytest

from caseapp.core import runtime
from tests.domain.bulk_assignments.steps import NAMES
from tests.support import builders


@pytest.fixture
def team(team, monkeypatch):
    # The test's own outbox hands nothing to a queue: each test delivers when it wants to.
    monkeypatch.setattr(runtime.current(), "dispatch", None)
    return team


@pytest.fixture
def cases(team):
    made = [builders.case(team["coach"], name) for name in NAMES]
    for one in made:
        builders.screen(team["coach"], one.client_id)
    return made
