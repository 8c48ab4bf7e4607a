"""Fixtures: sample staff with an API client for each."""

from __future__ import annotations

import pytest

from tests.api.api_client import staffed


@pytest.fixture
def staff(app, team):
    """Give each of the sample staff an API client."""
    return staffed(app, team)


@pytest.fixture
def coach(staff):
    """Return the API client of the supervised coach."""
    return staff["coach"]


@pytest.fixture
def stranger(staff):
    """Return the API client of an unrelated coach."""
    return staff["coach2"]
