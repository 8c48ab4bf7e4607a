"""A practice with a token for each of its people."""

from __future__ import annotations

import pytest

from tests.api.api_client import staffed


@pytest.fixture
def staff(app):
    """Add the usual cast and give each of them a program."""
    return staffed(app)


@pytest.fixture
def coach(staff):
    """Give the program of the coach whom the supervisor supervises."""
    return staff["coach"]


@pytest.fixture
def stranger(staff):
    """Give the program of a coach who has nothing to do with the others' clients."""
    return staff["coach2"]
