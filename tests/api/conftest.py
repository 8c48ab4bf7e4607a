"""Fixtures: sample staff with an API client for each."""

from __future__ import annotations

import pytest

from tests.api.api_client import staffed


@pytest.fixture
def staff(app):
    """Add the sample staff with an API client for each."""
    return staffed(app)


@pytest.fixture
def coach(staff):
    """Return the API client of the supervised coach."""
    return staff["coach"]


@pytest.fixture
def stranger(staff):
    """Return the API client of an unrelated coach."""
    return staff["coach2"]
