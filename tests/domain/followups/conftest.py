"""Clients with follow-ups."""

from __future__ import annotations

import pytest

from caseapp.core.clock import at
from tests.domain.followups.steps import NOON
from tests.support import builders


@pytest.fixture
def ines(team):
    return builders.client(team["coach"])


@pytest.fixture
def held(team):
    """Record an urgent screening at noon; return the client."""
    with at(NOON):
        client_id = builders.client(team["coach"])
        builders.screen(team["coach"], client_id, self_harm="urgent")
    return client_id
