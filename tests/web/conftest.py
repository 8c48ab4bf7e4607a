"""The usual people, each signed in at a desk."""

from __future__ import annotations

import pytest

from tests.support.staff_pages import Desk


@pytest.fixture
def coach(app, team):
    return Desk(app, team["coach"])


@pytest.fixture
def supervisor(app, team):
    return Desk(app, team["supervisor"])


@pytest.fixture
def admin(app, team):
    return Desk(app, team["admin"])
